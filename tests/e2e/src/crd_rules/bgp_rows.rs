//! The rows for BgpConf and BgpPeer.

use serde_json::{Value, json};

use super::rows::{Expect, In, Row};
use super::samples;

const ROUTER_ID: Expect = Expect::Reject {
    field: "spec.routerId",
    message: "invalid router id: spec.routerId must be an IPv4 address (192.0.2.1), or empty for each node's own address",
};
const NEIGHBOR: Expect = Expect::Reject {
    field: "spec.conf.neighborAddress",
    message: "invalid neighbor address: spec.conf.neighborAddress must be an IPv4 or IPv6 address (192.0.2.1, \
              2001:db8::1, fe80::1%eth0)",
};

/// What updates of a BgpConf start from.
pub(super) fn conf_base() -> Value {
    json!({"as": 64512, "routerId": "198.51.100.1"})
}

/// What updates of a BgpPeer start from.
pub(super) fn peer_base() -> Value {
    json!({"conf": {"peerAs": 64513, "neighborAddress": "198.51.100.2"}})
}

pub(super) fn rows() -> Vec<Row> {
    [conf_numbers(), router_ids(), conf_others(), peer_numbers(), neighbors(), peer_others()].concat()
}

fn conf(name: &'static str, spec: Value, expect: Expect) -> Row {
    Row { name, kind: "BgpConf", versions: In::Both, spec, expect }
}

fn peer(name: &'static str, spec: Value, expect: Expect) -> Row {
    Row { name, kind: "BgpPeer", versions: In::Both, spec, expect }
}

fn too_large(field: &'static str, message: &'static str) -> Expect {
    Expect::Reject { field, message }
}

fn conf_numbers() -> Vec<Row> {
    vec![
        conf("AS 0, which turns BGP off", json!({"as": 0}), Expect::Accept),
        conf("AS 1", json!({"as": 1}), Expect::Accept),
        conf("the first AS number an int32 does not hold", json!({"as": 2_147_483_648_u32}), Expect::Accept),
        conf("a private AS number of four bytes", json!({"as": 4_200_000_000_u32}), Expect::Accept),
        conf("the last AS number", json!({"as": 4_294_967_295_u32}), Expect::Accept),
        conf("the last AS number for a rack", json!({"asPerRack": {"a": 4_294_967_295_u32}}), Expect::Accept),
        conf(
            "an AS number of five bytes",
            json!({"as": 4_294_967_296_u64}),
            too_large("spec.as", "spec.as in body should be less than or equal to 4294967295"),
        ),
        conf(
            "a negative AS number",
            json!({"as": -1}),
            too_large("spec.as", "spec.as in body should be greater than or equal to 0"),
        ),
        conf(
            "an AS number of five bytes for a rack",
            json!({"asPerRack": {"a": 4_294_967_296_u64}}),
            too_large("spec.asPerRack.a", "spec.asPerRack.a in body should be less than or equal to 4294967295"),
        ),
    ]
}

fn router_ids() -> Vec<Row> {
    let id =
        |name: &'static str, text: &str, expect: Expect| conf(name, json!({"as": 64512, "routerId": text}), expect);
    vec![
        id("a router id", "192.0.2.1", Expect::Accept),
        id("an empty router id", "", Expect::Accept),
        conf("no router id", json!({"as": 64512}), Expect::Accept),
        conf("a bad router id in the old spelling", json!({"as": 1, "routerID": "r1", "port": 179}), Expect::Accept),
        id("a name for a router id", "router", ROUTER_ID),
        id("a router id of three bytes", "192.0.2", ROUTER_ID),
        id("a router id with a prefix length", "192.0.2.1/32", ROUTER_ID),
        id("an IPv6 address for a router id", "2001:db8::1", ROUTER_ID),
    ]
}

fn conf_others() -> Vec<Row> {
    vec![
        conf("another name than default", conf_base(), Expect::Accept),
        conf("an empty spec", json!({}), Expect::Accept),
        conf("no spec", Value::Null, Expect::Accept),
        conf("every field", samples::full("BgpConf")["spec"].clone(), Expect::Accept),
        conf("a port that means not to listen", json!({"as": 64512, "listenPort": -1}), Expect::Accept),
        conf("a port that is none, which becomes a condition", json!({"listenPort": 70000}), Expect::Accept),
    ]
}

fn peer_numbers() -> Vec<Row> {
    let number = |name: &'static str, number: i64, expect: Expect| {
        peer(name, json!({"conf": {"neighborAddress": "192.0.2.1", "peerAs": number}}), expect)
    };
    vec![
        number("the last AS number", 4_294_967_295, Expect::Accept),
        number("AS 0, which becomes a condition", 0, Expect::Accept),
        peer("a local AS number of four bytes", json!({"conf": {"localAs": 4_200_000_000_u32}}), Expect::Accept),
        peer(
            "the last AS number in the old spelling",
            json!({"config": {"peerAs": 4_294_967_295_u32}}),
            Expect::Accept,
        ),
        number(
            "an AS number of five bytes",
            4_294_967_296,
            too_large("spec.conf.peerAs", "spec.conf.peerAs in body should be less than or equal to 4294967295"),
        ),
        number(
            "a negative AS number",
            -1,
            too_large("spec.conf.peerAs", "spec.conf.peerAs in body should be greater than or equal to 0"),
        ),
        peer(
            "a local AS number of five bytes",
            json!({"conf": {"localAs": 4_294_967_296_u64}}),
            too_large("spec.conf.localAs", "spec.conf.localAs in body should be less than or equal to 4294967295"),
        ),
        peer(
            "an AS number of five bytes in the old spelling",
            json!({"config": {"peerAs": 4_294_967_296_u64}}),
            too_large("spec.config.peerAs", "spec.config.peerAs in body should be less than or equal to 4294967295"),
        ),
    ]
}

fn neighbors() -> Vec<Row> {
    let address = |name: &'static str, text: &str, expect: Expect| {
        peer(name, json!({"conf": {"neighborAddress": text, "peerAs": 64513}}), expect)
    };
    vec![
        address("an IPv4 neighbour", "192.0.2.1", Expect::Accept),
        address("an IPv6 neighbour", "2001:db8::1", Expect::Accept),
        address("a link-local neighbour with its interface", "fe80::1%eth0", Expect::Accept),
        peer("an unnumbered neighbour", json!({"conf": {"neighborInterface": "eth0", "peerAs": 1}}), Expect::Accept),
        peer("no neighbour at all, which becomes a condition", json!({"conf": {"peerAs": 1}}), Expect::Accept),
        peer("a bad neighbour in the old spelling", json!({"config": {"neighborAddress": "r1"}}), Expect::Accept),
        address("an empty neighbour", "", NEIGHBOR),
        address("a name for a neighbour", "router.example", NEIGHBOR),
        address("a neighbour with a port", "192.0.2.1:179", NEIGHBOR),
        address("a neighbour with a prefix length", "192.0.2.1/24", NEIGHBOR),
        address("a neighbour with an empty interface", "fe80::1%", NEIGHBOR),
        address("an interface for a neighbour", "%eth0", NEIGHBOR),
    ]
}

fn peer_others() -> Vec<Row> {
    vec![
        peer("an empty spec", json!({}), Expect::Accept),
        peer("no spec", Value::Null, Expect::Accept),
        peer("every field", samples::full("BgpPeer")["spec"].clone(), Expect::Accept),
        peer(
            "a family that is not served, which becomes a condition",
            json!({"conf": {"neighborAddress": "192.0.2.1"}, "afiSafis": [{"config": {"family": {"afi": "AFI_LS"}}}]}),
            Expect::Accept,
        ),
    ]
}
