//! Objects that were stored before a rule existed: their status can still be written, they can be labelled, changed in
//! another field, mended and deleted. New ones like them are refused.

use serde_json::{Value, json};

use super::lossless::done;
use super::server::{Collection, Server};
use super::{Report, crds};

/// An object that the rules refuse, a change to another field of it, and the change that mends it.
struct Bad {
    kind: &'static str,
    name: &'static str,
    spec: Value,
    /// `None` where the rule is about two fields together and so looks at every change of the spec.
    other_field: Option<Value>,
    mended: Value,
}

fn bad_objects() -> Vec<Bad> {
    vec![
        Bad {
            kind: "Eip",
            name: "bad-address",
            spec: json!({"address": "192.0.2.0/255.255.255.0"}),
            other_field: Some(json!({"disable": true})),
            mended: json!({"address": "192.0.2.0/24"}),
        },
        Bad {
            kind: "Eip",
            name: "bad-protocol",
            spec: json!({"address": "192.0.2.0/24", "protocol": "ospf"}),
            other_field: Some(json!({"disable": true})),
            mended: json!({"protocol": "bgp"}),
        },
        Bad {
            kind: "Eip",
            name: "no-interface",
            spec: json!({"address": "192.0.2.0/24", "protocol": "layer2"}),
            other_field: None,
            mended: json!({"interface": "eth0"}),
        },
        Bad {
            kind: "Eip",
            name: "bad-interface",
            spec: json!({"address": "192.0.2.0/24", "protocol": "vip", "interface": "can_reach:gateway"}),
            other_field: None,
            mended: json!({"interface": "can_reach:192.0.2.1"}),
        },
        Bad {
            kind: "BgpConf",
            name: "bad-as",
            spec: json!({"as": 4_294_967_296_u64}),
            other_field: Some(json!({"listenPort": 17900})),
            mended: json!({"as": 4_294_967_295_u32}),
        },
        Bad {
            kind: "BgpConf",
            name: "bad-router-id",
            spec: json!({"as": 64512, "routerId": "router"}),
            other_field: Some(json!({"listenPort": 17900})),
            mended: json!({"routerId": ""}),
        },
        Bad {
            kind: "BgpPeer",
            name: "bad-neighbor",
            spec: json!({"conf": {"neighborAddress": "router.example", "peerAs": -7}}),
            other_field: Some(json!({"conf": {"description": "text"}})),
            mended: json!({"conf": {"neighborAddress": "192.0.2.1", "peerAs": 64512}}),
        },
    ]
}

pub(super) async fn run(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let bad_objects = bad_objects();
    let probes: Vec<(Collection, Value)> = bad_objects
        .iter()
        .map(|bad| {
            let of = crds::copy(bad.kind, "v1alpha2");
            let probe = of.object("probe", &bad.spec);
            (of, probe)
        })
        .collect();
    crds::drop_rules(server, &probes).await?;
    for bad in &bad_objects {
        let of = crds::copy(bad.kind, "v1alpha2");
        for version in ["v1alpha1", "v1alpha2"] {
            done(server.create(&of, &of.object(&name_in(bad, version), &bad.spec)).await?)?;
        }
    }
    crds::restore_rules(server, &probes).await?;
    for bad in &bad_objects {
        for version in ["v1alpha1", "v1alpha2"] {
            still_usable(server, report, bad, version).await?;
        }
    }
    Ok(())
}

/// Each version has an object of its own to work on.
fn name_in(bad: &Bad, version: &str) -> String {
    format!("{}-{version}", bad.name)
}

async fn still_usable(server: &Server, report: &mut Report, bad: &Bad, version: &str) -> anyhow::Result<()> {
    let of = crds::copy(bad.kind, version);
    let name = name_in(bad, version);
    let condition = json!({"type": "Ready", "status": "False", "reason": "InvalidField", "message": "text",
                           "lastTransitionTime": "2026-01-02T03:04:05Z"});
    let status = json!({"conditions": [condition]});
    let applied = json!({"apiVersion": format!("{}/{version}", of.group), "kind": of.kind, "metadata": {"name": name},
                         "status": status});

    let mut steps = vec![
        ("status patch", server.merge_status(&of, &name, &json!({"status": status})).await?),
        ("status apply", server.apply_status(&of, &applied).await?),
        ("label", server.merge(&of, &name, &json!({"metadata": {"labels": {"a": "b"}}})).await?),
        ("finalizer set", server.merge(&of, &name, &json!({"metadata": {"finalizers": ["a.example/b"]}})).await?),
    ];
    if let Some(change) = &bad.other_field {
        steps.push(("another field", server.merge(&of, &name, &json!({"spec": change})).await?));
    }
    steps.push(("mended", server.merge(&of, &name, &json!({"spec": bad.mended})).await?));
    for (step, answer) in steps {
        let outcome = answer.map(drop).map_err(|refusal| refusal.message);
        report.check(&format!("{} {version} {name} stored before the rule: {step}", bad.kind), outcome);
    }

    let shown = done(server.get(&of, &name).await?)?;
    let outcome = if shown["status"] == status { Ok(()) } else { Err(format!("status is {}", shown["status"])) };
    report.check(&format!("{} {version} {name} stored before the rule: status is kept", bad.kind), outcome);

    server.delete(&of, &name).await?;
    let freed = server.merge(&of, &name, &json!({"metadata": {"finalizers": null}})).await?;
    let outcome = freed.map(drop).map_err(|refusal| refusal.message);
    report.check(&format!("{} {version} {name} stored before the rule: finalizer removed", bad.kind), outcome);
    let gone = matches!(server.get(&of, &name).await?, Err(refusal) if refusal.code == 404);
    let outcome = if gone { Ok(()) } else { Err("it is still there".to_owned()) };
    report.check(&format!("{} {version} {name} stored before the rule: deleted", bad.kind), outcome);
    Ok(())
}
