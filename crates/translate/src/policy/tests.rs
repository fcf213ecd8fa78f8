use ironlb_model::{Comparison, IpFamily, MatchOption, RouteAction, RouteCondition, SetOption};

use super::*;

/// Every table that OpenELB passed on, as GoBGP's own documentation writes them.
const WHOLE: &str = r#"
[[defined-sets.prefix-sets]]
prefix-set-name = "vips"
[[defined-sets.prefix-sets.prefix-list]]
ip-prefix = "10.0.0.0/8"
masklength-range = "24..32"
[[defined-sets.neighbor-sets]]
neighbor-set-name = "spines"
neighbor-info-list = ["192.0.2.1", "198.51.100.0/24"]
[[defined-sets.bgp-defined-sets.community-sets]]
community-set-name = "tagged"
community-list = ["65000:1", "no-export", "^65001:"]
[[defined-sets.bgp-defined-sets.ext-community-sets]]
ext-community-set-name = "targets"
ext-community-list = ["rt:65000:1"]
[[defined-sets.bgp-defined-sets.as-path-sets]]
as-path-set-name = "ours"
as-path-list = ["^65000_"]
[[defined-sets.bgp-defined-sets.large-community-sets]]
large-community-set-name = "large"
large-community-list = ["64496:1:2"]

[[policy-definitions]]
name = "tag"
[[policy-definitions.statements]]
name = "one"
[policy-definitions.statements.conditions.match-prefix-set]
prefix-set = "vips"
match-set-options = "any"
[policy-definitions.statements.conditions.match-neighbor-set]
neighbor-set = "spines"
match-set-options = "invert"
[policy-definitions.statements.conditions.bgp-conditions]
route-type = "local"
next-hop-in-list = ["10.0.0.1"]
afi-safi-in-list = ["ipv4-unicast"]
[policy-definitions.statements.conditions.bgp-conditions.as-path-length]
operator = "le"
value = 3
[policy-definitions.statements.conditions.bgp-conditions.match-as-path-set]
as-path-set = "ours"
[policy-definitions.statements.conditions.bgp-conditions.match-community-set]
community-set = "tagged"
match-set-options = "all"
[policy-definitions.statements.conditions.bgp-conditions.match-ext-community-set]
ext-community-set = "targets"
[policy-definitions.statements.conditions.bgp-conditions.match-large-community-set]
large-community-set = "large"
[policy-definitions.statements.actions]
route-disposition = "accept-route"
[policy-definitions.statements.actions.bgp-actions]
set-med = "-5"
set-local-pref = 200
set-next-hop = "self"
[policy-definitions.statements.actions.bgp-actions.set-as-path-prepend]
as = "last-as"
repeat-n = 2
[policy-definitions.statements.actions.bgp-actions.set-community]
options = "add"
[policy-definitions.statements.actions.bgp-actions.set-community.set-community-method]
communities-list = ["65000:7"]
[policy-definitions.statements.actions.bgp-actions.set-ext-community]
options = "replace"
[policy-definitions.statements.actions.bgp-actions.set-ext-community.set-ext-community-method]
communities-list = ["rt:4200000000:7", "lb:65000:1250000"]
[policy-definitions.statements.actions.bgp-actions.set-large-community]
options = "remove"
[policy-definitions.statements.actions.bgp-actions.set-large-community.set-large-community-method]
communities-list = ["64496:1:2"]

[global.apply-policy.config]
export-policy-list = ["tag"]
default-export-policy = "reject-route"
"#;

fn messages(text: &str) -> Vec<String> {
    policy("cm", text).1.into_iter().map(|issue| issue.message).collect()
}

#[test]
fn every_table_is_read() {
    let (read, issues) = policy("cm", WHOLE);
    assert_eq!(issues, []);
    let read = read.unwrap();
    assert_eq!((read.import, read.export.default), (Chain::default(), Disposition::Reject));
    let [statement] = &read.export.statements[..] else { panic!("{:?}", read.export.statements) };
    assert_eq!((statement.name.as_str(), statement.disposition), ("one", Some(Disposition::Accept)));
    assert_eq!(statement.conditions.len(), 10);
    assert!(
        matches!(&statement.conditions[0], RouteCondition::Prefix(MatchOption::Any, ranges) if (ranges[0].least, ranges[0].most) == (24, 32))
    );
    assert!(
        matches!(&statement.conditions[1], RouteCondition::Neighbor(MatchOption::Invert, prefixes) if prefixes[0].prefix_len() == 32)
    );
    assert!(
        matches!(&statement.conditions[2], RouteCondition::Community(MatchOption::All, patterns) if patterns[1].is_match("65535:65281"))
    );
    assert!(statement.conditions.contains(&RouteCondition::AsPathLength(Comparison::AtMost, 3)));
    assert!(statement.conditions.contains(&RouteCondition::Family([IpFamily::V4].into())));
    let want = [
        RouteAction::Communities(SetOption::Add, [65000 << 16 | 7].into()),
        RouteAction::ExtCommunities(
            SetOption::Replace,
            [[2, 2, 0xFA, 0x56, 0xEA, 0, 0, 7], [0x40, 4, 0xFD, 0xE8, 0x49, 0x98, 0x96, 0x80]].into(),
        ),
        RouteAction::LargeCommunities(SetOption::Remove, [[64496, 1, 2]].into()),
        RouteAction::MedBy(-5),
        RouteAction::LocalPref(200),
        RouteAction::Prepend(None, 2),
        RouteAction::NextHop(None),
    ];
    assert_eq!(statement.actions, want);
}

#[test]
fn an_empty_file_lets_everything_through() {
    assert_eq!(policy("cm", ""), (Some(Policy { import: Chain::default(), export: Chain::default() }), Vec::new()));
}

#[test]
fn a_key_that_is_not_served_is_told_and_the_rest_counts() {
    let text = format!("{WHOLE}in-policy-list = []\n[global.config]\nas = 65000\n[zebra.config]\nenabled = true\n");
    let (read, issues) = policy("cm", &text);
    assert_eq!(read.unwrap().export.statements.len(), 1);
    let told: Vec<_> =
        issues.iter().map(|issue| (issue.field.as_str(), issue.reason, issue.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (
                "spec.policy",
                IssueReason::Ignored,
                "key gobgp.conf of ConfigMap cm, global.apply-policy.config.in-policy-list: the key is not served and is left out"
            ),
            (
                "spec.policy",
                IssueReason::Ignored,
                "key gobgp.conf of ConfigMap cm, global.config: the key is not served and is left out"
            ),
            (
                "spec.policy",
                IssueReason::Ignored,
                "key gobgp.conf of ConfigMap cm, zebra: the key is not served and is left out"
            ),
        ]
    );
}

/// What is wrong is told with its place, and lets nothing out that the rest of the file would stop.
#[test]
fn a_file_with_a_fault_is_not_taken() {
    for (from, to, place) in [
        ("24..32", "32..24", "defined-sets.prefix-sets \"vips\""),
        ("10.0.0.0/8", "10.0.0.0/33", "defined-sets.prefix-sets \"vips\""),
        ("198.51.100.0/24", "spine1", "defined-sets.neighbor-sets \"spines\""),
        ("^65001:", "(", "community-sets \"tagged\""),
        ("\"rt:65000:1\"", "\"65000:1\"", "ext-community-sets \"targets\""),
        ("prefix-set = \"vips\"", "prefix-set = \"other\"", "statement \"one\""),
        ("match-set-options = \"all\"", "match-set-options = \"most\"", "statement \"one\""),
        ("\"-5\"", "\"five\"", "statement \"one\""),
        ("\"last-as\"", "\"0\"", "statement \"one\""),
        ("set-next-hop = \"self\"", "set-next-hop = \"me\"", "statement \"one\""),
        ("\"65000:7\"", "\"65536:7\"", "statement \"one\""),
        ("operator = \"le\"", "operator = \"lt\"", "statement \"one\""),
        ("match-neighbor-set]", "match-neighbour-set]", "match-neighbour-set: there is no such key"),
        ("route-disposition", "route-dispositon", "route-dispositon: there is no such key"),
        ("default-export-policy", "default-exprt-policy", "default-exprt-policy: there is no such key"),
        ("[global.apply-policy.config]", "[globl.apply-policy.config]", "globl: there is no such key"),
        ("[\"tag\"]", "[\"tag\", \"none\"]", "export-policy-list: there is no policy \"none\""),
        ("reject-route", "drop", "neither accept-route nor reject-route"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let (read, issues) = policy("cm", &text);
        assert!(issues.iter().any(|issue| issue.message.contains(place)), "{to}: {issues:?}");
        assert_eq!(read, None, "{to}");
    }
}

#[test]
fn what_is_no_toml_is_no_policy() {
    let (read, issues) = policy("cm", "this is no TOML");
    assert_eq!((read, issues.len()), (None, 1));
    assert!(issues[0].message.starts_with("key gobgp.conf of ConfigMap cm: "), "{issues:?}");
}

#[test]
fn faults_are_told_in_a_bounded_number() {
    let text: String = (0..1000).map(|n| format!("key{n} = 1\n")).collect();
    assert_eq!(messages(&text).len(), 20);
}
