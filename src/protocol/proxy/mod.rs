//! What a proxy in front of the server says about the client: by the header fields of a request, or by the head of a
//! connection (PROXY protocol); and how a gateway knows what it has passed on itself.

pub mod forwarded;
mod forwarded_element;
pub mod proxy_head;
pub mod trusted_proxies;
pub mod via;
