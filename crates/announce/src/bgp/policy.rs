//! What a policy makes of a route on its way to one peer.
//!
//! As in GoBGP: the routes of this node go through the import chain when they are made, and through the export chain towards each peer;
//! the first statement that decides ends a chain, and what a statement has changed stays changed for the next one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{
    Chain, Comparison, Disposition, IpFamily, MatchOption, Pattern, Policy, Prefix, RouteAction, RouteCondition,
};

use super::routes::{RouteAttributes, RouteValue};

/// The two ends of the session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) local: IpAddr,
    /// An unnumbered peer has no address that a policy could name.
    pub(super) peer: Option<IpAddr>,
}

/// The route as it goes out, or nothing.
pub(super) fn apply(policy: &Policy, prefix: Prefix, route: RouteValue, ends: Ends) -> Option<RouteValue> {
    let RouteValue { next_hop, attributes } = route;
    let mut passage = Passage { prefix, next_hop, attributes: Arc::unwrap_or_clone(attributes), ends };
    let goes_on = passage.through(&policy.import) && passage.through(&policy.export);
    goes_on.then(|| RouteValue { next_hop: passage.next_hop, attributes: Arc::new(passage.attributes) })
}

/// A route on its way.
struct Passage {
    prefix: Prefix,
    next_hop: IpAddr,
    attributes: RouteAttributes,
    ends: Ends,
}

impl Passage {
    fn through(&mut self, chain: &Chain) -> bool {
        for statement in &chain.statements {
            if statement.conditions.iter().all(|condition| self.meets(condition)) {
                statement.actions.iter().for_each(|action| self.change(action));
                if let Some(disposition) = statement.disposition {
                    return disposition == Disposition::Accept;
                }
            }
        }
        chain.default == Disposition::Accept
    }

    fn meets(&self, condition: &RouteCondition) -> bool {
        match condition {
            RouteCondition::Prefix(option, ranges) => {
                let length = self.prefix.prefix_len();
                let is_in = ranges.iter().any(|range| {
                    (range.least..=range.most).contains(&length) && range.prefix.contains(&self.prefix.network())
                });
                is_in != (*option == MatchOption::Invert)
            }
            // GoBGP: an empty set holds for everybody.
            RouteCondition::Neighbor(_, prefixes) if prefixes.is_empty() => true,
            RouteCondition::Neighbor(option, prefixes) => self.ends.peer.is_some_and(|peer| {
                prefixes.iter().any(|prefix| prefix.contains(&peer)) != (*option == MatchOption::Invert)
            }),
            RouteCondition::AsPathLength(comparison, length) => {
                let own = u32::try_from(self.attributes.as_path.len()).unwrap_or(u32::MAX);
                match comparison {
                    Comparison::Equal => own == *length,
                    Comparison::AtLeast => own >= *length,
                    Comparison::AtMost => own <= *length,
                }
            }
            RouteCondition::AsPath(option, patterns) => {
                let path: Vec<String> = self.attributes.as_path.iter().map(ToString::to_string).collect();
                found(*option, patterns, &[path.join(" ")])
            }
            RouteCondition::Community(option, patterns) => {
                let texts: Vec<String> =
                    self.attributes.communities.iter().map(|c| format!("{}:{}", c >> 16, c & 0xFFFF)).collect();
                found(*option, patterns, &texts)
            }
            RouteCondition::LargeCommunity(option, patterns) => {
                let texts: Vec<String> =
                    self.attributes.large_communities.iter().map(|[a, b, c]| format!("{a}:{b}:{c}")).collect();
                found(*option, patterns, &texts)
            }
            RouteCondition::ExtCommunity(option, patterns) => {
                let texts: BTreeSet<(u8, String)> =
                    self.attributes.ext_communities.iter().filter_map(text_of).collect();
                let matches = |(kind, pattern): &(u8, Pattern)| {
                    texts.iter().any(|(other, text)| other == kind && pattern.is_match(text))
                };
                option.holds(patterns, matches)
            }
            RouteCondition::IsLocal(is_local) => *is_local,
            RouteCondition::NextHop(prefixes) => prefixes.iter().any(|prefix| prefix.contains(&self.next_hop)),
            RouteCondition::Family(families) => families.contains(&IpFamily::of(self.prefix.network())),
        }
    }

    fn change(&mut self, action: &RouteAction) {
        let attributes = &mut self.attributes;
        match action {
            RouteAction::Communities(option, members) => option.change(&mut attributes.communities, members),
            RouteAction::ExtCommunities(option, members) => option.change(&mut attributes.ext_communities, members),
            RouteAction::LargeCommunities(option, members) => option.change(&mut attributes.large_communities, members),
            RouteAction::Med(number) => attributes.med = Some(*number),
            RouteAction::MedBy(difference) => {
                // RFC 4271 section 5.1.4: a missing MED is the lowest.
                let changed = i64::from(attributes.med.unwrap_or(0)).saturating_add(*difference);
                attributes.med = Some(u32::try_from(changed.max(0)).unwrap_or(u32::MAX));
            }
            RouteAction::Prepend(number, times) => {
                if let Some(number) = number.or_else(|| attributes.as_path.first().copied()) {
                    let mut path = vec![number; usize::from(*times)];
                    path.append(&mut attributes.as_path);
                    attributes.as_path = path;
                }
            }
            RouteAction::NextHop(address) => self.next_hop = address.unwrap_or(self.ends.local),
            // It is for internal peers only (RFC 4271 section 5.1.5), and those always have one.
            RouteAction::LocalPref(number) => {
                attributes.local_pref = attributes.local_pref.map(|_| *number);
            }
        }
    }
}

fn found(option: MatchOption, patterns: &[Pattern], texts: &[String]) -> bool {
    option.holds(patterns, |pattern| texts.iter().any(|text| pattern.is_match(text)))
}

/// The sub-type and the value of an extended community of two or four octets of AS number (RFC 4360, RFC 5668).
fn text_of(community: &[u8; 8]) -> Option<(u8, String)> {
    let [kind, subtype, a, b, c, d, e, f] = *community;
    match kind & 0x3F {
        0x00 => Some((subtype, format!("{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])))),
        0x02 => Some((subtype, format!("{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f])))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
