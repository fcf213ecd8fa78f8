//! The page for a dozen situations, each out of objects as the API server has them.

use std::sync::Arc;

use ironlb_ipam::explain;
use ironlb_k8s::once::{Controller, Missing, Part};
use ironlb_model::{Settings, Snapshot};
use ironlb_translate as translate;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

/// A snapshot of these objects.
fn snapshot(manifests: &str) -> Snapshot {
    fn typed<T: DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).unwrap_or_else(|error| panic!("{error}"))
    }
    let mut snapshot = Snapshot::default();
    for document in manifests.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}"));
        let mut issues = Vec::new();
        match object["kind"].as_str().unwrap_or_default() {
            "Service" => {
                let (service, faults) = translate::service(&typed(object));
                issues = faults;
                snapshot.services.insert(service.id.clone(), Arc::new(service));
            }
            "Eip" => {
                let (eip, faults) = translate::eip(&typed(object));
                issues = faults;
                snapshot.eips.insert(eip.name.clone(), Arc::new(eip));
            }
            "Namespace" => {
                let namespace = translate::namespace(&typed(object));
                snapshot.namespaces.insert(namespace.name.clone(), Arc::new(namespace));
            }
            "Node" => {
                let (node, _) = translate::node(&typed(object));
                snapshot.nodes.insert(node.name.clone(), Arc::new(node));
            }
            "Speaker" => {
                let (speaker, _) = translate::speaker(&typed(object));
                snapshot.speakers.insert(speaker.node.clone(), Arc::new(speaker));
            }
            "EndpointSlice" => {
                let slice = translate::endpoint_slice(&typed(object)).expect("of a Service");
                let merged = translate::merge([slice.endpoints.as_slice()]);
                snapshot.endpoints.insert(slice.service, Arc::new(merged));
            }
            other => panic!("{other} is not used here"),
        }
        snapshot.issues.extend(issues);
    }
    snapshot
}

fn running() -> Running {
    Running {
        settings: Settings::default(),
        source: "as Deployment ironlb-system/ironlb-controller runs".to_owned(),
        controller: Some(Controller {
            deployment: "ironlb-system/ironlb-controller".to_owned(),
            arguments: Vec::new(),
            wanted: 2,
            ready: 2,
        }),
        missing: None,
    }
}

/// The page of Service shop/web among these objects.
fn page(snapshot: &Snapshot) -> String {
    page_with(snapshot, &running(), &[])
}

fn page_with(snapshot: &Snapshot, running: &Running, missing: &[Missing]) -> String {
    let explanation = explain(snapshot, &ServiceId::new("shop", "web")).expect("the Service is there");
    text::render(&Page { explanation: &explanation, running, missing })
}

/// Service shop/web with further metadata, spec and status, each in flow style.
fn web(annotations: &str, spec: &str, status: &str) -> String {
    service("shop", "web", annotations, spec, status)
}

fn service(namespace: &str, name: &str, annotations: &str, spec: &str, status: &str) -> String {
    let opt_in = "lb.kubesphere.io/v1alpha1: openelb";
    format!(
        "{{kind: Service, metadata: {{namespace: {namespace}, name: {name}, resourceVersion: '1', annotations: {{{opt_in}{annotations}}}}}, \
         spec: {{type: LoadBalancer, ipFamilies: [IPv4], ports: [{{port: 80}}]{spec}}}, status: {{{status}}}}}"
    )
}

fn eip(name: &str, address: &str, more: &str) -> String {
    format!(
        "{{kind: Eip, apiVersion: network.kubesphere.io/v1alpha2, metadata: {{name: {name}}}, spec: {{address: '{address}', protocol: layer2{more}}}}}"
    )
}

fn default_eip(name: &str, address: &str) -> String {
    format!(
        "{{kind: Eip, apiVersion: network.kubesphere.io/v1alpha2, metadata: {{name: {name}, annotations: \
         {{eip.openelb.kubesphere.io/is-default-eip: 'true'}}}}, spec: {{address: '{address}', protocol: layer2}}}}"
    )
}

fn node(name: &str) -> String {
    format!("{{kind: Node, metadata: {{name: {name}}}, status: {{conditions: [{{type: Ready, status: 'True'}}]}}}}")
}

fn speaker(node: &str, owned: &str, withheld: &str) -> String {
    format!(
        "{{kind: Speaker, apiVersion: ironlb.io/v1alpha1, metadata: {{name: {node}}}, spec: {{}}, status: {{ready: true, layer2: \
         {{ownedCount: 1, owned: [{owned}]}}, withheld: [{withheld}]}}}}"
    )
}

fn slice(endpoints: &str) -> String {
    format!(
        "{{kind: EndpointSlice, metadata: {{namespace: shop, name: web-1, labels: {{kubernetes.io/service-name: web}}}}, addressType: \
         IPv4, endpoints: [{endpoints}]}}"
    )
}

fn objects(objects: &[String]) -> Snapshot {
    snapshot(&objects.join("\n---\n"))
}

const HELD: &str = "loadBalancer: {ingress: [{ip: 10.0.0.1}]}, conditions: [{type: ironlb.io/AddressAssigned, status: 'True', reason: \
                    Assigned, message: 10.0.0.1 from Eip pool, lastTransitionTime: '2026-01-02T03:04:05Z'}]";

#[test]
fn served_and_announced() {
    let answers = speaker("n1", "{vip: 10.0.0.1, interface: eth0}", "");
    let elsewhere = "{vip: 10.0.0.1, reason: OwnedElsewhere, message: node n1 owns it}";
    let cluster = objects(&[
        web("", "", HELD),
        default_eip("pool", "10.0.0.1-10.0.0.9"),
        node("n1"),
        node("n2"),
        answers,
        speaker("n2", "", elsewhere),
        slice("{addresses: [172.16.0.7], nodeName: n2, conditions: {ready: true}}"),
    ]);
    insta::assert_snapshot!(page(&cluster));
}

#[test]
fn held_and_not_announced() {
    let why = "{vip: 10.0.0.1, reason: NoEndpoints, message: no endpoint of Service shop/web can take a connection; see that its pods \
               are ready}";
    let slice = slice("{addresses: [172.16.0.7], nodeName: n1, conditions: {ready: false}}");
    let cluster =
        objects(&[web("", "", HELD), default_eip("pool", "10.0.0.1"), node("n1"), speaker("n1", "", why), slice]);
    insta::assert_snapshot!(page(&cluster));
}

/// Three nodes and two leaves: one node advertises, one has lost its sessions, one has no endpoint of a Service with policy Local.
fn with_bgp() -> Snapshot {
    let pool = eip("pool", "10.0.0.1-10.0.0.9", ", bgp: {peers: [leaf1, leaf2]}").replace("layer2", "bgp");
    let sessions = |leaf2: &str| {
        format!(
            "sessions: [{{peer: leaf1, state: ESTABLISHED}}, {{peer: leaf2, {leaf2}}}, {{peer: spare, state: ESTABLISHED}}]"
        )
    };
    let speaker = |node: &str, bgp: &str| {
        format!(
            "{{kind: Speaker, apiVersion: ironlb.io/v1alpha1, metadata: {{name: {node}}}, spec: {{}}, status: {{ready: true, bgp: {{{bgp}}}}}}}"
        )
    };
    let up = sessions("state: ESTABLISHED");
    let down = "sessions: [{peer: leaf1, state: ACTIVE, lastError: connection refused}, {peer: leaf2, state: CONNECT}]";
    objects(&[
        web(", eip.openelb.kubesphere.io/v1alpha2: pool", ", externalTrafficPolicy: Local", HELD),
        pool,
        node("n1"),
        node("n2"),
        node("n3"),
        node("n4"),
        speaker("n1", &format!("{up}, advertisedCount: 1, advertised: [10.0.0.1]")),
        speaker("n2", down),
        speaker("n3", &sessions("state: ACTIVE")),
        slice(
            "{addresses: [172.16.0.7], nodeName: n1, conditions: {ready: true}}, \
             {addresses: [172.16.0.8], nodeName: n2, conditions: {ready: true}}",
        ),
    ])
}

#[test]
fn advertised_by_some_nodes() {
    insta::assert_snapshot!(page(&with_bgp()));
}

#[test]
fn of_many_nodes_the_first_are_listed_and_the_rest_counted() {
    let mut cluster = with_bgp();
    for n in 0..25 {
        let name = format!("m{n:02}");
        let (like, report) = (&cluster.nodes[&"n1".into()], &cluster.speakers[&"n1".into()]);
        let (mut like, mut report) = ((**like).clone(), (**report).clone());
        (like.name, report.node) = (name.as_str().into(), name.as_str().into());
        if n >= 13 {
            report.bgp.advertised.clear();
            report.bgp.established.clear();
        }
        cluster.nodes.insert(like.name.clone(), Arc::new(like));
        cluster.speakers.insert(report.node.clone(), Arc::new(report));
    }
    let text = page(&cluster);
    assert!(text.contains("10.0.0.1 by node m09, to BgpPeers leaf1, leaf2\n  10.0.0.1 by 4 more nodes\n"), "{text}");
    // Twelve without endpoints, and three of before.
    assert!(text.contains("10.0.0.1 not by 5 more nodes\n"), "{text}");
}

#[test]
fn no_eip_offers_itself() {
    let cluster = objects(&[
        web("", "", ""),
        eip("elsewhere", "10.0.0.0/24", ", namespaces: [other]"),
        eip("labelled", "10.0.1.0/24", ", serviceSelector: {matchLabels: {tier: edge}}"),
        eip("plain", "10.0.2.0/24", ""),
        eip("quiet", "10.0.3.0/24", ", autoAssign: false"),
    ]);
    insta::assert_snapshot!(page(&cluster));
}

#[test]
fn every_eip_in_question_refuses() {
    let other = service("shop", "older", "", "", "loadBalancer: {ingress: [{ip: 10.0.0.1}]}");
    let cluster = objects(&[
        web("", "", ""),
        other,
        eip("full", "10.0.0.1", ", namespaces: [shop]"),
        eip("paused", "10.0.1.0/24", ", namespaces: [shop], disable: true"),
        eip("six", "fd00::/120", ", namespaces: [shop]"),
        default_eip("spare", "10.0.9.0/24"),
    ]);
    insta::assert_snapshot!(page(&cluster));
}

#[test]
fn an_address_is_due() {
    let stopped = Running { controller: Some(Controller { ready: 0, ..running().controller.unwrap() }), ..running() };
    let cluster = objects(&[
        web("", "", ""),
        eip("bound", "10.0.1.0/24", ", namespaces: [shop]"),
        default_eip("pool", "10.0.0.0/24"),
    ]);
    insta::assert_snapshot!(page_with(&cluster, &stopped, &[]));
}

#[test]
fn the_named_eip_is_missing() {
    let named = ", eip.openelb.kubesphere.io/v1alpha2: typo";
    insta::assert_snapshot!(page(&objects(&[web(named, "", ""), default_eip("pool", "10.0.0.0/24")])));
}

#[test]
fn the_wished_address_is_taken() {
    let holder = service("shop", "holder", "", "", HELD);
    let wisher = web("", ", loadBalancerIP: 10.0.0.1", "");
    insta::assert_snapshot!(page(&objects(&[
        wisher,
        holder,
        eip("pool", "10.0.0.0/24", ""),
        eip("twice", "10.0.0.1", "")
    ])));
}

#[test]
fn a_new_wish_is_not_granted_and_the_old_address_stays() {
    let wisher = web(", eip.openelb.kubesphere.io/v1alpha1: 192.0.2.1", "", HELD);
    insta::assert_snapshot!(page(&objects(&[wisher, default_eip("pool", "10.0.0.0/24")])));
}

#[test]
fn an_address_is_shared() {
    let first = service("shop", "dns", "", ", externalTrafficPolicy: Cluster", HELD);
    let second = web("", ", loadBalancerIP: 10.0.0.1, ports: [{port: 53}]", "").replace("ports: [{port: 80}], ", "");
    insta::assert_snapshot!(page(&objects(&[first, second, eip("pool", "10.0.0.0/24", "")])));
}

#[test]
fn the_second_family_is_missing() {
    let dual =
        web("", "", HELD).replace("ipFamilies: [IPv4]", "ipFamilies: [IPv4, IPv6], ipFamilyPolicy: PreferDualStack");
    insta::assert_snapshot!(page(&objects(&[dual, default_eip("pool", "10.0.0.0/24")])));
}

#[test]
fn it_is_of_another_class() {
    let other =
        web("", ", loadBalancerClass: cloud.example/lb", "loadBalancer: {ingress: [{hostname: lb.example.org}]}");
    insta::assert_snapshot!(page(&objects(&[other, default_eip("pool", "10.0.0.0/24")])));
}

#[test]
fn it_did_not_opt_in() {
    let plain = web("", "", "").replace("lb.kubesphere.io/v1alpha1: openelb", "");
    insta::assert_snapshot!(page(&objects(&[plain, default_eip("pool", "10.0.0.0/24")])));
}

#[test]
fn the_wish_and_an_eip_cannot_be_read() {
    let wisher = web("", ", loadBalancerIP: 10.0.0.300", "");
    insta::assert_snapshot!(page(&objects(&[wisher, default_eip("pool", "10.0.0.9-10.0.0.1")])));
}

#[test]
fn its_status_was_lost() {
    let lost = web(", ironlb.io/addresses: 10.0.0.7", "", "");
    insta::assert_snapshot!(page(&objects(&[lost, default_eip("pool", "10.0.0.0/24")])));
}

#[test]
fn another_host_claims_its_address() {
    let told =
        "{type: Conflict, status: 'True', reason: Conflict, message: '', lastTransitionTime: '1970-01-01T00:00:00Z'}";
    let pool =
        default_eip("pool", "10.0.0.0/24").replace("layer2}", &format!("layer2}}, status: {{conditions: [{told}]}}"));
    let heard = "{vip: 10.0.0.1, mac: '02:00:00:00:00:ee', lastSeen: '1970-01-01T00:01:00Z'}";
    let speaker =
        speaker("n1", "{vip: 10.0.0.1, interface: eth0}", "").replace("withheld: []", &format!("conflicts: [{heard}]"));
    insta::assert_snapshot!(page(&objects(&[web("", "", HELD), pool, node("n1"), speaker])));
}

#[test]
fn openelb_still_runs() {
    let mut cluster = objects(&[web("", "", HELD), default_eip("pool", "10.0.0.0/24")]);
    cluster.openelb.push("Deployment openelb-system/openelb-controller".to_owned());
    insta::assert_snapshot!(page(&cluster));
}

#[test]
fn some_of_it_may_not_be_read() {
    let missing = |part: Part| Missing { part, error: "refused (403): forbidden".to_owned(), is_forbidden: true };
    let cluster = objects(&[web("", "", HELD)]);
    let hidden = [missing(Part::Services), missing(Part::Eips), missing(Part::Speakers)];
    insta::assert_snapshot!(page_with(&cluster, &running(), &hidden));
}

#[test]
fn programs_get_the_same() {
    let cluster = objects(&[
        web("", ", loadBalancerIP: 10.0.0.300", HELD),
        default_eip("pool", "10.0.0.0/24"),
        eip("big", "::/0", ""),
    ]);
    let explanation = explain(&cluster, &ServiceId::new("shop", "web")).unwrap();
    let page = Page { explanation: &explanation, running: &running(), missing: &[] };
    insta::assert_snapshot!(serde_json::to_string_pretty(&json::render(&page)).unwrap());
}

#[test]
fn a_service_is_named_in_one_way_or_the_other() {
    let given = |line: &str| {
        use clap::Parser;
        let line = format!("ironlb explain service {line}");
        let crate::Command::Explain(Command::Service(args)) = crate::Cli::parse_from(line.split(' ')).command else {
            panic!("{line} is another command");
        };
        service_id(&args, "default").map(|id| id.to_string()).map_err(|error| error.to_string())
    };
    assert_eq!(given("shop/web"), Ok("shop/web".to_owned()));
    assert_eq!(given("web"), Ok("default/web".to_owned()));
    assert_eq!(given("web -n shop"), Ok("shop/web".to_owned()));
    assert_eq!(given("shop/web --namespace shop -o json"), Ok("shop/web".to_owned()));
    assert!(given("shop/web -n other").is_err_and(|said| said.contains("not in namespace other")));
    assert!(given("shop/web/8080").is_err_and(|said| said.contains("NAMESPACE/NAME")));
}

#[test]
fn a_missing_service_is_told_with_what_there_is() {
    let id = ServiceId::new("shop", "wbe");
    let said = nothing_to_explain(&id, &objects(&[web("", "", "")]), &[], "https://localhost");
    assert_eq!(said, "there is no Service shop/wbe; of type LoadBalancer there are shop/web");
    let missing = |is_forbidden| Missing { part: Part::Services, error: "why".to_owned(), is_forbidden };
    let said = nothing_to_explain(&id, &Snapshot::default(), &[missing(true)], "https://localhost");
    assert!(said.contains("lack the right to get services in namespace shop"), "{said}");
    let said = nothing_to_explain(&id, &Snapshot::default(), &[missing(false)], "https://localhost");
    assert_eq!(said, "cannot read the Services at https://localhost: why");
}
