//! A router that reads only the bytes, by another codec than ours, and keeps what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use ironlb_model::Prefix;
use rustbgpd_wire::{
    Afi, AsPathSegment, Message, NlriEntry, PathAttribute, RouteRefreshSubtype, Safi, UpdateMessage, decode_message,
};

use crate::{Attributes, Community, Family, Negotiated, NextHop, Routes, Spelling};

/// What a router would say of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) next_hop: Option<IpAddr>,
    pub(crate) link_local: Option<Ipv6Addr>,
    pub(crate) path: Vec<u32>,
    pub(crate) med: Option<u32>,
    pub(crate) local_pref: Option<u32>,
    pub(crate) communities: BTreeSet<u32>,
    pub(crate) large: BTreeSet<[u32; 3]>,
    pub(crate) extended: BTreeSet<u64>,
}

pub(crate) type Key = (Prefix, u32);

/// The router. `panic` here is an assertion that failed: it runs in tests alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelPeer {
    pub(crate) four_octets: bool,
    pub(crate) add_path: BTreeSet<Family>,
    pub(crate) table: BTreeMap<Key, View>,
    pub(crate) ends_of_rib: BTreeMap<Family, usize>,
    pub(crate) messages: usize,
    /// Between the marks of a second sending: what has not been said again.
    stale: BTreeMap<Family, BTreeSet<Key>>,
    pub(crate) refreshes: usize,
    /// Routes that were said again although nothing had changed, outside of a refresh.
    pub(crate) repeats: usize,
    /// Withdrawals of what was not there.
    pub(crate) needless: usize,
    /// A prefix of several paths was without any in between.
    pub(crate) gaps: BTreeSet<Prefix>,
}

impl ModelPeer {
    pub(crate) fn new(session: &Negotiated) -> Self {
        let several = session.families.iter().filter(|(_, family)| family.add_path.is_some());
        Self {
            four_octets: session.four_octet_as,
            add_path: several.map(|(family, _)| *family).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn read(&mut self, message: &[u8], limit: u16) {
        assert!(message.len() <= usize::from(limit), "{} bytes", message.len());
        let mut bytes = message.to_vec().into();
        match decode_message(&mut bytes, limit).expect("another codec reads it") {
            Message::Update(update) => self.update(&update),
            Message::RouteRefresh(refresh) => {
                let family = Family::from_numbers(refresh.afi_raw, refresh.safi_raw).expect("ours");
                match refresh.subtype() {
                    RouteRefreshSubtype::BoRR => {
                        assert!(self.ends_of_rib.contains_key(&family), "a refresh before the first End-of-RIB");
                        let all = self.table.keys().filter(|(prefix, _)| Family::of(*prefix) == family);
                        self.stale.insert(family, all.copied().collect());
                    }
                    RouteRefreshSubtype::EoRR => {
                        self.refreshes += 1;
                        for key in self.stale.remove(&family).expect("an end without a begin") {
                            self.table.remove(&key);
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
            other => panic!("{other:?}"),
        }
        assert!(bytes.is_empty());
        self.messages += 1;
    }

    fn update(&mut self, update: &UpdateMessage) {
        let families: Vec<_> = self.add_path.iter().map(|family| (afi(*family), Safi::Unicast)).collect();
        let ipv4_paths = self.add_path.contains(&Family::Ipv4Unicast);
        let parsed = update.parse_revised(self.four_octets, false, ipv4_paths, &families).expect("parses");
        assert!(parsed.malformed.is_empty(), "{:?}", parsed.malformed);
        let parsed = parsed.update;
        let (mut came, mut gone) = (Vec::new(), Vec::new());
        let ipv4 = |entry: &rustbgpd_wire::nlri::Ipv4NlriEntry| -> Key {
            (Prefix::new(entry.prefix.addr.into(), entry.prefix.len).expect("a prefix"), entry.path_id)
        };
        came.extend(parsed.announced.iter().map(ipv4));
        gone.extend(parsed.withdrawn.iter().map(ipv4));
        let mut view = View {
            next_hop: None,
            link_local: None,
            path: Vec::new(),
            med: None,
            local_pref: None,
            communities: BTreeSet::new(),
            large: BTreeSet::new(),
            extended: BTreeSet::new(),
        };
        let mut as4 = None;
        for attribute in &parsed.attributes {
            match attribute {
                PathAttribute::MpReachNlri(reach) => {
                    view.next_hop = Some(reach.next_hop);
                    view.link_local = reach.link_local_next_hop;
                    came.extend(reach.announced.iter().map(key));
                }
                PathAttribute::MpUnreachNlri(unreach) => {
                    if unreach.withdrawn.is_empty() {
                        *self.ends_of_rib.entry(Family::Ipv6Unicast).or_default() += 1;
                    }
                    gone.extend(unreach.withdrawn.iter().map(key));
                }
                PathAttribute::NextHop(address) => view.next_hop = Some((*address).into()),
                PathAttribute::AsPath(path) => {
                    for segment in &path.segments {
                        let AsPathSegment::AsSequence(numbers) = segment else { panic!("{segment:?}") };
                        view.path.extend(numbers);
                    }
                }
                PathAttribute::Med(med) => view.med = Some(*med),
                PathAttribute::LocalPref(preference) => view.local_pref = Some(*preference),
                PathAttribute::Communities(all) => view.communities.extend(all),
                PathAttribute::LargeCommunities(all) => {
                    view.large.extend(all.iter().map(|c| [c.global_admin, c.local_data1, c.local_data2]));
                }
                PathAttribute::ExtendedCommunities(all) => view.extended.extend(all.iter().map(|c| c.as_u64())),
                PathAttribute::Unknown(raw) if raw.type_code == 17 => as4 = Some(raw.data.to_vec()),
                PathAttribute::Origin(_) => {}
                other => panic!("{other:?}"),
            }
        }
        if let Some(as4) = as4 {
            // One sequence, four octets each: what two octets could not say.
            view.path = as4[2..].chunks(4).map(|n| u32::from_be_bytes(n.try_into().expect("four octets"))).collect();
        }
        if came.is_empty() && gone.is_empty() && parsed.attributes.is_empty() {
            *self.ends_of_rib.entry(Family::Ipv4Unicast).or_default() += 1;
        }
        self.apply(&came, &gone, &view);
    }

    fn apply(&mut self, came: &[Key], gone: &[Key], view: &View) {
        assert!(came.iter().all(|key| !gone.contains(key)), "one route comes and goes in one message");
        for key in gone {
            self.needless += usize::from(self.table.remove(key).is_none());
            if self.count_of(key.0) == 0 {
                self.gaps.insert(key.0);
            }
        }
        for key in came {
            let is_stale = self.stale.get_mut(&Family::of(key.0)).is_some_and(|stale| stale.remove(key));
            let before = self.table.insert(*key, view.clone());
            self.repeats += usize::from(!is_stale && before.as_ref() == Some(view));
        }
    }

    fn count_of(&self, prefix: Prefix) -> usize {
        self.table.range((prefix, 0)..=(prefix, u32::MAX)).count()
    }
}

fn key(entry: &NlriEntry) -> Key {
    let prefix = match entry.prefix {
        rustbgpd_wire::nlri::Prefix::V4(prefix) => Prefix::new(prefix.addr.into(), prefix.len),
        rustbgpd_wire::nlri::Prefix::V6(prefix) => Prefix::new(prefix.addr.into(), prefix.len),
    };
    (prefix.expect("a prefix"), entry.path_id)
}

const fn afi(family: Family) -> Afi {
    match family {
        Family::Ipv4Unicast => Afi::Ipv4,
        Family::Ipv6Unicast => Afi::Ipv6,
    }
}

/// The table that a peer should end with, written down from the words of the types and not from the code that spells them.
pub(crate) fn expected(routes: &Routes, session: &Negotiated, spelling: &Spelling) -> BTreeMap<Key, View> {
    let mut table = BTreeMap::new();
    let mut paths: BTreeMap<Prefix, usize> = BTreeMap::new();
    for (key, attributes) in routes {
        let Some(family) = session.families.get(&key.family()) else { continue };
        let Some((next_hop, link_local)) = next_hop(attributes, key.family(), session, spelling) else { continue };
        let sent = paths.entry(key.prefix).or_default();
        if *sent >= family.add_path.map_or(1, |most| most.get().into()) {
            continue;
        }
        *sent += 1;
        let path = if family.add_path.is_some() { key.path.0 } else { 0 };
        table.insert((key.prefix, path), view(attributes, session, spelling, next_hop, link_local));
    }
    table
}

fn next_hop(
    attributes: &Attributes,
    family: Family,
    session: &Negotiated,
    spelling: &Spelling,
) -> Option<(IpAddr, Option<Ipv6Addr>)> {
    let own_ipv6 = spelling.own.ipv6.map(|address| (IpAddr::from(address), spelling.own.link_local));
    let found = match attributes.next_hop {
        NextHop::Own if family == Family::Ipv6Unicast => own_ipv6?,
        NextHop::Own => spelling.own.ipv4.map(|address| (IpAddr::from(address), None)).or(own_ipv6)?,
        NextHop::Address(address) => (address, None),
        NextHop::WithLinkLocal { global, link_local } => (global.into(), Some(link_local)),
    };
    let crosses = found.0.is_ipv6() && family == Family::Ipv4Unicast;
    let fits = if crosses { session.extended_next_hop } else { found.0.is_ipv6() == (family == Family::Ipv6Unicast) };
    fits.then_some(found)
}

fn view(
    attributes: &Attributes,
    session: &Negotiated,
    spelling: &Spelling,
    next_hop: IpAddr,
    link_local: Option<Ipv6Addr>,
) -> View {
    let internal = session.local_as == session.peer_as;
    let own = if internal { 0 } else { 1 + usize::from(attributes.prepend) };
    let mut path = vec![session.local_as.get(); own];
    path.extend(attributes.as_path.iter().map(|asn| asn.get()));
    let mut communities: BTreeSet<u32> = attributes.communities.iter().map(|community| community.0).collect();
    let mut local_pref = internal.then_some(attributes.local_pref.unwrap_or(100));
    if spelling.graceful_shutdown {
        communities.insert(Community::GRACEFUL_SHUTDOWN.0);
        local_pref = local_pref.map(|_| 0);
    }
    let mut extended: BTreeSet<u64> =
        attributes.extended_communities.iter().map(|community| u64::from_be_bytes(community.0)).collect();
    if let Some(bytes) = attributes.link_bandwidth {
        let kind: u64 = if internal { 0x4004 } else { 0x0004 };
        let number = u64::from(u16::try_from(session.local_as.get()).unwrap_or(23456));
        #[expect(clippy::cast_precision_loss, reason = "a 32-bit float is what the field is")]
        let float = u64::from((bytes as f32).to_bits());
        extended.insert(kind << 48 | number << 32 | float);
    }
    View {
        next_hop: Some(next_hop),
        link_local,
        path,
        med: attributes.med,
        local_pref,
        communities,
        large: attributes.large_communities.iter().map(|community| community.0).collect(),
        extended,
    }
}
