//! Which Services are ours, which Eip one gets its address from, and which address: every rule of it, a row each.

use anyhow::Result;
use ironlb_api::names::annotation::{DEFAULT_EIP, PROTOCOL};
use ironlb_lab::wait_for;
use serde_json::json;

use crate::ground::Ground;
use crate::row::{self, Row, row};
use crate::runner::Scenario;
use crate::stage::PATIENCE;

/// Alone on the site: it makes default Eips, and Services that take an address from any Eip of a protocol.
pub const SCENARIO: Scenario = Scenario {
    name: "selection",
    shows: "class, annotations, wishes, exclusions, selectors, priorities and defaults lead to the address that the rules name, or to the reason",
    first_address: 21,
    run: |ground| Box::pin(run(ground)),
};

async fn run(ground: &Ground<'_>) -> Result<()> {
    for (namespace, labels) in [("team", &[][..]), ("blue", &[("colour", "blue")]), ("ranked", &[]), ("manual", &[])] {
        ground.further_namespace(namespace, labels).await?;
    }
    eips(ground).await?;
    let rows = [opting_in(), wishes(), pools(), bound(), ranked(), by_protocol()].concat();
    ground.say(&format!("{} Services", rows.len()));
    row::hold(ground, &rows).await?;
    large_pools_are_counted(ground).await?;
    defaults(ground).await?;
    // And nothing that came later moved what came before.
    let settled: Vec<Row> = [opting_in(), wishes(), pools(), bound(), ranked()].concat();
    row::come_true(ground, &settled).await
}

/// The name of one of the scenario's Eips.
fn named(eip: &str) -> String {
    format!("{}-{eip}", SCENARIO.name)
}

async fn eips(ground: &Ground<'_>) -> Result<()> {
    let within = |namespace: &str| json!([ground.further(namespace)]);
    for (name, spec) in [
        ("ours", json!({"address": "10.201.0.0/28"})),
        ("wish", json!({"address": "10.201.1.0/28", "exclude": ["10.201.1.0-10.201.1.2", "10.201.1.3"]})),
        ("buggy", json!({"address": "10.201.2.255-10.201.3.1", "avoidBuggyIPs": true})),
        ("list", json!({"address": "10.201.4.16/31, 10.201.4.1"})),
        ("disabled", json!({"address": "10.201.5.0/30", "disable": true})),
        ("reversed", json!({"address": "10.201.5.9-10.201.5.8"})),
        ("one", json!({"address": "10.201.5.32"})),
        ("eight", json!({"address": "11.0.0.0/8"})),
        ("sixty-four", json!({"address": "fd00:201:64::/64"})),
        ("twenty", json!({"address": "3fff::/20"})),
        ("of-team", json!({"address": "10.201.6.0/30", "namespaces": within("team")})),
        ("of-blue", json!({"address": "10.201.7.0/30", "namespaceSelector": {"colour": "blue"}})),
        ("of-gold", json!({"address": "10.201.8.0/30", "serviceSelector": {"matchLabels": {"tier": "gold"}}})),
        ("strict", json!({"address": "10.201.9.0/30", "namespaces": within("team"), "enforceSelectors": true})),
        ("rank-b", json!({"address": "10.201.10.1", "namespaces": within("ranked"), "priority": 1})),
        ("rank-a", json!({"address": "10.201.10.2", "namespaces": within("ranked"), "priority": 1})),
        ("rank-0", json!({"address": "10.201.10.3", "namespaces": within("ranked"), "priority": 7})),
        (
            "manual",
            json!({"address": "10.201.11.0/30", "namespaces": within("manual"), "autoAssign": false, "priority": -9}),
        ),
        ("automatic", json!({"address": "10.201.12.0/30", "namespaces": within("manual")})),
        ("old-b", json!({"address": "10.201.13.1", "priority": -5})),
        ("old-a", json!({"address": "10.201.13.2", "priority": -4})),
    ] {
        row::eip(ground, name, spec).await?;
    }
    Ok(())
}

/// Which Services are ours.
fn opting_in() -> Vec<Row> {
    let asks = |name: &str, address: &str| row(name).eip(&named("ours")).asks(address);
    vec![
        asks("ours-by-annotation", "10.201.0.1").gets("10.201.0.1"),
        asks("ours-by-class", "10.201.0.2")
            .opts_in_by("")
            .with("loadBalancerClass", json!("ironlb.io/ironlb"))
            .gets("10.201.0.2"),
        asks("class-first", "10.201.0.3")
            .opts_in_by("metallb")
            .with("loadBalancerClass", json!("ironlb.io/ironlb"))
            .gets("10.201.0.3"),
        asks("of-another-class", "10.201.0.4").with("loadBalancerClass", json!("example.org/lb")).is_left_alone(),
        asks("of-another", "10.201.0.5").opts_in_by("metallb").is_left_alone(),
        asks("of-nobody", "10.201.0.6").opts_in_by("").is_left_alone(),
        asks("no-load-balancer", "10.201.0.7").with("type", json!("ClusterIP")).is_left_alone(),
    ]
}

/// What a Service wishes for.
fn wishes() -> Vec<Row> {
    let from = |name: &str| row(name).eip(&named("wish"));
    let ip = |address: &str| json!(address);
    vec![
        from("wish-by-spec").with("loadBalancerIP", ip("10.201.1.9")).gets("10.201.1.9"),
        from("annotation-first").asks("10.201.1.10").with("loadBalancerIP", ip("10.201.1.11")).gets("10.201.1.10"),
        // An annotation that is there counts, also when it asks for nothing; and nothing of what is excluded is given.
        from("annotation-empty").asks("").with("loadBalancerIP", ip("10.201.1.12")).gets("10.201.1.4"),
        row("wish-finds-its-eip").asks("10.201.1.13").gets("10.201.1.13"),
        row("wish-by-spec-finds-its-eip").with("loadBalancerIP", ip("10.201.1.14")).gets("10.201.1.14"),
        row("wish-for-both")
            .families("RequireDualStack", &["IPv4", "IPv6"])
            .asks("fd00:201:64::7,10.201.1.15")
            .gets("10.201.1.15,fd00:201:64::7"),
        from("wish-excluded").asks("10.201.1.2").waits("WishExcluded", &["10.201.1.2", "spec.exclude"]),
        from("wish-outside").asks("10.201.0.9").waits("WishOutsideEip", &["10.201.0.9", &named("wish")]),
        row("wish-nowhere").asks("192.0.2.77").waits("WishOutsideEveryEip", &["192.0.2.77"]),
        from("wish-unreadable").asks("10.201.1.300").waits("WishUnreadable", &["10.201.1.300"]),
        from("wish-of-a-family").asks("fd00:201:64::8").waits("WishWrongFamily", &["fd00:201:64::8", "IPv6"]),
    ]
}

/// What an Eip gives out.
fn pools() -> Vec<Row> {
    let from = |name: &str, eip: &str| row(name).eip(&named(eip));
    let v6 = |name: &str, eip: &str| from(name, eip).families("SingleStack", &["IPv6"]);
    let last_of_20 = "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff";
    vec![
        from("not-buggy", "buggy").gets("10.201.3.1"),
        from("wish-buggy", "buggy").asks("10.201.3.0").waits("WishExcluded", &["avoidBuggyIPs"]),
        from("list-1", "list").gets("10.201.4.1"),
        from("list-2", "list").gets("10.201.4.16"),
        from("list-3", "list").gets("10.201.4.17"),
        from("list-4", "list").waits("EipFull", &["3 of 3", &named("list")]),
        from("disabled", "disabled").waits("EipDisabled", &[&named("disabled")]),
        from("reversed", "reversed").waits("EipUnreadable", &[&named("reversed")]),
        from("not-there", "not-there").waits("EipNotFound", &[&named("not-there")]),
        from("one", "one").gets("10.201.5.32"),
        v6("one-of-a-family", "one").waits("WrongFamily", &[&named("one"), "IPv6"]),
        from("first-of-8", "eight").gets("11.0.0.0"),
        from("last-of-8", "eight").asks("11.255.255.255").gets("11.255.255.255"),
        v6("first-of-64", "sixty-four").gets("fd00:201:64::"),
        v6("last-of-64", "sixty-four")
            .asks("fd00:201:64:0:ffff:ffff:ffff:ffff")
            .gets("fd00:201:64:0:ffff:ffff:ffff:ffff"),
        v6("first-of-20", "twenty").gets("3fff::"),
        v6("last-of-20", "twenty").asks(last_of_20).gets(last_of_20),
    ]
}

/// Eips that are for some.
fn bound() -> Vec<Row> {
    vec![
        row("of-namespace").within("team").gets("10.201.6.0"),
        row("of-labelled-namespace").within("blue").gets("10.201.7.0"),
        row("of-labels").labelled("tier", "gold").gets("10.201.8.0"),
        // To be bound to some keeps nobody out who asks, unless that is enforced.
        row("outsider-by-name").eip(&named("of-team")).asks("10.201.6.3").gets("10.201.6.3"),
        row("outsider-enforced").eip(&named("strict")).waits("EipNotForService", &[&named("strict")]),
        row("outsider-wish-enforced").asks("10.201.9.2").waits("EipNotForService", &[&named("strict")]),
        row("insider-enforced").within("team").eip(&named("strict")).gets("10.201.9.0"),
        row("not-automatic").within("manual").gets("10.201.12.0"),
        row("manual-by-name").within("manual").eip(&named("manual")).gets("10.201.11.0"),
        row("manual-by-wish").within("manual").asks("10.201.11.2").gets("10.201.11.2"),
    ]
}

/// Several Eips that would do: by priority, then by name, and the first with room.
fn ranked() -> Vec<Row> {
    let full = "selection-rank-a, selection-rank-b, selection-rank-0";
    vec![
        row("rank-1").within("ranked").gets("10.201.10.2"),
        row("rank-2").within("ranked").gets("10.201.10.1"),
        row("rank-3").within("ranked").gets("10.201.10.3"),
        row("rank-4").within("ranked").waits("EipFull", &["3 of 3", full]),
    ]
}

/// The rule of OpenELB 0.5, while there is no default.
fn by_protocol() -> Vec<Row> {
    vec![
        row("old-1").annotated(PROTOCOL, "layer2").gets("10.201.13.1"),
        row("old-2").annotated(PROTOCOL, "layer2").gets("10.201.13.2"),
        row("any-1").waits("NoEip", &["is-default-eip"]),
        row("any-2").annotated(PROTOCOL, "bgp").waits("NoEipForProtocol", &["bgp"]),
        // It did not opt in as Services of OpenELB 0.5 did.
        row("any-3")
            .opts_in_by("")
            .with("loadBalancerClass", json!("ironlb.io/ironlb"))
            .annotated(PROTOCOL, "layer2")
            .waits("NoEip", &[]),
    ]
}

/// A default Eip is for all that nothing else is for; of two the one that comes first.
async fn defaults(ground: &Ground<'_>) -> Result<()> {
    let default = json!({DEFAULT_EIP: "true"});
    row::annotated_eip(ground, "default", default.clone(), json!({"address": "10.201.14.0/30"})).await?;
    let served = [("any-1", "10.201.14.0"), ("any-2", "10.201.14.1"), ("any-3", "10.201.14.2")];
    let served: Vec<Row> = served.iter().map(|(name, address)| row(name).gets(address)).collect();
    row::come_true(ground, &served).await?;
    row::annotated_eip(ground, "default-2", default, json!({"address": "10.201.15.0/30", "priority": 1})).await?;
    wait_for(PATIENCE, "the second default Eip to say so", || async {
        let conditions = ground.eip_status(&named("default-2")).await?.conditions.unwrap_or_default();
        let told = conditions.iter().find(|condition| condition.type_ == "SecondDefault");
        Ok(told.filter(|told| told.status == "True" && told.message.contains(&named("default"))).map(drop))
    })
    .await?;
    row::hold(ground, &[row("any-4").annotated(PROTOCOL, "layer2").gets("10.201.14.3")]).await
}

/// Whatever their size.
async fn large_pools_are_counted(ground: &Ground<'_>) -> Result<()> {
    for (eip, size, last) in [
        ("eight", 1 << 24, "11.255.255.255"),
        ("sixty-four", i64::MAX, "fd00:201:64:0:ffff:ffff:ffff:ffff"),
        ("one", 1, "10.201.5.32"),
    ] {
        wait_for(PATIENCE, &format!("Eip {eip} to be counted"), || async {
            let status = ground.eip_status(&named(eip)).await?;
            let is_full = status.occupied == Some(size == 1);
            Ok((status.pool_size == Some(size) && status.last_ip.as_deref() == Some(last) && is_full).then_some(()))
        })
        .await?;
    }
    Ok(())
}
