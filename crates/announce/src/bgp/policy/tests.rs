use ironlb_model::{PrefixRange, SetOption, Statement};

use super::*;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn route() -> RouteValue {
    let attributes = RouteAttributes {
        local_pref: Some(100),
        communities: [65000 << 16 | 1].into(),
        ext_communities: [[0, 2, 0xFD, 0xE8, 0, 0, 0, 9]].into(),
        large_communities: [[1, 2, 3]].into(),
        as_path: vec![65000],
        ..RouteAttributes::default()
    };
    RouteValue { next_hop: "10.0.0.1".parse().unwrap(), attributes: Arc::new(attributes) }
}

fn statement(conditions: &[RouteCondition], actions: &[RouteAction], disposition: Option<Disposition>) -> Statement {
    Statement { name: "s".to_owned(), conditions: conditions.to_vec(), actions: actions.to_vec(), disposition }
}

fn export(statements: Vec<Statement>, default: Disposition) -> Policy {
    Policy { import: Chain::default(), export: Chain { statements, default } }
}

fn outcome(policy: &Policy) -> Option<RouteValue> {
    let ends = Ends { local: "10.0.0.9".parse().unwrap(), peer: Some("192.0.2.1".parse().unwrap()) };
    apply(policy, prefix("10.1.0.5/32"), route(), ends)
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

/// One condition before a rejection: it holds where nothing goes out.
fn holds(condition: RouteCondition) -> bool {
    outcome(&export(vec![statement(&[condition], &[], Some(Disposition::Reject))], Disposition::Accept)).is_none()
}

#[test]
fn each_condition_holds_for_what_it_names() {
    let range = |text: &str, least, most| PrefixRange { prefix: prefix(text), least, most };
    for (condition, want) in [
        (RouteCondition::Prefix(MatchOption::Any, vec![range("10.0.0.0/8", 24, 32)]), true),
        (RouteCondition::Prefix(MatchOption::Any, vec![range("10.0.0.0/8", 8, 24)]), false),
        (RouteCondition::Prefix(MatchOption::Invert, vec![range("10.0.0.0/8", 8, 24)]), true),
        (RouteCondition::Prefix(MatchOption::Any, vec![range("2001:db8::/32", 0, 128)]), false),
        (RouteCondition::Neighbor(MatchOption::Any, vec![prefix("192.0.2.0/24")]), true),
        (RouteCondition::Neighbor(MatchOption::Invert, vec![prefix("192.0.2.0/24")]), false),
        (RouteCondition::Neighbor(MatchOption::Invert, vec![]), true),
        (RouteCondition::AsPathLength(Comparison::Equal, 1), true),
        (RouteCondition::AsPathLength(Comparison::AtLeast, 2), false),
        (RouteCondition::AsPathLength(Comparison::AtMost, 1), true),
        (RouteCondition::AsPath(MatchOption::Any, vec![pattern("^65000$")]), true),
        (RouteCondition::Community(MatchOption::Any, vec![pattern("^65000:1$"), pattern("^1:1$")]), true),
        (RouteCondition::Community(MatchOption::All, vec![pattern("^65000:1$"), pattern("^1:1$")]), false),
        (RouteCondition::Community(MatchOption::Invert, vec![pattern("^1:1$")]), true),
        (RouteCondition::ExtCommunity(MatchOption::Any, vec![(2, pattern("^65000:9$"))]), true),
        (RouteCondition::ExtCommunity(MatchOption::Any, vec![(3, pattern("^65000:9$"))]), false),
        (RouteCondition::LargeCommunity(MatchOption::Any, vec![pattern("^1:2:3$")]), true),
        (RouteCondition::IsLocal(true), true),
        (RouteCondition::IsLocal(false), false),
        (RouteCondition::NextHop(vec![prefix("10.0.0.0/24")]), true),
        (RouteCondition::NextHop(vec![prefix("10.0.1.0/24")]), false),
        (RouteCondition::Family([IpFamily::V4].into()), true),
        (RouteCondition::Family([IpFamily::V6].into()), false),
    ] {
        assert_eq!(holds(condition.clone()), want, "{condition:?}");
    }
}

#[test]
fn each_action_changes_what_it_names() {
    let change = |action: RouteAction| {
        let changed = outcome(&export(vec![statement(&[], &[action], None)], Disposition::Accept)).unwrap();
        (changed.next_hop, Arc::unwrap_or_clone(changed.attributes))
    };
    let was = Arc::unwrap_or_clone(route().attributes);
    let (_, added) = change(RouteAction::Communities(SetOption::Add, [7].into()));
    assert_eq!(added.communities, [7, 65000 << 16 | 1].into());
    let (_, removed) = change(RouteAction::LargeCommunities(SetOption::Remove, [[1, 2, 3]].into()));
    assert_eq!(removed, RouteAttributes { large_communities: [].into(), ..was.clone() });
    let (_, replaced) = change(RouteAction::ExtCommunities(SetOption::Replace, [[9; 8]].into()));
    assert_eq!(replaced.ext_communities, [[9; 8]].into());
    assert_eq!(change(RouteAction::Med(5)).1.med, Some(5));
    assert_eq!(change(RouteAction::MedBy(5)).1.med, Some(5));
    assert_eq!(change(RouteAction::MedBy(-5)).1.med, Some(0));
    assert_eq!(change(RouteAction::Prepend(None, 2)).1.as_path, [65000, 65000, 65000]);
    assert_eq!(change(RouteAction::Prepend(Some(1), 1)).1.as_path, [1, 65000]);
    assert_eq!(change(RouteAction::LocalPref(7)).1.local_pref, Some(7));
    assert_eq!(change(RouteAction::NextHop(None)).0.to_string(), "10.0.0.9");
    assert_eq!(change(RouteAction::NextHop(Some("10.9.9.9".parse().unwrap()))).0.to_string(), "10.9.9.9");
}

#[test]
fn an_external_peer_is_never_told_a_local_preference() {
    let policy = export(vec![statement(&[], &[RouteAction::LocalPref(7)], None)], Disposition::Accept);
    let ends = Ends { local: "10.0.0.9".parse().unwrap(), peer: None };
    let external = RouteValue { attributes: Arc::new(RouteAttributes::default()), ..route() };
    assert_eq!(apply(&policy, prefix("10.1.0.5/32"), external, ends).unwrap().attributes.local_pref, None);
}

/// The first decision ends a chain; a change made before it stays; the import chain comes first.
#[test]
fn statements_follow_each_other() {
    let tag = |n: u32| RouteAction::Communities(SetOption::Replace, [n].into());
    let tagged = |n: u32| RouteCondition::Community(MatchOption::Any, vec![pattern(&format!("^0:{n}$"))]);
    let communities =
        |policy: &Policy| outcome(policy).map(|route| route.attributes.communities.iter().copied().collect::<Vec<_>>());
    let accept = Some(Disposition::Accept);
    let chained = vec![
        statement(&[], &[tag(1)], None),
        statement(&[tagged(1)], &[tag(2)], accept),
        statement(&[], &[tag(3)], None),
    ];
    assert_eq!(communities(&export(chained.clone(), Disposition::Reject)), Some(vec![2]));
    assert_eq!(communities(&export(Vec::new(), Disposition::Reject)), None);
    let both = Policy {
        import: Chain { statements: vec![statement(&[], &[tag(1)], accept)], default: Disposition::Reject },
        export: Chain { statements: vec![statement(&[tagged(1)], &[tag(5)], accept)], default: Disposition::Reject },
    };
    assert_eq!(communities(&both), Some(vec![5]));
    let shut =
        Policy { import: Chain { statements: Vec::new(), default: Disposition::Reject }, export: Chain::default() };
    assert_eq!(communities(&shut), None);
}
