//! How many connections there may be, in all and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

/// Refusals are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Counts connections, of all listeners together.
pub(crate) struct Admission {
    max_connections: usize,
    state: Mutex<State>,
    refused: Counter,
}

#[derive(Default)]
struct State {
    open: usize,
    by_address: HashMap<IpAddr, usize>,
    logged_at: Option<Instant>,
}

/// One connection's place; free again when it is dropped.
pub(crate) struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// Room for so many connections.
    pub(crate) fn new(max_connections: usize) -> Arc<Self> {
        Arc::new(Self { max_connections, state: Mutex::default(), refused: Counter::default() })
    }

    /// A place for a connection from an address; `None` if there is none left for it.
    ///
    /// One address has at most half of the places, so a single machine cannot lock the others out. Loopback has them
    /// all: it may be a proxy that everybody comes through.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let address = address.to_canonical();
        let mut state = self.state();
        let is_full = state.open >= self.max_connections;
        let own = state.by_address.get(&address).copied().unwrap_or_default();
        let max_of_one = self.max_connections.div_ceil(2);
        if is_full || (own >= max_of_one && !address.is_loopback()) {
            self.refuse(&mut state, address, is_full);
            return None;
        }
        state.open = state.open.saturating_add(1);
        state.by_address.insert(address, own.saturating_add(1));
        Some(Permit { admission: self.clone(), address })
    }

    /// Connections that are open now, handshakes included.
    pub(crate) fn open(&self) -> usize {
        self.state().open
    }

    /// Connections that found no place so far.
    pub(crate) fn refused(&self) -> Counter {
        self.refused.clone()
    }

    fn refuse(&self, state: &mut State, address: IpAddr, is_full: bool) {
        let refused = self.refused.inc().saturating_add(1);
        if state.logged_at.is_some_and(|at| at.elapsed() < LOG_INTERVAL) {
            return;
        }
        state.logged_at = Some(Instant::now());
        let max_connections = self.max_connections;
        if is_full {
            tracing::warn!(max_connections, refused, peer = %address, "connections refused: there are too many");
        } else {
            tracing::warn!(max_connections, refused, peer = %address, "connections refused: this peer has half of all");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.open = state.open.saturating_sub(1);
        if let Some(own) = state.by_address.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_gets_half_of_the_places_and_loopback_all() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let admission = Admission::new(4);
        let mut held: Vec<_> = (0..2).map(|_| admission.admit(one).unwrap()).collect();
        assert!(admission.admit(one).is_none(), "it has half");
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert!(admission.admit(mapped).is_none(), "the same machine in other clothes");
        held.extend((0..2).map(|_| admission.admit(other).unwrap()));
        assert!(admission.admit(IpAddr::from([127, 0, 0, 1])).is_none(), "all are taken");
        assert_eq!((admission.open(), admission.refused().get()), (4, 3));
        held.clear();
        assert_eq!(admission.open(), 0);
        assert!(admission.state().by_address.is_empty(), "nothing is kept of those who left");
        let loopback: Vec<_> = (0..4).map(|_| admission.admit(IpAddr::from([127, 0, 0, 1]))).collect();
        assert!(loopback.iter().all(Option::is_some));
    }
}
