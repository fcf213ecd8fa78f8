//! Which interface leads to the address of each `can_reach:`, asked of the kernel again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ironlb_layer2::route_interface;
use ironlb_model::{InterfaceChoice, InterfaceName, Snapshot, Timestamp};
use ironlb_telemetry::fields;
use tracing::info;

/// So long an answer is good while no interface changes. Chosen: a route may change without any interface doing so, and a look-up
/// costs 8 microseconds (measured).
const FRESH: Duration = Duration::from_secs(5);

/// The routes to the targets in use.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: BTreeMap<IpAddr, InterfaceName>,
    asked_at: Option<Timestamp>,
    targets: BTreeSet<IpAddr>,
}

impl Routes {
    /// The interfaces found, by target.
    pub(crate) fn known(&self) -> &BTreeMap<IpAddr, InterfaceName> {
        &self.known
    }

    /// The next look-up counts: an interface has changed.
    pub(crate) fn grow_old(&mut self) {
        self.asked_at = None;
    }

    /// When the answers are no longer good.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        (!self.targets.is_empty()).then(|| self.asked_at.map_or(Timestamp::ZERO, |at| at + FRESH))
    }

    /// Asks the kernel for every target the snapshot's Eips name, where the answers are old or the targets new. A target without a
    /// route is left out.
    pub(crate) async fn refresh(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let targets: BTreeSet<IpAddr> = snapshot
            .eips
            .values()
            .filter_map(|eip| if let InterfaceChoice::CanReach(target) = eip.interface { Some(target) } else { None })
            .collect();
        let is_fresh = self.asked_at.is_some_and(|at| now.since(at) < FRESH);
        if is_fresh && targets == self.targets {
            return;
        }
        let mut known = BTreeMap::new();
        for target in &targets {
            match route_interface(*target).await {
                Ok(interface) => {
                    known.insert(*target, interface);
                }
                Err(error) if self.known.contains_key(target) || !self.targets.contains(target) => {
                    info!({ fields::ADDRESS } = %target, { fields::ERROR } = %error, "no route to the address of a can_reach");
                }
                Err(_) => (),
            }
        }
        (self.known, self.targets, self.asked_at) = (known, targets, Some(now));
    }
}
