//! The clients of a server, and what each may take of what all of them share.
//!
//! No client may take so much that the others stop. What a response or a request holds for long, and cannot give back, each
//! client has a share of ([`ClientShares`]). Where requests wait for something that is soon free again, clients take turns
//! ([`FairQueue`], [`FairSemaphore`]), and those that have probably gone away have the last ones ([`ClientEnd`]).

mod client_address;
mod client_end;
mod client_network;
mod client_shares;
mod client_turns;
mod fair_queue;
mod fair_semaphore;

pub use client_address::ClientAddress;
pub use client_end::{ClientEnd, WaitingClient};
pub use client_network::ClientNetwork;
pub use client_shares::ClientShares;
pub use client_turns::Queued;
pub use fair_queue::FairQueue;
pub use fair_semaphore::{FairPermit, FairSemaphore};
