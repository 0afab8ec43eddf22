//! What a master does besides serving: it makes sure that it is the only one, takes orders, hands over to a successor, and
//! keeps programs running. It knows processes, locks and its own sockets, and neither gateways nor settings.
//!
//! - [`lifecycle`]: the phases of a master, and what it does in each of them; [`lifetime`]: when it ends by itself;
//! - [`seat`]: the pid file and the locks that make one master the only one, and how the next one takes over;
//! - [`control`]: the socket on which a master takes orders, and its clients;
//! - [`programs`]: programs that are kept running beside the application;
//! - [`supervision`]: all of that as it is configured;
//! - [`trust`]: which users' processes and files are trusted;
//! - [`notify`]: reports to a service manager;
//! - [`privileges`]: the user that a server becomes once it listens;
//! - [`stop_flag`]: signals during the start; [`orphans`]: the duty of process 1.
//!
//! `trust` < `control` < `programs` < `seat`: none of them imports one behind it.
//!
//! A signal is never sent to a number that was read from a file, only to the peer of a socket or to a child.

pub mod chronicle;
pub mod control;
pub mod identity;
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
