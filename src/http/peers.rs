//! How many connections each network has.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::auth::network_of;

/// Networks without a connection are forgotten when there are this many more than after the last time.
const SWEEP_EVERY: usize = 1000;

pub(super) struct Peers {
    most: usize,
    places: Mutex<(HashMap<IpAddr, Arc<Semaphore>>, usize)>,
}

impl Peers {
    pub(super) fn new(most: usize) -> Self {
        Self { most, places: Mutex::default() }
    }

    /// A place for one more of this address's network; none where it has as many as may be.
    pub(super) fn place_of(&self, address: IpAddr) -> Option<OwnedSemaphorePermit> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (of_networks, after_last) = &mut *places;
        let of_network = of_networks.entry(network_of(address));
        let of_network = of_network.or_insert_with(|| Arc::new(Semaphore::new(self.most)));
        let place = of_network.clone().try_acquire_owned().ok();
        if of_networks.len() > *after_last + SWEEP_EVERY {
            of_networks.retain(|_, places| places.available_permits() < self.most);
            *after_last = of_networks.len();
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_places_and_gets_them_back() {
        let peers = Peers::new(2);
        let place = |address: &str| peers.place_of(address.parse().unwrap());
        let held = [place("2001:db8::1"), place("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(place("2001:db8::3").is_none() && place("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(place("2001:db8::3").is_some());
        for number in 0..5000_u32 {
            drop(peers.place_of(IpAddr::V4((0x0a00_0000 + number).into())));
        }
        assert!(peers.places.lock().unwrap().0.len() <= 2 * SWEEP_EVERY);
    }
}
