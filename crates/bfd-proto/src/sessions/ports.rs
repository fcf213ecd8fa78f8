//! Which source port each session sends from.

use std::collections::BTreeMap;

use crate::SOURCE_PORTS;
use crate::random::Random;

/// The ports in use, and by how many sessions.
#[derive(Debug, Default)]
pub(super) struct SourcePorts {
    used: BTreeMap<u16, u32>,
}

impl SourcePorts {
    /// One that the fewest sessions have, found from a random place on.
    ///
    /// Random, so that one process does not begin with the ports of the one before it, which may not have let go of them yet.
    pub(super) fn take(&mut self, random: &mut Random) -> u16 {
        let (first, last) = (*SOURCE_PORTS.start(), *SOURCE_PORTS.end());
        let start = u16::try_from(random.between(first.into(), last.into())).unwrap_or(first);
        let uses = |port: &u16| self.used.get(port).copied().unwrap_or(0);
        //= https://www.rfc-editor.org/rfc/rfc5881#section-4
        //# If more than 16384 BFD sessions are simultaneously
        //# active, UDP source port numbers MAY be reused on multiple sessions,
        //# but the number of distinct uses of the same UDP source port number
        //# SHOULD be minimized.
        let mut from_start = (start..=last).chain(first..start);
        let free = from_start.clone().find(|port| uses(port) == 0);
        let port = free.or_else(|| from_start.by_ref().min_by_key(uses)).unwrap_or(start);
        *self.used.entry(port).or_default() += 1;
        port
    }

    pub(super) fn give_back(&mut self, port: u16) {
        if let Some(uses) = self.used.get_mut(&port) {
            *uses -= 1;
            if *uses == 0 {
                self.used.remove(&port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_a_port_of_its_own_until_there_are_none_left() {
        let (mut ports, mut random) = (SourcePorts::default(), Random::new(1));
        let taken: std::collections::BTreeSet<u16> = (0..16_384).map(|_| ports.take(&mut random)).collect();
        assert_eq!(taken, SOURCE_PORTS.collect());
        let again = ports.take(&mut random);
        assert_eq!(ports.used.get(&again), Some(&2));
        ports.give_back(again);
        ports.give_back(again);
        assert_eq!(ports.take(&mut random), again, "the only free one");
    }
}
