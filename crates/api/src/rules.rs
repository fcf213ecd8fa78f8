//! What the API server refuses: rules in CEL, each with the message a user reads.
//!
//! They refuse what OpenELB's admission refused. Only the bounds of AS numbers ([`crate::Asn`]), the three protocols and
//! the length of `address` stand in the schema itself. A rule sits on the one field it is about, where it can, because
//! the API server does not run a rule again on a part of an object that did not change: what was stored before a rule
//! existed can still be changed elsewhere, patched in its status, and deleted.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;

/// The versions a rule stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Both.
    All,
    /// Not in `v1alpha1`, whose objects come from a time when the field did not exist.
    V1alpha2,
}

/// A rule and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrdRule {
    /// The kind it is for.
    pub kind: &'static str,
    /// The property it sits on, from the root of the object.
    pub path: &'static [&'static str],
    /// The versions it stands in.
    pub versions: Versions,
    /// The expression, of which `self` is the property's value.
    pub rule: &'static str,
    /// What the user reads.
    pub message: &'static str,
    /// The field the message is about, below `path`.
    pub field: Option<&'static str>,
}

impl CrdRule {
    pub(crate) fn to_validation(self) -> ValidationRule {
        ValidationRule {
            rule: self.rule.to_owned(),
            message: Some(self.message.to_owned()),
            field_path: self.field.map(str::to_owned),
            ..ValidationRule::default()
        }
    }
}

/// The longest `spec.address` of an Eip, in characters; `maxLength` in the schema.
pub const MAX_ADDRESS_CHARACTERS: usize = 4096;

/// The most parts of a `spec.address` that is a list: what 4096 characters hold of the shortest IPv4 addresses.
pub const MAX_ADDRESS_PARTS: usize = 512;

/// Every rule.
///
/// `address`: the limit of `split` is there for the API server's cost estimate, which takes an unlimited split for a
/// list as long as the text. [`MAX_ADDRESS_PARTS`] cost about 0.6 of the budget (measured on 1.36: 850 parts pass, 1024 do
/// not). Blanks are allowed around a comma, which OpenELB's
/// grammar does not have; inside a part, as there, they are not. That a range goes upwards and stays in one family is
/// not asked here: CEL cannot order IPv6 addresses.
pub const RULES: &[CrdRule] = &[
    CrdRule {
        kind: "Eip",
        path: &["spec", "address"],
        versions: Versions::All,
        rule: "self.split(',', 512).all(p, isCIDR(p.trim()) || p.trim().split('-', 2).all(q, isIP(q)))",
        message: "invalid eip address format: spec.address must be an address (192.0.2.10), a CIDR (192.0.2.0/24), \
                  a range (192.0.2.10-192.0.2.20), or a comma-separated list of these",
        field: None,
    },
    CrdRule {
        kind: "Eip",
        path: &["spec"],
        versions: Versions::V1alpha2,
        rule: "!has(self.protocol) || !(self.protocol in ['layer2', 'vip']) \
               || (has(self.interface) && self.interface != '') \
               || (has(self.layer2) && has(self.layer2.interfaces) && self.layer2.interfaces.size() > 0)",
        message: "if protocol is layer2 or vip, interface should not be empty: set spec.interface to a network \
                  interface (eth0) or to can_reach:<address>",
        field: Some(".interface"),
    },
    CrdRule {
        kind: "Eip",
        path: &["spec"],
        versions: Versions::V1alpha2,
        rule: "!has(self.protocol) || !(self.protocol in ['layer2', 'vip']) \
               || !has(self.interface) || self.interface == '' \
               || (self.interface.startsWith('can_reach:') ? isIP(self.interface.substring(10)) \
               : self.interface.matches('^[^:/\\\\s]+$'))",
        message: "invalid interface: spec.interface must be the name of a network interface (eth0), or \
                  can_reach:<address> (can_reach:192.0.2.1) for the interface of the route to that address",
        field: Some(".interface"),
    },
    CrdRule {
        kind: "BgpConf",
        path: &["spec", "routerId"],
        versions: Versions::All,
        rule: "self == '' || (isIP(self) && ip(self).family() == 4)",
        message: "invalid router id: spec.routerId must be an IPv4 address (192.0.2.1), or empty for each node's own \
                  address",
        field: None,
    },
    CrdRule {
        kind: "BgpPeer",
        path: &["spec", "conf", "neighborAddress"],
        versions: Versions::All,
        rule: "isIP(self) || (self.contains('%') && isIP(self.split('%', 2)[0]) \
               && self.split('%', 2)[1].matches('^[^%/\\\\s]+$'))",
        message: "invalid neighbor address: spec.conf.neighborAddress must be an IPv4 or IPv6 address \
                  (192.0.2.1, 2001:db8::1, fe80::1%eth0)",
        field: None,
    },
];
