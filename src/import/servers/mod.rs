//! Command lines of servers, and the files of gunicorn, whose settings are the same.

pub mod command_options;
pub mod command_words;
pub mod gunicorn_names;
pub mod gunicorn_settings;
pub mod other_servers;
pub mod said;
pub mod server_program;
pub mod uvicorn_command;
