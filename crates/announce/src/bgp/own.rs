//! Who this node is in BGP: AS number and identifier.

use std::net::{IpAddr, Ipv4Addr};

use ironlb_model::{Asn, Node, OwnSide, Snapshot};

use crate::{LocalView, Reason};

/// Who this node is in BGP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBgp {
    /// Its AS number.
    pub asn: Asn,
    /// Its BGP identifier (RFC 6286: any number but zero).
    pub router_id: Ipv4Addr,
    /// The port it listens on; `None` does not listen.
    pub listen_port: Option<u16>,
    /// The addresses it listens on; empty is all.
    pub listen_addresses: Vec<IpAddr>,
    /// The value of its rack label, where racks limit on whose behalf it advertises.
    pub rack: Option<String>,
}

/// OpenELB's label for the rack of a node.
const RACK: &str = "openelb.kubesphere.io/rack";

/// Reads it from the BgpConf and the node.
pub(super) fn own(snapshot: &Snapshot, view: &LocalView) -> Result<OwnBgp, Reason> {
    if let Some(workload) = snapshot.openelb.first() {
        return Err(Reason::OpenElbRunning { workload: workload.clone() });
    }
    let conf = default_conf(snapshot).ok_or(Reason::BgpNotConfigured)?;
    let node = snapshot.nodes.get(&view.node).ok_or(Reason::NodeMissing)?;
    let rack = rack_of(node, conf);
    let of_rack = rack.and_then(|rack| conf.as_per_rack.as_ref()?.get(rack).copied());
    // With an AS number of its own a rack has the nodes' own identifiers, as in OpenELB.
    let configured = if rack.is_some() { None } else { conf.router_id };
    Ok(OwnBgp {
        asn: of_rack.or(conf.asn).ok_or(Reason::BgpNotConfigured)?,
        router_id: configured.unwrap_or_else(|| router_id(node)),
        listen_port: conf.listen_port,
        listen_addresses: conf.listen_addresses.clone(),
        rack: rack.map(str::to_owned),
    })
}

/// The BgpConf that counts.
pub(super) fn default_conf(snapshot: &Snapshot) -> Option<&OwnSide> {
    // Only the one named `default` has a side of its own: the others were ignored when they were read.
    snapshot.bgp_confs.values().find_map(|conf| conf.own_side.as_ref())
}

/// The rack of a node, where racks matter.
pub(super) fn rack_of<'a>(node: &'a Node, conf: &OwnSide) -> Option<&'a str> {
    conf.as_per_rack.as_ref()?;
    node.labels.get(RACK).filter(|rack| !rack.is_empty())
}

/// A node's own BGP identifier: its first IPv4 InternalIP, else 32 bits of FNV-1a of its name (RFC 6286 asks for a number that no other
/// speaker of the AS has, and for nothing else).
#[must_use]
pub fn router_id(node: &Node) -> Ipv4Addr {
    let own = node.addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) if !address.is_unspecified() => Some(*address),
        _ => None,
    });
    own.unwrap_or_else(|| {
        // FNV-1a: offset basis and prime of the 32-bit variant.
        let hash = node
            .name
            .as_str()
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Ipv4Addr::from(hash.max(1))
    })
}
