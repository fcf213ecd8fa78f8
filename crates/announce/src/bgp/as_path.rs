//! What a BgpPeer wants done to AS paths: `removePrivateAs` and `replacePeerAs`.
//!
//! A route of this node's has none but the own number in its path, unless a policy puts others there. So this comes after the policy.

use ironlb_model::{Asn, PrivateAs};

use super::sessions::SessionSpec;

/// The path as an external peer is told it; `None` where that is how it stands.
///
/// The own number stays whatever it is: a router takes no path from a neighbour that does not begin with the neighbour's.
pub(super) fn rewritten(path: &[u32], session: &SessionSpec) -> Option<Vec<u32>> {
    let peering = session.peering().filter(|_| !session.is_internal())?;
    let (settings, own) = (peering.as_path, session.local_asn.get());
    let told = |number: u32| {
        let is_private = number != own && Asn::new(number).is_some_and(Asn::is_private);
        match settings.private {
            PrivateAs::Remove if is_private => None,
            PrivateAs::Replace if is_private => Some(own),
            _ if settings.replace_peer && number == peering.asn.get() => Some(own),
            PrivateAs::Keep | PrivateAs::Remove | PrivateAs::Replace => Some(number),
        }
    };
    let rewritten: Vec<u32> = path.iter().filter_map(|number| told(*number)).collect();
    (rewritten != path).then_some(rewritten)
}
