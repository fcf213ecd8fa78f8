//! Stations that are no members of the cluster and claimed a vip that this node answers for, as long as that counts. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{CONFLICT_COUNTS, MacAddr, Timestamp, WallTime};

use crate::status::MAX_CONFLICTS;

/// The claims that were heard a short while ago.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    heard: BTreeMap<(IpAddr, MacAddr), (WallTime, Timestamp)>,
}

impl Conflicts {
    /// Notes a claim; says whether it is news. Of too many the one is forgotten that was not heard for longest.
    pub(crate) fn heard(&mut self, vip: IpAddr, mac: MacAddr, time: WallTime, now: Timestamp) -> bool {
        let is_news = self.heard.insert((vip, mac), (time, now)).is_none();
        if self.heard.len() > MAX_CONFLICTS {
            let oldest = self.heard.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| *key);
            oldest.and_then(|key| self.heard.remove(&key));
        }
        is_news
    }

    /// Forgets what no longer counts, so that a controller which begins to lead does not take it for news.
    pub(crate) fn forget_old(&mut self, now: Timestamp) {
        self.heard.retain(|_, (_, at)| *at + CONFLICT_COUNTS > now);
    }

    /// When the first of them no longer counts.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.heard.values().map(|(_, at)| *at + CONFLICT_COUNTS).min()
    }

    /// What is told: the vip, the station, and when it was last heard.
    pub(crate) fn told(&self) -> BTreeMap<(IpAddr, MacAddr), WallTime> {
        self.heard.iter().map(|(key, (time, _))| (*key, *time)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> (IpAddr, MacAddr) {
        (IpAddr::from([192, 0, 2, n]), MacAddr([2, 0, 0, 0, 0, n]))
    }

    #[test]
    fn a_claim_is_told_for_five_minutes_after_it_was_last_heard() {
        let mut conflicts = Conflicts::default();
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1000);
        let (vip, mac) = key(1);
        assert!(conflicts.heard(vip, mac, WallTime(1000), at(0)));
        assert!(!conflicts.heard(vip, mac, WallTime(1100), at(100)), "it goes on");
        assert_eq!(conflicts.due(), Some(at(400)));
        conflicts.forget_old(at(399));
        assert_eq!(conflicts.told(), [((vip, mac), WallTime(1100))].into());
        conflicts.forget_old(at(400));
        assert_eq!((conflicts.told().len(), conflicts.due()), (0, None));
        assert!(conflicts.heard(vip, mac, WallTime(1500), at(500)), "it is news again");
    }

    #[test]
    fn the_list_is_bounded() {
        let mut conflicts = Conflicts::default();
        for n in 0..u8::try_from(MAX_CONFLICTS + 1).unwrap() {
            let (vip, mac) = key(n);
            conflicts.heard(vip, mac, WallTime(0), Timestamp::from_millis(u64::from(n)));
        }
        assert_eq!((conflicts.told().len(), conflicts.told().contains_key(&key(0))), (MAX_CONFLICTS, false));
    }
}
