//! Commands that start a server or a program, and the words that name its application.

pub mod call;
pub mod cgi;
pub mod fastcgi;
pub mod launch;
pub mod run_ini;
pub mod serve;
pub mod supervise;
pub mod true_false;
pub mod uwsgi;
