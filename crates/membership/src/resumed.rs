//! What a speaker answers for that was restarted while the API server is away.
//!
//! Its node's Lease, which says what it owned, cannot be read, and whether somebody took it over meanwhile neither. It may go on with what the
//! speaker before it on this boot answered for, on two conditions: nobody else answers for it when the LAN is asked, and nobody says
//! that he has it afterwards. It never claims anything, and what it goes on with ends with the first Lease it sees: from then on the
//! Leases say what is whose.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ironlb_model::Timestamp;

use crate::Timing;

/// The vips a restarted speaker goes on with while the API server is away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resumed {
    held: BTreeSet<IpAddr>,
    last_call: Option<Timestamp>,
}

impl Resumed {
    /// Goes on with these, of which the LAN has just been asked and nobody answered.
    pub fn hold(&mut self, now: Timestamp, vips: impl IntoIterator<Item = IpAddr>) {
        self.held.extend(vips);
        self.last_call = Some(now);
    }

    /// Called at every turn; says whether everything was lost. A process that was stopped did not hear who took what meanwhile.
    pub fn pass(&mut self, now: Timestamp, timing: &Timing) -> bool {
        let is_late = self.valid_until(timing).is_some_and(|until| now >= until);
        if is_late {
            self.held.clear();
        }
        self.last_call = (!self.held.is_empty()).then_some(now);
        is_late
    }

    /// Somebody else says that he has it. Returns whether it was held.
    pub fn lose(&mut self, vip: IpAddr) -> bool {
        self.held.remove(&vip)
    }

    /// Ends it; returns what was held.
    pub fn end(&mut self) -> BTreeSet<IpAddr> {
        self.last_call = None;
        std::mem::take(&mut self.held)
    }

    /// What may be answered for, before [`Resumed::valid_until`].
    #[must_use]
    pub fn held(&self) -> &BTreeSet<IpAddr> {
        &self.held
    }

    /// Until when, without being called again: as long as a frozen member may.
    #[must_use]
    pub fn valid_until(&self, timing: &Timing) -> Option<Timestamp> {
        self.last_call.filter(|_| !self.held.is_empty()).map(|at| at + timing.fence_after())
    }

    /// When [`Resumed::pass`] is needed next.
    #[must_use]
    pub fn poll_timeout(&self, timing: &Timing) -> Option<Timestamp> {
        let tick: Duration = timing.tick;
        self.last_call.filter(|_| !self.held.is_empty()).map(|at| at + tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing::lease();

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    fn vip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn holding() -> Resumed {
        let mut resumed = Resumed::default();
        resumed.hold(at(0), [vip(1), vip(2)]);
        resumed
    }

    #[test]
    fn nothing_is_held_at_first_nor_after_the_end() {
        assert_eq!(Resumed::default().valid_until(&TIMING), None);
        let mut resumed = holding();
        assert_eq!(resumed.end(), [vip(1), vip(2)].into());
        assert_eq!((resumed.valid_until(&TIMING), resumed.held().len()), (None, 0));
        assert_eq!(resumed.poll_timeout(&TIMING), None);
    }

    #[test]
    fn it_holds_for_as_long_as_it_is_called() {
        let mut resumed = holding();
        for millis in (0..60_000).step_by(500) {
            assert!(!resumed.pass(at(millis), &TIMING));
        }
        assert_eq!(resumed.valid_until(&TIMING), Some(at(59_500 + 3500)));
    }

    #[test]
    fn a_process_that_was_stopped_holds_nothing_when_it_goes_on() {
        let mut resumed = holding();
        assert!(!resumed.pass(at(3499), &TIMING));
        assert!(resumed.pass(at(3499 + 3500), &TIMING));
        assert!(resumed.held().is_empty() && resumed.valid_until(&TIMING).is_none());
        assert!(!resumed.pass(at(60_000), &TIMING), "it is told once");
    }

    #[test]
    fn what_another_says_he_has_is_lost() {
        let mut resumed = holding();
        assert!(resumed.lose(vip(1)) && !resumed.lose(vip(1)) && !resumed.lose(vip(3)));
        assert_eq!(resumed.held(), &[vip(2)].into());
    }
}
