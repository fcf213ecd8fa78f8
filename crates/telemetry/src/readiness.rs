//! When the process may be sent work: named gates, all of which must be open.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The process's readiness. Clones are handles on the same one.
///
/// Without any gate it is not ready: a process that asks nobody has not looked.
#[derive(Debug, Clone)]
pub struct Readiness {
    gates: Arc<watch::Sender<BTreeMap<&'static str, bool>>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// A readiness without gates.
    #[must_use]
    pub fn new() -> Self {
        Self { gates: Arc::new(watch::Sender::new(BTreeMap::new())) }
    }

    /// Adds a gate, shut. Make every gate before the first probe can come, and one for each name: a second one of the
    /// same name shuts the first.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        let gate = Gate { name, gates: Arc::clone(&self.gates) };
        gate.set(false);
        gate
    }

    /// Are there gates, and all open?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        is_ready(&self.gates.borrow())
    }

    /// The names of the gates that are shut, in alphabetical order.
    #[must_use]
    pub fn shut(&self) -> Vec<&'static str> {
        self.gates.borrow().iter().filter(|(_, open)| !**open).map(|(name, _)| *name).collect()
    }

    /// Waits until all gates are open. Cancel-safe.
    pub async fn ready(&self) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.gates.subscribe().wait_for(is_ready).await;
    }
}

fn is_ready(gates: &BTreeMap<&'static str, bool>) -> bool {
    !gates.is_empty() && gates.values().all(|open| *open)
}

/// One condition of readiness, held by whoever knows about it. Dropping it shuts it: a loop that has ended is not ready.
#[derive(Debug)]
pub struct Gate {
    name: &'static str,
    gates: Arc<watch::Sender<BTreeMap<&'static str, bool>>>,
}

impl Gate {
    /// The condition holds.
    pub fn open(&self) {
        self.set(true);
    }

    /// The condition holds no more.
    pub fn shut(&self) {
        self.set(false);
    }

    fn set(&self, open: bool) {
        self.gates.send_if_modified(|gates| gates.insert(self.name, open) != Some(open));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_must_be_open() {
        let readiness = Readiness::new();
        assert!(!readiness.is_ready(), "without a gate");
        let store = readiness.gate("store");
        let socket = readiness.gate("socket");
        assert_eq!(readiness.shut(), ["socket", "store"]);
        store.open();
        assert!(!readiness.is_ready());
        socket.open();
        assert!(readiness.is_ready() && readiness.shut().is_empty());
        store.shut();
        assert_eq!(readiness.shut(), ["store"]);
        store.open();
        drop(socket);
        assert_eq!(readiness.shut(), ["socket"], "its owner is gone");
    }

    #[tokio::test]
    async fn waiting_ends_when_the_last_gate_opens() {
        let readiness = Readiness::new();
        let (a, b) = (readiness.gate("a"), readiness.gate("b"));
        a.open();
        let mut waiting = tokio_test::task::spawn(readiness.ready());
        tokio_test::assert_pending!(waiting.poll());
        b.open();
        assert!(waiting.is_woken());
        tokio_test::assert_ready!(waiting.poll());
    }
}
