//! As many prefixes into one UPDATE as its length allows.

use super::attribute::{Spelled, UNREACH_OVERHEAD, mp_reach, mp_unreach, nlri_len, put_nlri, reach_overhead};
use super::frame::{HEADER_LEN, MessageKind, emit};
use crate::{Family, RouteKey};

/// Both length fields of an UPDATE.
const LENGTHS: usize = 4;

/// Fills one UPDATE that announces prefixes of `family` with one set of attributes, as many of `keys` as fit into `limit` bytes.
///
/// Answers the message and how many it took; `None` when not even one fits.
pub(crate) fn announce(
    family: Family,
    spelled: &Spelled,
    keys: impl Iterator<Item = RouteKey>,
    add_path: bool,
    limit: u16,
) -> Option<(Vec<u8>, usize)> {
    let classic = spelled.next_hop.is_classic(family);
    let overhead = if classic { 0 } else { reach_overhead(spelled.next_hop) };
    let room = usize::from(limit).checked_sub(HEADER_LEN + LENGTHS + overhead + spelled.attributes.len())?;
    let (nlri, taken) = fill(keys, add_path, room)?;
    let mut attributes = Vec::new();
    if !classic {
        //= https://www.rfc-editor.org/rfc/rfc7606#section-5.1
        //# The MP_REACH_NLRI or MP_UNREACH_NLRI attribute (if present) SHALL be
        //# encoded as the very first path attribute in an UPDATE message.
        attributes = mp_reach(family, spelled.next_hop, &nlri);
    }
    //= https://www.rfc-editor.org/rfc/rfc4760#section-3
    //# An UPDATE message that carries the MP_REACH_NLRI MUST also carry the ORIGIN
    //# and the AS_PATH attributes (both in EBGP and in IBGP exchanges).
    attributes.extend(&spelled.attributes);
    let tail: &[u8] = if classic { &nlri } else { &[] };
    Some((update(&[], &attributes, tail), taken))
}

/// Fills one UPDATE that withdraws, as many of `keys` as fit into `limit` bytes.
pub(crate) fn withdraw(
    family: Family,
    keys: impl Iterator<Item = RouteKey>,
    add_path: bool,
    limit: u16,
) -> Option<(Vec<u8>, usize)> {
    let overhead = match family {
        Family::Ipv4Unicast => 0,
        Family::Ipv6Unicast => UNREACH_OVERHEAD,
    };
    let room = usize::from(limit).checked_sub(HEADER_LEN + LENGTHS + overhead)?;
    let (nlri, taken) = fill(keys, add_path, room)?;
    let message = match family {
        Family::Ipv4Unicast => update(&nlri, &[], &[]),
        Family::Ipv6Unicast => update(&[], &mp_unreach(family, &nlri), &[]),
    };
    Some((message, taken))
}

/// The End-of-RIB marker of a family (RFC 4724 §2).
pub(crate) fn end_of_rib(family: Family) -> Vec<u8> {
    match family {
        Family::Ipv4Unicast => update(&[], &[], &[]),
        Family::Ipv6Unicast => update(&[], &mp_unreach(family, &[]), &[]),
    }
}

fn fill(keys: impl Iterator<Item = RouteKey>, add_path: bool, room: usize) -> Option<(Vec<u8>, usize)> {
    let (mut nlri, mut taken) = (Vec::new(), 0);
    for key in keys {
        if nlri.len() + nlri_len(key, add_path) > room {
            break;
        }
        put_nlri(&mut nlri, key, add_path);
        taken += 1;
    }
    (taken > 0).then_some((nlri, taken))
}

fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(LENGTHS + withdrawn.len() + attributes.len() + nlri.len());
    body.extend(u16::try_from(withdrawn.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    emit(MessageKind::Update, &body)
}
