//! What ironlb's own accounts may do in the cluster, and that it is no more.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::release::NAMESPACE;
use crate::runner::Scenario;
use crate::stage::Stage;

/// Asked of the API server, which answers for an account that is named.
pub const SCENARIO: Scenario = Scenario {
    name: "rights",
    shows: "the controller's and the speakers' accounts may do what the table says and nothing besides: no wildcard, no list of Secrets, no write of a Service by a speaker",
    first_address: 199,
    run: |ground| Box::pin(run(ground)),
};

/// A line of the table: an API group, resources, verbs, and the names they are for, where they are not for all.
type Right = (&'static str, &'static str, &'static str, &'static str);

const OURS: &str = "network.kubesphere.io";

/// To notice that OpenELB is still here.
const BOTH: [Right; 3] = [
    ("apps", "deployments", "get list watch", "openelb-controller openelb-manager"),
    ("apps", "daemonsets", "get list watch", "openelb-speaker openelb-keepalive-vip"),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations mutatingwebhookconfigurations",
        "get list",
        "openelb-admission",
    ),
];

const CONTROLLER: [Right; 6] = [
    ("", "services namespaces nodes", "get list watch", ""),
    ("", "services/status", "patch", ""),
    (OURS, "eips bgpconfs bgppeers", "get list watch patch", ""),
    (OURS, "eips/status bgpconfs/status bgppeers/status", "patch", ""),
    ("ironlb.io", "speakers", "get list watch delete", ""),
    ("events.k8s.io", "events", "create", ""),
];

const CONTROLLER_IN_ITS_NAMESPACE: [Right; 3] = [
    ("coordination.k8s.io", "leases", "get watch update", "ironlb-controller"),
    ("coordination.k8s.io", "leases", "create", ""),
    ("", "configmaps", "get", ""),
];

const SPEAKER: [Right; 6] = [
    ("", "services nodes", "get list watch", ""),
    ("discovery.k8s.io", "endpointslices", "get list watch", ""),
    (OURS, "eips bgpconfs bgppeers", "get list watch", ""),
    (OURS, "bgpconfs/status bgppeers/status", "patch", ""),
    ("ironlb.io", "speakers", "get list watch create patch", ""),
    ("ironlb.io", "speakers/status", "patch", ""),
];

const SPEAKER_IN_ITS_NAMESPACE: [Right; 2] =
    [("coordination.k8s.io", "leases", "get list watch create update", ""), ("", "configmaps secrets", "get", "")];

/// What kubectl is asked besides, once with each account, and in which namespace: the answers that matter most.
const QUESTIONS: [(&str, &str, &str, &str, bool); 10] = [
    ("controller", NAMESPACE, "patch", "services/status", true),
    ("controller", "default", "update", "services", false),
    ("controller", NAMESPACE, "get", "secrets", false),
    ("controller", NAMESPACE, "*", "*", false),
    ("speaker", "default", "patch", "services/status", false),
    ("speaker", "default", "patch", "services", false),
    ("speaker", NAMESPACE, "get", "secrets", true),
    ("speaker", NAMESPACE, "list", "secrets", false),
    ("speaker", "default", "get", "secrets", false),
    ("speaker", NAMESPACE, "*", "*", false),
];

async fn run(ground: &Ground<'_>) -> Result<()> {
    let stage = ground.stage();
    for (component, everywhere, at_home) in [
        ("controller", CONTROLLER.as_slice(), CONTROLLER_IN_ITS_NAMESPACE.as_slice()),
        ("speaker", SPEAKER.as_slice(), SPEAKER_IN_ITS_NAMESPACE.as_slice()),
    ] {
        for namespace in ["default", NAMESPACE] {
            let home = if namespace == NAMESPACE { at_home } else { &[] };
            let mut wanted: BTreeSet<String> =
                everywhere.iter().chain(&BOTH).chain(home).flat_map(|right| each(*right)).collect();
            // Those of every account of the cluster.
            wanted.extend(rights(stage, &account("default", "default"), namespace).await?);
            let found = rights(stage, &account(NAMESPACE, &format!("ironlb-{component}")), namespace).await?;
            let (more, less) = (&found - &wanted, &wanted - &found);
            ensure!(
                more.is_empty() && less.is_empty(),
                "in {namespace} the {component} may also {more:?}, and may not {less:?}"
            );
        }
    }
    for (component, namespace, verb, resource, may) in QUESTIONS {
        let user = format!("--as={}", account(NAMESPACE, &format!("ironlb-{component}")));
        let (kind, below) = resource.split_once('/').unwrap_or((resource, ""));
        let subresource = format!("--subresource={below}");
        // kubectl fails where the answer is no.
        let asked = ["--namespace", namespace, "auth", "can-i", verb, kind, &subresource, &user];
        let said = stage.site.kubectl(&asked).await;
        ensure!(said.is_ok() == may, "may the {component} {verb} {resource} in {namespace}? {said:?}");
    }
    Ok(())
}

fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// A line of the table as single rights.
fn each((group, resources, verbs, names): Right) -> Vec<String> {
    let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    expand(&[group.to_owned()], &words(resources), &words(verbs), &words(names))
}

fn expand(groups: &[String], resources: &[String], verbs: &[String], names: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for (group, resource) in groups.iter().flat_map(|group| resources.iter().map(move |resource| (group, resource))) {
        for (verb, name) in verbs.iter().flat_map(|verb| names.iter().map(move |name| (verb, name))) {
            all.push([verb, group, resource, name].map(String::as_str).join(" "));
        }
    }
    all
}

/// All that an account may do in a namespace, as the API server tells the account itself.
async fn rights(stage: &Stage, account: &str, namespace: &str) -> Result<BTreeSet<String>> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                        "spec": {"namespace": namespace}});
    let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")
        .header("Content-Type", "application/json")
        .header("Impersonate-User", account)
        .body(serde_json::to_vec(&review)?)?;
    let told: Value = stage.site.client().request(request).await.with_context(|| format!("the rights of {account}"))?;
    let rules = told["status"]["resourceRules"].as_array().context("an answer without rules")?;
    let words = |rule: &Value, field: &str| -> Vec<String> {
        let list = rule[field].as_array().into_iter().flatten();
        list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let one = |rule: &Value| {
        let names = words(rule, "resourceNames");
        let names = if names.is_empty() { vec![String::new()] } else { names };
        expand(&words(rule, "apiGroups"), &words(rule, "resources"), &words(rule, "verbs"), &names)
    };
    Ok(rules.iter().flat_map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_taken_apart() {
        assert_eq!(each(("", "a b/c", "get", "")), ["get  a ", "get  b/c "]);
        assert_eq!(each(("g", "a", "get list", "x y")), ["get g a x", "get g a y", "list g a x", "list g a y"]);
    }
}
