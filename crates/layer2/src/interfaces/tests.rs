//! Netlink messages as the kernel would send them, and what they come to.

use rtnetlink::packet_route::address::AddressHeader;
use rtnetlink::packet_route::link::LinkHeader;

use super::*;

const UP: LinkFlags = LinkFlags::Up.union(LinkFlags::LowerUp);

fn link(index: u32, name: &str, flags: LinkFlags, more: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header = LinkHeader { index, flags, link_layer_type: LinkLayerType::Ether, ..LinkHeader::default() };
    message.attributes = vec![LinkAttribute::IfName(name.into())];
    message.attributes.extend(more);
    message
}

fn mac(last: u8) -> LinkAttribute {
    LinkAttribute::Address(vec![2, 0, 0, 0, 0, last])
}

fn kind(kind: InfoKind) -> LinkAttribute {
    LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])
}

fn address(index: u32, prefix_len: u8, attributes: Vec<AddressAttribute>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header = AddressHeader { index, prefix_len, ..AddressHeader::default() };
    message.attributes = attributes;
    message
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn of<'a>(interfaces: &'a Interfaces, name: &str) -> &'a Interface {
    &interfaces.by_name[&InterfaceName::from(name)]
}

#[test]
fn link_and_addresses_come_together_by_index() {
    let interfaces = assemble(
        &[link(2, "eth0", UP, vec![mac(2)])],
        &[
            address(2, 64, vec![AddressAttribute::Address(ip("fd77::1"))]),
            address(2, 24, vec![AddressAttribute::Address(ip("10.77.0.1")), AddressAttribute::Local(ip("10.77.0.1"))]),
            address(9, 24, vec![AddressAttribute::Address(ip("10.9.0.1"))]),
        ],
    );
    let eth0 = of(&interfaces, "eth0");
    assert_eq!(eth0.index, 2);
    assert_eq!(eth0.mac, Some(MacAddr([2, 0, 0, 0, 0, 2])));
    assert!(eth0.up && !eth0.loopback);
    let prefixes: Vec<_> = eth0.prefixes.iter().map(ToString::to_string).collect();
    assert_eq!(prefixes, ["10.77.0.1/24", "fd77::1/64"]);
    assert_eq!(interfaces.by_name.len(), 1);
}

#[test]
fn on_a_point_to_point_link_the_local_address_counts() {
    let interfaces = assemble(
        &[link(2, "eth0", UP, vec![mac(2)])],
        &[address(2, 32, vec![AddressAttribute::Address(ip("10.0.0.9")), AddressAttribute::Local(ip("10.0.0.1"))])],
    );
    assert_eq!(of(&interfaces, "eth0").prefixes, ["10.0.0.1/32".parse().unwrap()]);
}

#[test]
fn up_means_administratively_and_with_carrier() {
    let rows = [(UP, true), (LinkFlags::Up, false), (LinkFlags::LowerUp, false), (LinkFlags::empty(), false)];
    for (flags, up) in rows {
        let interfaces = assemble(&[link(2, "eth0", flags, vec![])], &[]);
        assert_eq!(of(&interfaces, "eth0").up, up, "{flags:?}");
    }
}

#[test]
fn ports_of_bridges_and_bonds_name_them_and_members_of_a_vrf_do_not() {
    let interfaces = assemble(
        &[
            link(2, "eth0", UP, vec![mac(2), LinkAttribute::Controller(5)]),
            link(3, "eth1", UP, vec![mac(3), LinkAttribute::Controller(6)]),
            link(4, "eth2", UP, vec![mac(4), LinkAttribute::Controller(7)]),
            link(5, "br0", UP, vec![mac(5), kind(InfoKind::Bridge)]),
            link(6, "bond0", UP, vec![mac(6), kind(InfoKind::Bond)]),
            link(7, "blue", UP, vec![mac(7), kind(InfoKind::Vrf)]),
        ],
        &[],
    );
    assert_eq!(of(&interfaces, "eth0").controller, Some("br0".into()));
    assert_eq!(of(&interfaces, "eth1").controller, Some("bond0".into()));
    assert_eq!(of(&interfaces, "eth2").controller, None);
}

#[test]
fn only_ethernet_has_a_mac() {
    let mut loopback = link(1, "lo", UP | LinkFlags::Loopback, vec![LinkAttribute::Address(vec![0; 6])]);
    loopback.header.link_layer_type = LinkLayerType::Loopback;
    let mut infiniband = link(2, "ib0", UP, vec![LinkAttribute::Address(vec![1; 20])]);
    infiniband.header.link_layer_type = LinkLayerType::Infiniband;
    let zero = link(3, "eth0", UP, vec![LinkAttribute::Address(vec![0; 6])]);
    let interfaces = assemble(&[loopback, infiniband, zero], &[]);
    for name in ["lo", "ib0", "eth0"] {
        assert_eq!(of(&interfaces, name).mac, None, "{name}");
    }
    assert!(of(&interfaces, "lo").loopback);
}
