//! UPDATE as we receive it: judged for errors, its prefixes taken out, its attributes not kept.
//!
//! A speaker that imports nothing still has to tell the three treatments of RFC 7606 apart: to pass over an attribute, to count a
//! route as withdrawn, or to end the session because the stream can no longer be trusted.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ironlb_model::Prefix;

use super::attribute::flag;
use super::iana::{attribute as kind, error, segment, update};
use super::notification::Notification;
use super::reader::Reader;
use crate::Family;

/// What of the session decides how an UPDATE is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateContext {
    /// The peer is of our own autonomous system.
    pub internal: bool,
    /// Numbers in AS_PATH have four octets.
    pub four_octet_as: bool,
}

/// What is wrong with an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttributeFault {
    /// Its length is not what its RFC says, or leads beyond the end of all attributes.
    Length,
    /// It is optional or transitive where it must not be, or the other way round.
    Flags,
    /// Its value is none.
    Value,
    /// It is there a second time.
    Repeated,
    /// It is not there.
    Missing,
    /// It has no business in an UPDATE from another autonomous system.
    FromExternal,
}

impl AttributeFault {
    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Flags => "flags",
            Self::Value => "value",
            Self::Repeated => "repeated",
            Self::Missing => "missing",
            Self::FromExternal => "from_external",
        }
    }
}

/// An attribute, and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The attribute's number.
    pub attribute: u8,
    /// What is wrong.
    pub fault: AttributeFault,
}

/// What an UPDATE comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Prefixes it announces.
    pub announced: Vec<Prefix>,
    /// Prefixes it withdraws, by its own word or because of an error (RFC 7606's "treat-as-withdraw").
    pub withdrawn: Vec<Prefix>,
    /// It is the End-of-RIB marker of this family.
    pub end_of_rib: Option<Family>,
    /// Why its announcements count as withdrawals.
    pub treated_as_withdraw: Option<Fault>,
    /// Attributes that were passed over.
    pub discarded: Vec<Fault>,
}

/// Why an UPDATE ends the session: RFC 7606's "session reset".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The lengths of its parts do not agree.
    #[error("the lengths in the UPDATE do not agree")]
    Lengths,
    /// Prefixes of a second family stand there twice.
    #[error("attribute {0} stands there twice")]
    Repeated(u8),
    /// Prefixes of a second family cannot be found in their attribute.
    #[error("attribute {attribute} cannot be read")]
    Multiprotocol {
        /// MP_REACH_NLRI or MP_UNREACH_NLRI.
        attribute: u8,
        /// The attribute as it came.
        bytes: Vec<u8>,
    },
    /// An attribute that everybody has to know, and we do not.
    #[error("attribute {attribute} claims to be known to everybody")]
    WellKnown {
        /// Its number.
        attribute: u8,
        /// The attribute as it came.
        bytes: Vec<u8>,
    },
    /// A prefix is longer than an address, or cut off.
    #[error("a prefix cannot be read")]
    Network,
    /// Routes are to count as withdrawn, and it cannot be told which.
    #[error("attribute {} is wrong and there is no prefix to withdraw", .0.attribute)]
    NothingToWithdraw(Fault),
}

impl UpdateError {
    /// What the peer is told.
    #[must_use]
    pub fn notification(&self) -> Notification {
        let (subcode, data) = match self {
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.3
            //# If the Withdrawn Routes Length or Total Attribute Length is too large
            //# (i.e., if Withdrawn Routes Length + Total Attribute Length + 23
            //# exceeds the message Length), then the Error Subcode MUST be set to
            //# Malformed Attribute List.
            Self::Lengths | Self::NothingToWithdraw(_) => (update::MALFORMED_ATTRIBUTE_LIST, Vec::new()),
            //= https://www.rfc-editor.org/rfc/rfc7606#section-3
            //# If the MP_REACH_NLRI attribute or the MP_UNREACH_NLRI [RFC4760]
            //# attribute appears more than once in the UPDATE message, then a
            //# NOTIFICATION message MUST be sent with the Error Subcode "Malformed
            //# Attribute List".
            Self::Repeated(_) => (update::MALFORMED_ATTRIBUTE_LIST, Vec::new()),
            Self::Multiprotocol { bytes, .. } => (update::OPTIONAL_ATTRIBUTE, bytes.clone()),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.3
            //# If any of the well-known mandatory attributes are not recognized,
            //# then the Error Subcode MUST be set to Unrecognized Well-known
            //# Attribute.  The Data field MUST contain the unrecognized attribute
            Self::WellKnown { bytes, .. } => (update::UNRECOGNIZED_WELL_KNOWN, bytes.clone()),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.3
            //# If the field is syntactically incorrect, then the Error Subcode MUST be
            //# set to Invalid Network Field.
            Self::Network => (update::INVALID_NETWORK_FIELD, Vec::new()),
        };
        Notification::new(error::UPDATE, subcode, data)
    }

    /// Its name as a metric label.
    #[must_use]
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Lengths => "lengths",
            Self::Repeated(_) => "repeated",
            Self::Multiprotocol { .. } => "multiprotocol",
            Self::WellKnown { .. } => "well_known",
            Self::Network => "network",
            Self::NothingToWithdraw(_) => "nothing_to_withdraw",
        }
    }
}

/// Judges what follows the header of an UPDATE.
///
/// # Errors
/// [`UpdateError`] where RFC 7606 leaves nothing but the end of the session.
pub fn inspect(body: &[u8], context: UpdateContext) -> Result<Inspected, UpdateError> {
    let mut reader = Reader::new(body);
    let (withdrawn, attributes) = parts(&mut reader).ok_or(UpdateError::Lengths)?;
    let nlri = prefixes(Family::Ipv4Unicast, reader.rest())?;
    let mut inspected = Inspected { withdrawn: prefixes(Family::Ipv4Unicast, withdrawn)?, ..Inspected::default() };
    let is_empty = inspected.withdrawn.is_empty() && attributes.is_empty() && nlri.is_empty();
    if is_empty {
        inspected.end_of_rib = Some(Family::Ipv4Unicast);
        return Ok(inspected);
    }
    let mut found = Attributes::new(context);
    found.read(attributes)?;
    found.demand_mandatory(!nlri.is_empty());

    if nlri.is_empty() && inspected.withdrawn.is_empty() && found.seen.len() == 1 {
        inspected.end_of_rib = found.unreached.as_ref().filter(|(_, gone)| gone.is_empty()).and_then(|(of, _)| *of);
    }
    let has_place = !nlri.is_empty() || found.is_foreign || found.reached.as_ref().is_some_and(|came| !came.is_empty());
    inspected.announced = nlri;
    inspected.announced.extend(found.reached.unwrap_or_default());
    inspected.withdrawn.extend(found.unreached.map(|(_, gone)| gone).unwrap_or_default());
    inspected.discarded = found.discarded;
    if let Some(fault) = found.withdraw {
        //= https://www.rfc-editor.org/rfc/rfc7606#section-5.2
        //# if any path attribute errors are encountered in such an UPDATE message
        //# and if any encountered error specifies an error-handling approach other
        //# than "attribute discard", then the "session reset" approach MUST be
        //# used.
        if !has_place {
            return Err(UpdateError::NothingToWithdraw(fault));
        }
        inspected.treated_as_withdraw = Some(fault);
        let announced = std::mem::take(&mut inspected.announced);
        inspected.withdrawn.extend(announced);
    }
    Ok(inspected)
}

/// Withdrawn routes and attributes; what is left in the reader is the NLRI field.
fn parts<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], &'a [u8])> {
    let length = reader.short()?;
    let withdrawn = reader.bytes(usize::from(length))?;
    let length = reader.short()?;
    Some((withdrawn, reader.bytes(usize::from(length))?))
}

/// A run of prefixes. Nobody was told that we take path numbers, so there are none.
fn prefixes(family: Family, bytes: &[u8]) -> Result<Vec<Prefix>, UpdateError> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while let Some(length) = reader.byte() {
        let octets = reader.bytes(usize::from(length.div_ceil(8))).ok_or(UpdateError::Network)?;
        let prefix = match family {
            Family::Ipv4Unicast => Prefix::new(Ipv4Addr::from(padded::<4>(octets)?).into(), length),
            Family::Ipv6Unicast => Prefix::new(Ipv6Addr::from(padded::<16>(octets)?).into(), length),
        };
        found.push(prefix.map_err(|_| UpdateError::Network)?.trunc());
    }
    Ok(found)
}

fn padded<const N: usize>(octets: &[u8]) -> Result<[u8; N], UpdateError> {
    let mut address = [0; N];
    address.get_mut(..octets.len()).ok_or(UpdateError::Network)?.copy_from_slice(octets);
    Ok(address)
}

/// What one wrong attribute does.
enum Treatment {
    Withdraw(AttributeFault),
    Discard(AttributeFault),
}

use AttributeFault::{Flags, FromExternal, Length, Missing, Repeated, Value};
use Treatment::{Discard, Withdraw};

/// The attributes as they are read one after the other.
struct Attributes {
    context: UpdateContext,
    seen: BTreeSet<u8>,
    reached: Option<Vec<Prefix>>,
    /// It announces prefixes of a family that is not ours.
    is_foreign: bool,
    unreached: Option<(Option<Family>, Vec<Prefix>)>,
    withdraw: Option<Fault>,
    discarded: Vec<Fault>,
}

impl Attributes {
    const fn new(context: UpdateContext) -> Self {
        Self {
            context,
            seen: BTreeSet::new(),
            reached: None,
            is_foreign: false,
            unreached: None,
            withdraw: None,
            discarded: Vec::new(),
        }
    }

    /// The first fault counts: it is the one that an operator has to look for.
    fn treat(&mut self, attribute: u8, treatment: Treatment) {
        match treatment {
            Withdraw(fault) => {
                self.withdraw.get_or_insert(Fault { attribute, fault });
            }
            Discard(fault) => self.discarded.push(Fault { attribute, fault }),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), UpdateError> {
        let mut reader = Reader::new(bytes);
        //= https://www.rfc-editor.org/rfc/rfc4271#section-5
        //# The receiver of an UPDATE message MUST be prepared to handle path attributes
        //# within UPDATE messages that are out of order.
        while !reader.is_empty() {
            let start = reader.rest();
            let (Some(flags), Some(number)) = (reader.byte(), reader.byte()) else {
                self.treat(0, Withdraw(Length));
                return Ok(());
            };
            let length = if flags & flag::EXTENDED == 0 {
                reader.byte().map(usize::from)
            } else {
                reader.short().map(usize::from)
            };
            let is_multiprotocol = matches!(number, kind::MP_REACH_NLRI | kind::MP_UNREACH_NLRI);
            let Some(value) = length.and_then(|length| reader.bytes(length)) else {
                if is_multiprotocol {
                    return Err(UpdateError::Multiprotocol { attribute: number, bytes: start.to_vec() });
                }
                //= https://www.rfc-editor.org/rfc/rfc7606#section-4
                //# the Total Attribute Length MUST be relied upon to enable the beginning
                //# of the NLRI field to be located.
                self.treat(number, Withdraw(Length));
                return Ok(());
            };
            let raw = start.get(..start.len().saturating_sub(reader.rest().len())).unwrap_or(start);
            self.one(flags, number, value, raw)?;
        }
        Ok(())
    }

    fn one(&mut self, flags: u8, number: u8, value: &[u8], raw: &[u8]) -> Result<(), UpdateError> {
        let is_multiprotocol = matches!(number, kind::MP_REACH_NLRI | kind::MP_UNREACH_NLRI);
        if !self.seen.insert(number) {
            if is_multiprotocol {
                return Err(UpdateError::Repeated(number));
            }
            //= https://www.rfc-editor.org/rfc/rfc7606#section-3
            //# If any other attribute (whether recognized or unrecognized) appears
            //# more than once in an UPDATE message, then all the occurrences of the
            //# attribute other than the first one SHALL be discarded and the UPDATE
            //# message will continue to be processed.
            self.treat(number, Discard(Repeated));
            return Ok(());
        }
        let Some(wanted) = flags_of(number) else {
            if flags & flag::OPTIONAL == 0 {
                return Err(UpdateError::WellKnown { attribute: number, bytes: raw.to_vec() });
            }
            return Ok(());
        };
        let is_flagged_right = flags & (flag::OPTIONAL | flag::TRANSITIVE) == wanted;
        if is_multiprotocol {
            //= https://www.rfc-editor.org/rfc/rfc7606#section-5.3
            //# the MP_REACH_NLRI or MP_UNREACH_NLRI attribute of an update SHALL be
            //# considered to be incorrect if any of the following are true:
            if !is_flagged_right {
                return Err(UpdateError::Multiprotocol { attribute: number, bytes: raw.to_vec() });
            }
            self.multiprotocol(number, value).map_err(|wrong| {
                wrong.unwrap_or(UpdateError::Multiprotocol { attribute: number, bytes: raw.to_vec() })
            })?;
        }
        let treatment = if is_flagged_right {
            judge(number, value, self.context)
        } else {
            //= https://www.rfc-editor.org/rfc/rfc7606#section-3
            //# If the value of either the Optional or Transitive bits in the
            //# Attribute Flags is in conflict with their specified values, then the
            //# attribute MUST be treated as malformed and the "treat-as-withdraw"
            //# approach used, unless the specification for the attribute mandates
            //# different handling for incorrect Attribute Flags.
            Err(Withdraw(Flags))
        };
        if let Err(treatment) = treatment {
            self.treat(number, treatment);
        }
        Ok(())
    }

    /// Takes the prefixes out. Those of a family that is not ours are left where they are.
    fn multiprotocol(&mut self, number: u8, value: &[u8]) -> Result<(), Option<UpdateError>> {
        let mut reader = Reader::new(value);
        let (Some(afi), Some(safi)) = (reader.short(), reader.byte()) else { return Err(None) };
        let family = Family::from_numbers(afi, safi);
        if number == kind::MP_REACH_NLRI {
            //= https://www.rfc-editor.org/rfc/rfc7606#section-7.11
            //# If the Length of Next Hop Network Address field of the MP_REACH
            //# attribute is inconsistent with that which was expected, the attribute
            //# is considered malformed.
            let next_hop = reader.counted().ok_or(None)?;
            let fits = match family {
                Some(Family::Ipv4Unicast) => matches!(next_hop.len(), 4 | 16 | 32),
                Some(Family::Ipv6Unicast) => matches!(next_hop.len(), 16 | 32),
                None => true,
            };
            if !fits || reader.byte().is_none() {
                return Err(None);
            }
        }
        let found = match family {
            Some(family) => prefixes(family, reader.rest()).map_err(Some)?,
            None => Vec::new(),
        };
        if number == kind::MP_REACH_NLRI {
            self.is_foreign = family.is_none();
            self.reached = Some(found);
        } else {
            self.unreached = Some((family, found));
        }
        Ok(())
    }

    //= https://www.rfc-editor.org/rfc/rfc7606#section-3
    //# If any of the well-known mandatory attributes are not present in an
    //# UPDATE message, then "treat-as-withdraw" MUST be used.
    fn demand_mandatory(&mut self, has_nlri: bool) {
        if !has_nlri && self.reached.as_ref().is_none_or(Vec::is_empty) {
            return;
        }
        let mandatory = [
            (kind::ORIGIN, true),
            (kind::AS_PATH, true),
            (kind::NEXT_HOP, has_nlri),
            (kind::LOCAL_PREF, self.context.internal),
        ];
        for (number, is_needed) in mandatory {
            if is_needed && !self.seen.contains(&number) {
                self.treat(number, Withdraw(Missing));
            }
        }
    }
}

/// The two flags that an attribute known here has to have.
const fn flags_of(number: u8) -> Option<u8> {
    Some(match number {
        kind::ORIGIN | kind::AS_PATH | kind::NEXT_HOP | kind::LOCAL_PREF | kind::ATOMIC_AGGREGATE => flag::TRANSITIVE,
        kind::MULTI_EXIT_DISC
        | kind::ORIGINATOR_ID
        | kind::CLUSTER_LIST
        | kind::MP_REACH_NLRI
        | kind::MP_UNREACH_NLRI => flag::OPTIONAL,
        kind::AGGREGATOR
        | kind::COMMUNITIES
        | kind::EXTENDED_COMMUNITIES
        | kind::AS4_PATH
        | kind::AS4_AGGREGATOR
        | kind::LARGE_COMMUNITY => flag::OPTIONAL | flag::TRANSITIVE,
        _ => return None,
    })
}

/// The table of RFC 7606 §7, with RFC 8092 §6 for large communities and RFC 6793 §6 for the attributes of four octets.
fn judge(number: u8, value: &[u8], context: UpdateContext) -> Result<(), Treatment> {
    let length = value.len();
    let demand = |holds: bool, treatment: Treatment| if holds { Ok(()) } else { Err(treatment) };
    match number {
        kind::ORIGIN => {
            demand(length == 1, Withdraw(Length))?;
            demand(value.first().is_some_and(|origin| *origin <= 2), Withdraw(Value))
        }
        kind::AS_PATH => demand(is_path(value, context.four_octet_as, context.internal), Withdraw(Value)),
        kind::NEXT_HOP | kind::MULTI_EXIT_DISC => demand(length == 4, Withdraw(Length)),
        //= https://www.rfc-editor.org/rfc/rfc7606#section-7.5
        //# if the LOCAL_PREF attribute is received from an external neighbor, it
        //# SHALL be discarded using the approach of "attribute discard"
        kind::LOCAL_PREF | kind::ORIGINATOR_ID | kind::CLUSTER_LIST if !context.internal => Err(Discard(FromExternal)),
        kind::LOCAL_PREF | kind::ORIGINATOR_ID => demand(length == 4, Withdraw(Length)),
        kind::CLUSTER_LIST | kind::COMMUNITIES => demand(is_multiple(length, 4), Withdraw(Length)),
        kind::EXTENDED_COMMUNITIES => demand(is_multiple(length, 8), Withdraw(Length)),
        kind::LARGE_COMMUNITY => demand(is_multiple(length, 12), Withdraw(Length)),
        kind::ATOMIC_AGGREGATE => demand(length == 0, Discard(Length)),
        kind::AGGREGATOR => {
            let octets = if context.four_octet_as { 4 } else { 2 };
            demand(length == octets + 4, Discard(Length))?;
            demand(value.iter().take(octets).any(|octet| *octet != 0), Discard(Value))
        }
        // Between two speakers of four octets these have no business; else a wrong one is passed over (RFC 6793 §6).
        kind::AS4_PATH => demand(!context.four_octet_as && is_path(value, true, context.internal), Discard(Value)),
        kind::AS4_AGGREGATOR => demand(!context.four_octet_as && length == 8, Discard(Length)),
        _ => Ok(()),
    }
}

const fn is_multiple(length: usize, unit: usize) -> bool {
    length != 0 && length.is_multiple_of(unit)
}

/// Is this a path of RFC 4271, without the system zero (RFC 7607) and, from outside, without a confederation's segments
/// (RFC 5065 §5.3)?
fn is_path(value: &[u8], four_octets: bool, internal: bool) -> bool {
    let mut reader = Reader::new(value);
    while let Some(kind) = reader.byte() {
        let known = match kind {
            segment::AS_SET | segment::AS_SEQUENCE => true,
            segment::AS_CONFED_SEQUENCE | segment::AS_CONFED_SET => internal,
            _ => false,
        };
        let Some(count) = reader.byte().filter(|count| known && *count != 0) else { return false };
        for _ in 0..count {
            let number = if four_octets { reader.long() } else { reader.short().map(u32::from) };
            //= https://www.rfc-editor.org/rfc/rfc7607#section-2
            //# An UPDATE message that contains the AS number zero in the AS_PATH or
            //# AGGREGATOR attribute MUST be considered as malformed and be handled
            //# by the procedures specified in [RFC7606].
            if number.is_none_or(|number| number == 0) {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests;
