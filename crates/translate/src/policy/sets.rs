//! `defined-sets`: what conditions look things up in.

use std::collections::BTreeMap;

use ironlb_model::{IssueReason, Pattern, Prefix, PrefixRange};

use super::Faults;
use super::file::{DefinedSets, ListedPrefix};
use crate::bgp::well_known_community;
use crate::quote::quoted;

/// The sets by name. One with a member that cannot be read is not there: whoever looks into it must not find half of it.
#[derive(Debug, Default)]
pub(super) struct Sets {
    pub(super) prefixes: BTreeMap<String, Vec<PrefixRange>>,
    pub(super) neighbors: BTreeMap<String, Vec<Prefix>>,
    pub(super) communities: BTreeMap<String, Vec<Pattern>>,
    pub(super) ext_communities: BTreeMap<String, Vec<(u8, Pattern)>>,
    pub(super) as_paths: BTreeMap<String, Vec<Pattern>>,
    pub(super) large_communities: BTreeMap<String, Vec<Pattern>>,
}

impl Sets {
    pub(super) fn read(given: &DefinedSets, faults: &mut Faults) -> Self {
        let mut sets = Self::default();
        for set in &given.prefix_sets {
            let place = format!("defined-sets.prefix-sets {}", quoted(&set.prefix_set_name));
            let read = all(&place, &set.prefix_list, faults, prefix_range);
            sets.prefixes.extend(read.map(|read| (set.prefix_set_name.clone(), read)));
        }
        for set in &given.neighbor_sets {
            let place = format!("defined-sets.neighbor-sets {}", quoted(&set.neighbor_set_name));
            let read = all(&place, &set.neighbor_info_list, faults, |text| prefix(text));
            sets.neighbors.extend(read.map(|read| (set.neighbor_set_name.clone(), read)));
        }
        let given = &given.bgp_defined_sets;
        for set in &given.community_sets {
            let place = format!("community-sets {}", quoted(&set.community_set_name));
            let read = all(&place, &set.community_list, faults, |text| community(text));
            sets.communities.extend(read.map(|read| (set.community_set_name.clone(), read)));
        }
        for set in &given.ext_community_sets {
            let place = format!("ext-community-sets {}", quoted(&set.ext_community_set_name));
            let read = all(&place, &set.ext_community_list, faults, |text| ext_community(text));
            sets.ext_communities.extend(read.map(|read| (set.ext_community_set_name.clone(), read)));
        }
        for set in &given.as_path_sets {
            let place = format!("as-path-sets {}", quoted(&set.as_path_set_name));
            let read = all(&place, &set.as_path_list, faults, |text| as_path(text));
            sets.as_paths.extend(read.map(|read| (set.as_path_set_name.clone(), read)));
        }
        for set in &given.large_community_sets {
            let place = format!("large-community-sets {}", quoted(&set.large_community_set_name));
            let read = all(&place, &set.large_community_list, faults, |text| exact_or_pattern(text, 2));
            sets.large_communities.extend(read.map(|read| (set.large_community_set_name.clone(), read)));
        }
        sets
    }
}

fn all<G, T>(place: &str, given: &[G], faults: &mut Faults, read: impl Fn(&G) -> Result<T, String>) -> Option<Vec<T>> {
    let members: Result<Vec<T>, String> = given.iter().map(read).collect();
    members.inspect_err(|said| faults.add(place, IssueReason::InvalidField, said)).ok()
}

/// An address alone is a prefix of full length.
pub(super) fn prefix(text: &str) -> Result<Prefix, String> {
    let read = text.parse().ok().or_else(|| text.parse().ok().map(|address: std::net::IpAddr| Prefix::from(address)));
    read.map(|prefix: Prefix| prefix.trunc()).ok_or_else(|| format!("{} is no prefix", quoted(text)))
}

/// `masklength-range` is `least..most`; without one the length must be the prefix' own.
fn prefix_range(given: &ListedPrefix) -> Result<PrefixRange, String> {
    let prefix = prefix(&given.ip_prefix)?;
    let range = given.masklength_range.trim();
    if range.is_empty() {
        return Ok(PrefixRange { prefix, least: prefix.prefix_len(), most: prefix.prefix_len() });
    }
    let ends = range.split_once("..").and_then(|(least, most)| Some((least.parse().ok()?, most.parse().ok()?)));
    match ends {
        Some((least, most)) if least <= most && most <= prefix.max_prefix_len() => {
            Ok(PrefixRange { prefix, least, most })
        }
        _ => Err(format!("{} is no range of lengths: write one such as 24..32", quoted(range))),
    }
}

/// One number, two with a colon, a well-known name, or a regular expression.
fn community(text: &str) -> Result<Pattern, String> {
    let number = text.parse::<u32>().ok().or_else(|| well_known_community(text));
    match number {
        Some(number) => pattern(&format!("^{}:{}$", number >> 16, number & 0xFFFF)),
        None => exact_or_pattern(text, 1),
    }
}

/// Numbers with so many colons between them are meant as they stand; all else is a regular expression.
fn exact_or_pattern(text: &str, colons: usize) -> Result<Pattern, String> {
    let is_exact = text.matches(':').count() == colons
        && text.split(':').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if is_exact { pattern(&format!("^{text}$")) } else { pattern(text) }
}

/// The sub-types of RFC 4360 and of the link bandwidth (draft-ietf-idr-link-bandwidth).
fn ext_community(text: &str) -> Result<(u8, Pattern), String> {
    let (kind, value) = text.split_once(':').unwrap_or((text, ""));
    let kind = match kind.to_ascii_lowercase().as_str() {
        "rt" => 0x02,
        "soo" => 0x03,
        "lb" => 0x04,
        _ => return Err(format!("{} begins with neither rt:, soo: nor lb:", quoted(text))),
    };
    Ok((kind, exact_or_pattern(value, 1)?))
}

/// GoBGP's sign `_` for the border of a number.
fn as_path(text: &str) -> Result<Pattern, String> {
    pattern(&text.replace('_', "(^|[,{}() ]|$)"))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|said| format!("{}: {said}", quoted(text)))
}
