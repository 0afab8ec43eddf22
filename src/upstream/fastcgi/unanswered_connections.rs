//! Connections on which nothing has come yet. While there are any, no other is kept.
//!
//! A process of PHP-FPM serves one connection until that is closed. Connections beyond its processes wait in the queue of its
//! socket, where they are served in turn, those of other clients among them. A connection that is kept takes a process out of
//! this line: if one of ours waits there, it may wait for that very process. Which of them are served already and which wait
//! cannot be seen from here, so that each one without an answer counts as waiting.
//!
//! The process is told with the request that its connection will not be kept (FCGI_KEEP_CONN, §5.1): it closes the connection
//! itself and takes the next one at once. Otherwise it would be idle until this side has read the answer and closed it, which a
//! busy server notices: PHP would be slower just when there is much to do.
//!
//! How many connections are of use is not learnt from what is seen. It would have to be the number of processes exactly: with
//! one more, a connection waits behind those that are kept, for ever; with one less, a process is idle. But the number changes
//! each second (`pm = dynamic`), and a process that serves another client looks like one that is not there. Even the right
//! number would be wrong where there are other clients: these would get no process as long as ours keep all of them busy.
//! Where there are none, `--connections` says how many processes there are.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Counts the connections of one application on which nothing has come yet.
#[derive(Debug, Default)]
pub(super) struct UnansweredConnections(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct UnansweredConnection(Arc<AtomicUsize>);

impl UnansweredConnections {
    /// One more.
    pub(super) fn add(&self) -> UnansweredConnection {
        self.0.fetch_add(1, Relaxed);
        UnansweredConnection(Arc::clone(&self.0))
    }

    /// Whether there are others than this one.
    pub(super) fn are_there(&self, but: Option<&UnansweredConnection>) -> bool {
        self.0.load(Relaxed) > usize::from(but.is_some())
    }
}

impl Drop for UnansweredConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::UnansweredConnections;

    #[test]
    fn each_counts_for_the_others() {
        let all = UnansweredConnections::default();
        assert!(!all.are_there(None));
        let one = all.add();
        assert!(all.are_there(None) && !all.are_there(Some(&one)));
        let two = all.add();
        assert!(all.are_there(Some(&one)));
        drop(one);
        assert!(!all.are_there(Some(&two)));
        drop(two);
        assert!(!all.are_there(None));
    }
}
