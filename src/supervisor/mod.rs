//! What a master does besides serving: it is the only one, takes orders, and gets along with those that
//! started it and with those that it starts. It knows processes, locks and its own sockets; it does not know
//! gateways or settings.
//!
//! - [`lifecycle`]: what a master does when something happens to it;
//! - [`lock`] and [`pid_file`]: who is the master, and who is only about to be;
//! - [`seat`]: the place that one master has and another takes over, of these two and the next;
//! - [`control`]: the socket on which the master takes orders, [`client`], which gives them, and [`order`]: what they say;
//! - [`status`]: how a master is, as it goes over that socket;
//! - [`successor`]: a newer program that takes our place;
//! - [`supervision`]: what a master is told about itself, and [`lifetime`]: when it ends by itself;
//! - [`trust`]: whose processes and files are believed;
//! - [`notify`]: what a service manager is told;
//! - [`privileges`]: whom a server is once it listens;
//! - [`program`]: programs that are kept running beside what is served, each of which has a [`keeper`];
//! - [`tether`]: how a master and a program of `runner`'s own that it keeps running get along;
//! - [`orphans`]: the duty of the first process of a container.
//!
//! Nothing here ever sends a signal to a number that was read from a file: whoever is to be signalled is the
//! peer of a socket.

pub mod control;
pub mod lifecycle;
pub mod lifetime;
pub mod notify;
pub mod orphans;
pub mod privileges;
pub mod programs;
pub mod seat;
pub mod stop_flag;
pub mod supervision;
pub mod trust;

mod file_version;
