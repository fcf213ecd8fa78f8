//! Where a node stands that is being emptied.

use std::fmt;

use ironlb_model::{DrainCause, NodeName, Snapshot};

use crate::{Announcements, Remark};

/// A node that is being emptied, and what it cannot hand over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Why it is being emptied.
    pub cause: DrainCause,
    /// How many vips stay, because no other node can announce them ([`Remark::DrainRefusedLast`]).
    pub kept: usize,
    /// How many vips are still advertised in BGP for a moment, so that routers can take another path first.
    pub leaving: usize,
}

/// Where `node` stands; `None` when it is not being emptied.
#[must_use]
pub fn drain(snapshot: &Snapshot, node: &NodeName, announcements: &Announcements) -> Option<Drain> {
    let cause = snapshot.nodes.get(node)?.drain?;
    let routes = || announcements.bgp.iter().flat_map(|plan| plan.vips.values());
    let remarks = announcements.layer2.values().map(|spec| &spec.remarks).chain(routes().map(|route| &route.remarks));
    Some(Drain {
        cause,
        kept: remarks.filter(|remarks| remarks.contains(&Remark::DrainRefusedLast)).count(),
        leaving: routes().filter(|route| route.withdraw_at.is_some()).count(),
    })
}

/// As `kubectl get speakers` shows it: `Annotation`, `Annotation, handing over 3`, `Annotation, DrainRefusedLast for 2`.
impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.category())?;
        if self.leaving > 0 {
            write!(f, ", handing over {}", self.leaving)?;
        }
        if self.kept > 0 {
            write!(f, ", {} for {}", Remark::DrainRefusedLast.category(), self.kept)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ironlb_model::Timestamp;

    use super::*;
    use crate::site::{edit_node, interfaces, node_name, site};
    use crate::{LocalView, Memory, decide};

    #[test]
    fn a_node_tells_why_it_is_being_emptied_and_what_it_cannot_hand_over() {
        let mut site = site(2, 3);
        let told = |site: &Snapshot, nodes| {
            let candidates = (0..nodes).map(node_name).collect();
            let view = LocalView { interfaces: interfaces(0), candidates, ready: true, ..LocalView::new(node_name(0)) };
            let found = decide(site, &view, &Memory::default(), Timestamp::ZERO);
            drain(site, &node_name(0), &found).map(|drain| drain.to_string())
        };
        assert_eq!(told(&site, 2), None);
        edit_node(&mut site, 0, |node| node.drain = Some(DrainCause::Shutdown));
        assert_eq!(told(&site, 2).as_deref(), Some("Shutdown"));
        // Nobody else is there.
        assert_eq!(told(&site, 1).as_deref(), Some("Shutdown, DrainRefusedLast for 3"));
    }
}
