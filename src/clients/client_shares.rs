//! How much each client has of what all share.
//!
//! A client may have as much as it leaves free: one alone has half at most, the next one half of the rest. So some is left for
//! a client that comes later, however much the others want, and nothing has to be taken away from them. (Switches share their
//! memory by the same rule, the dynamic thresholds of Choudhury and Hahne, 1998.)

use std::collections::HashMap;

use crate::clients::client_network::ClientNetwork;

/// What is in use, in all and by each client. What is used for no client that is known is in the sum alone.
#[derive(Debug, Default)]
pub struct ClientShares {
    used: u64,
    by_client: HashMap<ClientNetwork, u64>,
}

impl ClientShares {
    /// How much more a client may have, where there is `limit` for all. For a client that is not known, which is a web server
    /// or a process of this machine, it is all that is free.
    #[must_use]
    pub fn room(&self, client: Option<ClientNetwork>, limit: u64) -> u64 {
        let free = limit.saturating_sub(self.used);
        match client {
            Some(client) => free.saturating_sub(self.of(client)).div_ceil(2),
            None => free,
        }
    }

    /// How much a client has.
    #[must_use]
    pub fn of(&self, client: ClientNetwork) -> u64 {
        self.by_client.get(&client).copied().unwrap_or_default()
    }

    /// How much is in use for no client that is known.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.used - self.by_client.values().sum::<u64>()
    }

    /// How much is in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// A client has so much more.
    pub fn add(&mut self, client: Option<ClientNetwork>, amount: u64) {
        self.used += amount;
        if let Some(client) = client
            && amount > 0
        {
            *self.by_client.entry(client).or_default() += amount;
        }
    }

    /// A client has so much less, which was added before.
    pub fn subtract(&mut self, client: Option<ClientNetwork>, amount: u64) {
        self.used -= amount;
        if let Some(client) = client
            && let Some(has) = self.by_client.get_mut(&client)
        {
            *has -= amount;
            if *has == 0 {
                self.by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ClientNetwork, ClientShares};

    fn client(number: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, number].into())
    }

    /// Takes for a client what it may have, bit by bit.
    fn fill(shares: &mut ClientShares, number: u8, limit: u64) -> u64 {
        let client = client(number);
        while shares.room(Some(client), limit) > 0 {
            shares.add(Some(client), 1);
        }
        shares.of(client)
    }

    #[test]
    fn a_client_may_have_as_much_as_is_free() {
        let mut shares = ClientShares::default();
        assert_eq!(shares.room(None, 900), 900);
        assert_eq!(shares.room(Some(client(1)), 900), 450);
        assert_eq!(fill(&mut shares, 1, 900), 450);
        assert_eq!(fill(&mut shares, 2, 900), 225);
        assert_eq!(shares.room(Some(client(1)), 900), 0);
        shares.subtract(Some(client(1)), 300);
        assert_eq!(fill(&mut shares, 2, 900), 375);
        shares.subtract(Some(client(1)), 150);
        shares.subtract(Some(client(2)), 375);
        assert_eq!(shares.used(), 0);
        assert!(shares.by_client.is_empty());
        // One thing is for the first that wants it.
        assert_eq!(shares.room(Some(client(1)), 1), 1);
        assert_eq!(shares.room(Some(client(1)), 0), 0);
    }

    proptest! {
        #[test]
        fn some_is_left_for_one_more_client(
            wanted in prop::collection::vec((0..5_u8, 1..1000_u64), 0..100),
            limit in 1..2000_u64,
        ) {
            let mut shares = ClientShares::default();
            for (number, amount) in wanted {
                let client = Some(client(number));
                let amount = amount.min(shares.room(client, limit));
                shares.add(client, amount);
            }
            prop_assert!(shares.used() <= limit);
            prop_assert!(limit < 64 || shares.room(Some(client(9)), limit) > 0);
        }
    }
}
