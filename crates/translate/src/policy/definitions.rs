//! `policy-definitions`: statements with their conditions and actions.

use std::collections::{BTreeMap, BTreeSet};

use ironlb_model::{Comparison, IpFamily, IssueReason, MatchOption, RouteAction, RouteCondition, SetOption, Statement};

use super::file::{BgpActions, Conditions, WrittenStatement};
use super::sets::{Sets, prefix};
use super::{Faults, disposition};
use crate::bgp::{community, large_community};
use crate::quote::quoted;

/// Reads one; `None` when something in it cannot be read, which is told.
pub(super) fn statement(given: &WrittenStatement, policy: &str, sets: &Sets, faults: &mut Faults) -> Option<Statement> {
    let place = format!("policy {}, statement {}", quoted(policy), quoted(&given.name));
    let read = conditions(&given.conditions, sets)
        .and_then(|conditions| Ok((conditions, actions(&given.actions.bgp_actions)?)));
    match read {
        Ok((conditions, actions)) => Some(Statement {
            name: given.name.clone(),
            conditions,
            actions,
            disposition: disposition(&given.actions.route_disposition, &place, faults),
        }),
        Err(said) => {
            faults.add(&place, IssueReason::InvalidField, &said);
            None
        }
    }
}

fn conditions(given: &Conditions, sets: &Sets) -> Result<Vec<RouteCondition>, String> {
    let mut all = Vec::new();
    if let Some(set) = &given.match_prefix_set {
        all.push(RouteCondition::Prefix(option(&set.match_set_options)?, named(&sets.prefixes, &set.prefix_set)?));
    }
    if let Some(set) = &given.match_neighbor_set {
        all.push(RouteCondition::Neighbor(option(&set.match_set_options)?, named(&sets.neighbors, &set.neighbor_set)?));
    }
    let given = &given.bgp_conditions;
    if let Some(set) = &given.match_community_set {
        let members = named(&sets.communities, &set.community_set)?;
        all.push(RouteCondition::Community(option(&set.match_set_options)?, members));
    }
    if let Some(set) = &given.match_ext_community_set {
        let members = named(&sets.ext_communities, &set.ext_community_set)?;
        all.push(RouteCondition::ExtCommunity(option(&set.match_set_options)?, members));
    }
    if let Some(set) = &given.match_large_community_set {
        let members = named(&sets.large_communities, &set.large_community_set)?;
        all.push(RouteCondition::LargeCommunity(option(&set.match_set_options)?, members));
    }
    if let Some(set) = &given.match_as_path_set {
        all.push(RouteCondition::AsPath(option(&set.match_set_options)?, named(&sets.as_paths, &set.as_path_set)?));
    }
    if let Some(length) = &given.as_path_length {
        let comparison = match length.operator.as_str() {
            "eq" => Comparison::Equal,
            "ge" => Comparison::AtLeast,
            "le" => Comparison::AtMost,
            other => return Err(format!("{} is none of eq, ge, le", quoted(other))),
        };
        all.push(RouteCondition::AsPathLength(comparison, length.value));
    }
    match given.route_type.as_str() {
        "" | "none" => (),
        "local" => all.push(RouteCondition::IsLocal(true)),
        "internal" | "external" => all.push(RouteCondition::IsLocal(false)),
        other => return Err(format!("{} is none of local, internal, external", quoted(other))),
    }
    if !given.next_hop_in_list.is_empty() {
        let hops: Result<Vec<_>, _> = given.next_hop_in_list.iter().map(|text| prefix(text)).collect();
        all.push(RouteCondition::NextHop(hops?));
    }
    if !given.afi_safi_in_list.is_empty() {
        // Other families have no routes here, so they hold for none.
        let families = given.afi_safi_in_list.iter().filter_map(|name| match name.as_str() {
            "ipv4-unicast" => Some(IpFamily::V4),
            "ipv6-unicast" => Some(IpFamily::V6),
            _ => None,
        });
        all.push(RouteCondition::Family(families.collect()));
    }
    Ok(all)
}

fn option(word: &str) -> Result<MatchOption, String> {
    match word.to_ascii_lowercase().as_str() {
        "" | "any" => Ok(MatchOption::Any),
        "all" => Ok(MatchOption::All),
        "invert" => Ok(MatchOption::Invert),
        other => Err(format!("{} is none of any, all, invert", quoted(other))),
    }
}

fn named<T: Clone>(sets: &BTreeMap<String, T>, name: &str) -> Result<T, String> {
    sets.get(name).cloned().ok_or_else(|| format!("there is no readable set {}", quoted(name)))
}

fn actions(given: &BgpActions) -> Result<Vec<RouteAction>, String> {
    let mut all = Vec::new();
    if let Some(set) = &given.set_community {
        let members = members(&set.set_community_method.communities_list, community)?;
        all.push(RouteAction::Communities(set_option(&set.options)?, members));
    }
    if let Some(set) = &given.set_ext_community {
        let members = members(&set.set_ext_community_method.communities_list, ext_community)?;
        all.push(RouteAction::ExtCommunities(set_option(&set.options)?, members));
    }
    if let Some(set) = &given.set_large_community {
        let members = members(&set.set_large_community_method.communities_list, large_community)?;
        all.push(RouteAction::LargeCommunities(set_option(&set.options)?, members));
    }
    all.extend(med(&given.set_med)?);
    all.extend(given.set_local_pref.map(RouteAction::LocalPref));
    if let Some(set) = &given.set_as_path_prepend {
        let number = match set.asn.as_str() {
            "last-as" => None,
            text => Some(
                text.parse()
                    .ok()
                    .filter(|number| *number != 0)
                    .ok_or_else(|| format!("{} is no AS number", quoted(text)))?,
            ),
        };
        all.push(RouteAction::Prepend(number, set.repeat_n));
    }
    match given.set_next_hop.as_str() {
        "" => (),
        "self" => all.push(RouteAction::NextHop(None)),
        text => {
            let address = text.parse().map_err(|_| format!("{} is neither self nor an address", quoted(text)))?;
            all.push(RouteAction::NextHop(Some(address)));
        }
    }
    Ok(all)
}

/// `100` sets it, `+10` and `-10` change it.
fn med(text: &str) -> Result<Option<RouteAction>, String> {
    let wrong = || format!("{} is no MED: write 100, +10 or -10", quoted(text));
    let bounded = |number: &i64| number.unsigned_abs() <= u64::from(u32::MAX);
    match text.as_bytes().first() {
        None => Ok(None),
        Some(b'+' | b'-') => {
            text.parse().ok().filter(bounded).map(|number| Some(RouteAction::MedBy(number))).ok_or_else(wrong)
        }
        Some(_) => text.parse().map(|number| Some(RouteAction::Med(number))).map_err(|_| wrong()),
    }
}

fn set_option(word: &str) -> Result<SetOption, String> {
    match word.to_ascii_lowercase().as_str() {
        "add" => Ok(SetOption::Add),
        "remove" => Ok(SetOption::Remove),
        "replace" => Ok(SetOption::Replace),
        other => Err(format!("{} is none of add, remove, replace", quoted(other))),
    }
}

fn members<T: Ord>(given: &[String], read: fn(&str) -> Result<T, String>) -> Result<BTreeSet<T>, String> {
    given.iter().map(|text| read(text)).collect()
}

/// `rt:65000:1`, `soo:65000:1` of two octets (RFC 4360) or four (RFC 5668), `lb:65000:1250000`, the bandwidth in bytes a second.
fn ext_community(text: &str) -> Result<[u8; 8], String> {
    let wrong =
        || format!("{} is no extended community: write rt:65000:1, soo:65000:1 or lb:65000:1250000", quoted(text));
    let mut parts = text.split(':');
    let (Some(kind), Some(asn), Some(value), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let asn: u32 = asn.parse().map_err(|_| wrong())?;
    let kind = kind.to_ascii_lowercase();
    if kind == "lb" {
        // draft-ietf-idr-link-bandwidth: non-transitive, two octets of AS number, a float.
        let asn = u16::try_from(asn).map_err(|_| wrong())?.to_be_bytes();
        let bandwidth: f32 = value.parse().map_err(|_| wrong())?;
        let [a, b] = asn;
        let [c, d, e, f] = bandwidth.to_be_bytes();
        return Ok([0x40, 0x04, a, b, c, d, e, f]);
    }
    let subtype = match kind.as_str() {
        "rt" => 0x02,
        "soo" => 0x03,
        _ => return Err(wrong()),
    };
    let number: u32 = value.parse().map_err(|_| wrong())?;
    if let Ok(asn) = u16::try_from(asn) {
        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), number.to_be_bytes());
        return Ok([0x00, subtype, a, b, c, d, e, f]);
    }
    let ([a, b, c, d], [e, f]) = (asn.to_be_bytes(), u16::try_from(number).map_err(|_| wrong())?.to_be_bytes());
    Ok([0x02, subtype, a, b, c, d, e, f])
}
