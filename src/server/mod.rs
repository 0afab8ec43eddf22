//! A plan to a running server. [`master`] is the process: it hears what happens and does what the supervisor's state
//! machine says. [`running`] is the version that serves; [`next_version`] prepares the one that takes its place. [`ending`] is how a version ends, [`development`] what `launch` adds.

pub mod browser;
pub mod claim;
pub mod development;
pub mod ending;
pub mod events;
pub mod expiry_watch;
pub mod gateway_task;
pub mod master;
pub mod next_version;
pub mod once;
pub mod running;
pub mod status_pages;
