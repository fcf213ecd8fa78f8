//! What ironlb promises, a file per scenario, and on which sites they are shown.

pub mod address_in_conflict;
pub mod addresses_stay;
pub mod api_server_stopped;
pub mod bgp_calm;
pub mod bgp_disruptions;
pub mod bgp_families;
pub mod bgp_quick_start;
pub mod bgp_routes;
pub mod bgp_settings;
pub mod controller_leader_killed;
pub mod crd_rules;
pub mod drain;
pub mod eip_in_use;
pub mod every_process_is_a_pods;
pub mod examples_apply;
pub mod explain;
pub mod faults;
pub mod given_to_two;
pub mod helm_uninstall;
pub mod helm_upgrade;
pub mod kept_for_some;
pub mod leader_cut_off;
pub mod leader_frozen;
pub mod leader_refused;
pub mod leader_stays;
pub mod leader_stopped;
pub mod leaving;
pub mod lost_status;
pub mod many_services;
pub mod no_eip_fits;
pub mod objects_with_faults;
pub mod other_load_balancer;
pub mod owner_cut_off;
pub mod power_cut;
pub mod quick_start;
pub mod refused_status_write;
pub mod restart_without_api_server;
pub mod rights;
pub mod selection;
pub mod shared_addresses;
pub mod speaker_frozen;
pub mod speaker_killed;
pub mod survives_bad_objects;
pub mod survives_slow_server;
pub mod take_over;
pub mod told_once;
pub mod two_families;

use ironlb_lab::{ProxyMode, SiteSpec, Software};

use crate::runner::{Scenario, SitePlan};

/// All scenarios, by site. On each, those that only need the API server come first, then those that leave the site as it is.
#[must_use]
pub fn plans() -> Vec<SitePlan> {
    vec![
        SitePlan {
            name: "nodes",
            title: "three nodes, kube-proxy in nftables mode",
            spec: || SiteSpec::new(3).clients(2),
            // How long a stranger's claim to an address counts: three times as long as a speaker waits between two reports, and
            // short enough to wait for.
            values: &["controller.extraArgs={--conflict-quarantine=6}"],
            before: None,
            together: vec![
                no_eip_fits::SCENARIO,
                explain::SCENARIO,
                objects_with_faults::SCENARIO,
                refused_status_write::SCENARIO,
                eip_in_use::SCENARIO,
                many_services::SCENARIO,
                two_families::SCENARIO,
                shared_addresses::SCENARIO,
                addresses_stay::SCENARIO,
                lost_status::SCENARIO,
                leaving::SCENARIO,
                other_load_balancer::SCENARIO,
                kept_for_some::SCENARIO,
                told_once::SCENARIO,
                address_in_conflict::SCENARIO,
                rights::SCENARIO,
            ],
            scenarios: vec![
                every_process_is_a_pods::SCENARIO,
                // Not together with others: kubectl finds "eip" in its copies of the CRDs as well.
                crd_rules::SCENARIO,
                quick_start::SCENARIO,
                examples_apply::SCENARIO,
                selection::SCENARIO,
                survives_bad_objects::SCENARIO,
                faults::SCENARIO,
            ],
            alone: vec![
                // A connection that takes long because the machine is busy is one that a handover breaks.
                drain::SCENARIO,
                speaker_killed::SCENARIO,
                speaker_frozen::SCENARIO,
                owner_cut_off::SCENARIO,
                power_cut::SCENARIO,
            ],
            last: Vec::new(),
        },
        SitePlan {
            name: "leaders",
            title: "three nodes, for what happens to controllers, to the API server and to the release",
            spec: || SiteSpec::new(3).clients(2),
            values: &[],
            before: None,
            together: Vec::new(),
            scenarios: vec![
                given_to_two::SCENARIO,
                leader_stays::SCENARIO,
                leader_frozen::SCENARIO,
                leader_cut_off::SCENARIO,
                leader_refused::SCENARIO,
                survives_slow_server::SCENARIO,
            ],
            alone: vec![leader_stopped::SCENARIO, controller_leader_killed::SCENARIO, helm_upgrade::SCENARIO],
            // After an outage of the API server kubelets hear of a pod's deletion up to half a minute late, so ironlb is uninstalled
            // before. And a kubelet restarts a container at once the first time that it ends: none has ended of that installation.
            last: vec![helm_uninstall::SCENARIO, api_server_stopped::SCENARIO, restart_without_api_server::SCENARIO],
        },
        SitePlan {
            name: "routers",
            title: "three nodes, FRR and BIRD with clients behind them",
            spec: || SiteSpec::new(3).clients(1).router_with_client(Software::Frr).router_with_client(Software::Bird),
            values: &[],
            before: None,
            together: Vec::new(),
            scenarios: vec![
                bgp_quick_start::SCENARIO,
                bgp_routes::SCENARIO,
                bgp_settings::SCENARIO,
                bgp_families::SCENARIO,
                bgp_calm::SCENARIO,
            ],
            alone: vec![bgp_disruptions::SCENARIO],
            last: Vec::new(),
        },
        SitePlan {
            name: "two-nodes",
            title: "two nodes, kube-proxy in iptables mode",
            spec: || SiteSpec::new(2).clients(2).proxy_mode(ProxyMode::Iptables),
            values: &[],
            before: Some(take_over::SCENARIO),
            together: Vec::new(),
            scenarios: vec![Scenario { name: "quick-start-iptables", ..quick_start::SCENARIO }],
            alone: vec![Scenario { name: "power-cut-two-nodes", ..power_cut::SCENARIO }],
            last: Vec::new(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_scenario_shares_neither_name_nor_addresses_with_another_on_its_site() {
        for plan in plans() {
            let names: BTreeSet<_> = plan.all().map(|scenario| scenario.name).collect();
            assert_eq!(names.len(), plan.all().count(), "{}", plan.title);
            // What is shown before ironlb is installed is over, with its addresses, when the others begin.
            let others = || plan.together.iter().chain(&plan.scenarios).chain(&plan.alone).chain(&plan.last);
            let ranges: BTreeSet<_> = others().map(|scenario| scenario.first_address).collect();
            assert_eq!(ranges.len(), others().count(), "{}", plan.title);
        }
    }
}
