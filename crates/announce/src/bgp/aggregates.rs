//! The aggregates this node advertises, and addresses in them that nobody uses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_model::{IpFamily, Neighbor, Prefix};

use super::routes::prefix;
use crate::BgpPlan;

impl BgpPlan {
    /// The aggregates that stand for vips of this node, each with the lowest and the highest address in it that is none of them. One
    /// that is full has the ends of its range: the ports that its vips do not serve are unused as well.
    #[must_use]
    pub fn aggregates(&self) -> BTreeMap<Prefix, [IpAddr; 2]> {
        let all = self.vips.iter().filter_map(|(vip, route)| prefix(*vip, route));
        let mut aggregates = BTreeMap::new();
        for aggregate in all.filter(|aggregate| aggregate.prefix_len() < aggregate.max_prefix_len()) {
            aggregates.entry(aggregate).or_insert_with(|| self.unused(aggregate));
        }
        aggregates
    }

    /// A router of this family by whose packets the node's rules may go.
    #[must_use]
    pub fn router(&self, family: IpFamily) -> Option<IpAddr> {
        let peerings = self.sessions.values().filter_map(|session| session.peering());
        peerings.into_iter().find_map(|peering| match peering.neighbor {
            Neighbor::Address(address) if IpFamily::of(address) == family => Some(address),
            _ => None,
        })
    }

    fn unused(&self, aggregate: Prefix) -> [IpAddr; 2] {
        let ends = [aggregate.network(), aggregate.broadcast()];
        let is_free = |address: &IpAddr| !self.vips.contains_key(address);
        // No more steps than there are vips: each but the last one lands on one.
        let [lowest, highest] = ends.map(bits);
        let up = (lowest..=highest).filter_map(|bits| address(bits, aggregate)).find(is_free);
        let down = (lowest..=highest).rev().filter_map(|bits| address(bits, aggregate)).find(is_free);
        [up.unwrap_or(ends[0]), down.unwrap_or(ends[1])]
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address of these bits, in the family of the prefix.
fn address(bits: u128, of: Prefix) -> Option<IpAddr> {
    match of {
        Prefix::V4(_) => u32::try_from(bits).ok().map(|bits| IpAddr::V4(bits.into())),
        Prefix::V6(_) => Some(IpAddr::V6(bits.into())),
    }
}
