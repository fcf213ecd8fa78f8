//! The rows for Eip.

use serde_json::{Value, json};

use super::rows::{Expect, In, Row};
use super::samples;

const ADDRESS: Expect = Expect::Reject {
    field: "spec.address",
    message: "invalid eip address format: spec.address must be an address (192.0.2.10), a CIDR (192.0.2.0/24), a range \
              (192.0.2.10-192.0.2.20), or a comma-separated list of these",
};
const NO_INTERFACE: Expect = Expect::Reject {
    field: "spec.interface",
    message: "if protocol is layer2 or vip, interface should not be empty: set spec.interface to a network interface \
              (eth0) or to can_reach:<address>",
};
const INTERFACE: Expect = Expect::Reject {
    field: "spec.interface",
    message: "invalid interface: spec.interface must be the name of a network interface (eth0), or can_reach:<address> \
              (can_reach:192.0.2.1) for the interface of the route to that address",
};
const PROTOCOL: Expect =
    Expect::Reject { field: "spec.protocol", message: "supported values: \"bgp\", \"layer2\", \"vip\"" };

/// What updates start from.
pub(super) fn base() -> Value {
    json!({"address": "198.51.100.0/24", "protocol": "layer2", "interface": "eth1"})
}

pub(super) fn rows() -> Vec<Row> {
    [addresses(), interfaces(), protocols(), others()].concat()
}

fn row(name: &'static str, versions: In, spec: Value, expect: Expect) -> Row {
    Row { name, kind: "Eip", versions, spec, expect }
}

fn addresses() -> Vec<Row> {
    let text =
        |name: &'static str, address: &str, expect: Expect| row(name, In::Both, json!({"address": address}), expect);
    let long = vec!["1.2.3.4"; 512].join(",");
    vec![
        text("an IPv4 address", "192.0.2.10", Expect::Accept),
        text("a CIDR", "192.0.2.0/24", Expect::Accept),
        text("a CIDR with host bits", "192.0.2.77/24", Expect::Accept),
        text("the longest and the shortest prefix", "192.0.2.1/32,0.0.0.0/0", Expect::Accept),
        text("a range", "192.0.2.10-192.0.2.20", Expect::Accept),
        text("a range of one address", "192.0.2.10-192.0.2.10", Expect::Accept),
        text("a reversed range, which becomes a condition", "192.0.2.20-192.0.2.10", Expect::Accept),
        text("a range across families, which becomes a condition", "192.0.2.20-2001:db8::1", Expect::Accept),
        text("an IPv6 address", "2001:db8::1", Expect::Accept),
        text("a /64 and a /48", "2001:db8::/64,2001:db8:1::/48", Expect::Accept),
        text("an IPv6 range in mixed case", "2001:DB8::a-2001:db8::B", Expect::Accept),
        text("a list", "192.0.2.10,192.0.2.20-192.0.2.30,198.51.100.0/28", Expect::Accept),
        text("a list with blanks and of both families", " 192.0.2.10 , 2001:db8::/64", Expect::Accept),
        text("512 addresses in 4095 characters", &long, Expect::Accept),
        row("nulls for every other field", In::Both, nulls(), Expect::Accept),
        text("an empty text", "", ADDRESS),
        text("a name", "pool", ADDRESS),
        text("a byte above 255", "192.0.2.256", ADDRESS),
        text("three bytes", "192.0.2", ADDRESS),
        text("a leading zero", "192.0.2.010", ADDRESS),
        text("a prefix above 32", "192.0.2.0/33", ADDRESS),
        text("a prefix above 128", "2001:db8::/129", ADDRESS),
        text("a dotted mask", "192.0.2.0/255.255.255.0", ADDRESS),
        text("a range with a short end", "192.0.2.10-20", ADDRESS),
        text("a range without an end", "192.0.2.10-", ADDRESS),
        text("a range of three", "192.0.2.10-192.0.2.20-192.0.2.30", ADDRESS),
        text("a range of CIDRs", "192.0.2.0/28-192.0.2.64/28", ADDRESS),
        text("blanks in a range", "192.0.2.10 - 192.0.2.20", ADDRESS),
        text("a list with a comma too many", "192.0.2.10,", ADDRESS),
        text("a list with one bad part", "192.0.2.10,192.0.2.11,x,192.0.2.12", ADDRESS),
        text("a list with semicolons", "192.0.2.10;192.0.2.11", ADDRESS),
        text("513 addresses", &vec!["::1"; 513].join(","), ADDRESS),
        text("an address with a zone", "fe80::1%eth0", ADDRESS),
        text("an IPv4 address in IPv6 form", "::ffff:192.0.2.10", ADDRESS),
        row("no address", In::Both, json!({}), Expect::Reject { field: "spec.address", message: "Required value" }),
        row("no spec", In::Both, Value::Null, Expect::Reject { field: "spec", message: "Required value" }),
        text(
            "a list above 4096 characters",
            &format!("{long},1.2.3.4"),
            Expect::Reject { field: "spec.address", message: "Too long: may not be more than 4096 bytes" },
        ),
    ]
}

/// What a template renders for values nobody set.
fn nulls() -> Value {
    let mut spec = samples::full("Eip")["spec"].clone();
    for (_, value) in spec.as_object_mut().into_iter().flatten().filter(|(field, _)| *field != "address") {
        *value = Value::Null;
    }
    spec
}

fn interfaces() -> Vec<Row> {
    let on = |name: &'static str, versions: In, protocol: &str, interface: &str, expect: Expect| {
        let spec = json!({"address": "192.0.2.10", "protocol": protocol, "interface": interface});
        row(name, versions, spec, expect)
    };
    let without = |protocol: &str| json!({"address": "192.0.2.10", "protocol": protocol});
    vec![
        on("layer2 on a named interface", In::Both, "layer2", "eth0", Expect::Accept),
        on("vip on a named interface", In::Both, "vip", "eth0", Expect::Accept),
        on("an interface with a VLAN", In::Both, "layer2", "bond0.100", Expect::Accept),
        on("an interface with dashes", In::Both, "layer2", "br-lan_0", Expect::Accept),
        on("the interface of an IPv4 route", In::Both, "layer2", "can_reach:192.0.2.1", Expect::Accept),
        on("the interface of an IPv6 route", In::Both, "vip", "can_reach:2001:db8::1", Expect::Accept),
        row(
            "layer2 with a list of interfaces instead of one",
            In::Both,
            json!({"address": "192.0.2.10", "protocol": "layer2", "layer2": {"interfaces": ["eth0", "eth1"]}}),
            Expect::Accept,
        ),
        row("bgp without an interface", In::Both, without("bgp"), Expect::Accept),
        on("bgp with an interface nobody reads", In::Both, "bgp", "route:to the moon", Expect::Accept),
        row("layer2 without an interface, from an old manifest", In::V1alpha1, without("layer2"), Expect::Accept),
        row("vip without an interface, from an old manifest", In::V1alpha1, without("vip"), Expect::Accept),
        on("an empty interface, from an old manifest", In::V1alpha1, "layer2", "", Expect::Accept),
        row("layer2 without an interface", In::V1alpha2, without("layer2"), NO_INTERFACE),
        row("vip without an interface", In::V1alpha2, without("vip"), NO_INTERFACE),
        on("layer2 with an empty interface", In::V1alpha2, "layer2", "", NO_INTERFACE),
        row(
            "layer2 with an empty list of interfaces",
            In::V1alpha2,
            json!({"address": "192.0.2.10", "protocol": "layer2", "layer2": {"interfaces": []}}),
            NO_INTERFACE,
        ),
        on("can_reach without an address", In::V1alpha2, "layer2", "can_reach:", INTERFACE),
        on("can_reach with a name", In::V1alpha2, "layer2", "can_reach:gateway", INTERFACE),
        on("can_reach with a CIDR", In::V1alpha2, "vip", "can_reach:192.0.2.0/24", INTERFACE),
        on("another word before the colon", In::V1alpha2, "layer2", "reach:192.0.2.1", INTERFACE),
        on("an interface with a blank", In::V1alpha2, "layer2", "eth 0", INTERFACE),
        on("a blank for an interface", In::V1alpha2, "layer2", " ", INTERFACE),
        on("an interface with a slash", In::V1alpha2, "vip", "eth0/1", INTERFACE),
    ]
}

fn protocols() -> Vec<Row> {
    let with = |protocol: Value| json!({"address": "192.0.2.10", "protocol": protocol, "interface": "eth0"});
    vec![
        row("no protocol", In::Both, json!({"address": "192.0.2.10", "interface": "eth0"}), Expect::Accept),
        row("a null for the protocol", In::Both, with(Value::Null), Expect::Accept),
        row("an unknown protocol", In::Both, with(json!("ospf")), PROTOCOL),
        row("a protocol in capitals", In::Both, with(json!("Layer2")), PROTOCOL),
        row("an empty protocol", In::Both, with(json!("")), PROTOCOL),
    ]
}

fn others() -> Vec<Row> {
    let with = |field: &str, value: Value| {
        let mut spec = base();
        spec[field] = value;
        spec
    };
    vec![
        row("the address grows", In::Both, with("address", json!("198.51.100.0/23")), Expect::Accept),
        row("the address shrinks", In::Both, with("address", json!("198.51.100.0/25")), Expect::Accept),
        row("every field", In::Both, samples::full("Eip")["spec"].clone(), Expect::Accept),
        row("the dead field usingKnownIPs", In::Both, with("usingKnownIPs", json!(true)), Expect::Accept),
        row("a negative priority", In::Both, with("priority", json!(-5)), Expect::Accept),
        row("a malformed exclude, which becomes a condition", In::Both, with("exclude", json!(["x"])), Expect::Accept),
        row("an unknown sharing, which becomes a condition", In::Both, with("sharing", json!("Some")), Expect::Accept),
        row(
            "an unknown conflict detection, which becomes a condition",
            In::Both,
            with("layer2", json!({"conflictDetection": "Maybe"})),
            Expect::Accept,
        ),
    ]
}
