//! Limits the open connections of each network: of an IPv4 address, or of an IPv6 /64 network.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::auth::network_of;

/// A sweep removes the networks that have no open connection. It runs once this many networks have been added since the last
/// sweep.
const SWEEP_EVERY: usize = 1000;

/// The permit of an open connection. The connection shares it with its WebSockets, and it is released when the last of
/// them closes.
pub(super) struct ConnectionPermit {
    pub(super) _server_permit: OwnedSemaphorePermit,
    /// None for a peer to which the limit of each network does not apply.
    pub(super) _network_permit: Option<OwnedSemaphorePermit>,
}

/// The open connections of each network.
pub(super) struct Peers {
    max_per_network: usize,
    /// The free permits of each network, and the number of networks after the last sweep.
    networks: Mutex<(HashMap<IpAddr, Arc<Semaphore>>, usize)>,
}

impl Peers {
    pub(super) fn new(max_per_network: usize) -> Self {
        Self { max_per_network, networks: Mutex::default() }
    }

    /// Acquires a permit for another connection of this address's network. Returns none if the network already has the maximum
    /// number of connections.
    pub(super) fn try_acquire(&self, address: IpAddr) -> Option<OwnedSemaphorePermit> {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let (by_network, after_last_sweep) = &mut *networks;
        let network = by_network.entry(network_of(address));
        let network = network.or_insert_with(|| Arc::new(Semaphore::new(self.max_per_network)));
        let permit = network.clone().try_acquire_owned().ok();
        if by_network.len() > *after_last_sweep + SWEEP_EVERY {
            by_network.retain(|_, network| network.available_permits() < self.max_per_network);
            *after_last_sweep = by_network.len();
        }
        permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connections_of_a_network_are_limited_and_released() {
        let peers = Peers::new(2);
        let acquire = |address: &str| peers.try_acquire(address.parse().unwrap());
        let held = [acquire("2001:db8::1"), acquire("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(acquire("2001:db8::3").is_none() && acquire("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(acquire("2001:db8::3").is_some());
        for number in 0..5000_u32 {
            drop(peers.try_acquire(IpAddr::V4((0x0a00_0000 + number).into())));
        }
        assert!(peers.networks.lock().unwrap().0.len() <= 2 * SWEEP_EVERY);
    }
}
