//! Which node a vip prefers: the rendezvous hash every speaker computes alike.
//!
//! Byte by byte, so that speakers of every version agree:
//!
//! ```text
//! fnv(bytes)    = FNV-1a, 64 bit: h = 0xcbf29ce484222325; for each byte b: h = (h XOR b) * 0x00000100000001b3 mod 2^64
//! mix(z)        = z ^= z >> 30; z *= 0xbf58476d1ce4e5b9; z ^= z >> 27; z *= 0x94d049bb133111eb; z ^= z >> 31   (mod 2^64)
//! node key      = mix(fnv(the node's name in UTF-8))
//! vip key       = mix(fnv(0x04 and 4 octets, or 0x06 and 16 octets, network order))
//! score         = mix(node key XOR vip key)
//! ```
//!
//! The node with the highest score is preferred; of two equal scores the name that sorts first. FNV-1a is
//! <https://datatracker.ietf.org/doc/html/rfc9923>; `mix` is the finaliser of `SplitMix64`. Chosen, because an election looks at a million
//! pairs: with both keys at hand a pair costs six operations, and nobody gains by aiming at a node.

use std::cmp::Ordering;
use std::net::IpAddr;

use crate::NodeName;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A node's part of the hash, computed once for many vips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeKey(u64);

/// A vip's part of the hash, computed once for many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VipKey(u64);

impl NodeKey {
    /// Of this node.
    #[must_use]
    pub fn of(node: &NodeName) -> Self {
        Self(mix(fnv(node.as_str().bytes())))
    }

    /// How much this vip prefers this node; the highest wins.
    #[must_use]
    pub fn score(self, vip: VipKey) -> u64 {
        mix(self.0 ^ vip.0)
    }
}

impl VipKey {
    /// Of this vip.
    #[must_use]
    pub fn of(vip: IpAddr) -> Self {
        Self(mix(match vip {
            IpAddr::V4(address) => fnv([4].into_iter().chain(address.octets())),
            IpAddr::V6(address) => fnv([6].into_iter().chain(address.octets())),
        }))
    }
}

/// Which of two nodes does `vip` prefer? `Greater` means the first.
#[must_use]
pub fn compare_preference(vip: IpAddr, a: &NodeName, b: &NodeName) -> Ordering {
    let key = VipKey::of(vip);
    NodeKey::of(a).score(key).cmp(&NodeKey::of(b).score(key)).then_with(|| b.cmp(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_hash_is_what_its_description_says() {
        // Computed from the description by a separate program; a change here splits clusters of two versions.
        for (node, address, node_key, vip_key, score) in VECTORS {
            let (n, v) = (NodeKey::of(&(*node).into()), VipKey::of(vip(address)));
            assert_eq!((n.0, v.0, n.score(v)), (*node_key, *vip_key, *score), "{node} {address}");
        }
    }

    #[test]
    fn fnv_agrees_with_its_published_vectors() {
        // RFC 9923: the empty string, "a", "foobar".
        assert_eq!(fnv([]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv(*b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn nodes_get_even_shares() {
        let nodes: Vec<NodeName> = (0..10).map(|n| NodeName::from(format!("node-{n}"))).collect();
        let mut shares = [0_u32; 10];
        for n in 0..10_000_u32 {
            let address = IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n));
            let best = (0..10).max_by(|a, b| compare_preference(address, &nodes[*a], &nodes[*b])).unwrap();
            shares[best] += 1;
        }
        // 1000 each; six standard deviations (30 each) is 180.
        assert!(shares.iter().all(|share| (820..=1180).contains(share)), "{shares:?}");
    }

    #[test]
    fn preference_is_a_total_order() {
        let address = vip("192.0.2.1");
        let (a, b): (NodeName, NodeName) = ("a".into(), "b".into());
        assert_eq!(compare_preference(address, &a, &a), Ordering::Equal);
        assert_eq!(compare_preference(address, &a, &b), compare_preference(address, &b, &a).reverse());
    }

    const VECTORS: &[(&str, &str, u64, u64, u64)] = &[
        ("", "0.0.0.0", 0xf52a_15e9_a9b5_e89b, 0xc529_6f98_aca3_ea80, 0xbdc6_b86c_5ed5_5ab3),
        ("node-1", "192.0.2.1", 0x1395_0d4e_f307_e655, 0xb886_a149_d105_d033, 0xaeb4_a1f9_952f_71f3),
        ("node-2", "192.0.2.1", 0xc8c9_d86c_1e83_187b, 0xb886_a149_d105_d033, 0xe0ae_9fe0_f34a_f72c),
        ("worker.example.org", "2001:db8::1", 0x9b3b_52f9_1425_5eb1, 0xe669_f80a_5808_2337, 0x52e9_0d53_b82d_df3c),
        ("n1", "::ffff:192.0.2.1", 0xf8e4_6110_455c_6e53, 0x94b0_06ed_b53f_e481, 0x9032_d73a_69c7_b3fa),
    ];
}
