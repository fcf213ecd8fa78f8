//! What a round costs: `cargo run --release -p ironlb-announce --example timing`.
//!
//! Medians of nine rounds. The bound of the design is 15 to 25 ms for 10,000 Services and 100 nodes.

#![expect(clippy::print_stdout, clippy::disallowed_macros, reason = "this program is for people")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time")]

#[expect(dead_code, reason = "it uses a part of it")]
#[path = "../tests/site/mod.rs"]
mod site;

use std::time::{Duration, Instant};

use ironlb_announce::{LocalView, Memory, Reason, step};
use ironlb_model::{Snapshot, Timestamp, TrafficPolicy};

fn main() {
    println!("{:>9} {:>6} {:>7} {:>12} {:>12}", "services", "nodes", "policy", "all unowned", "all owned");
    for (services, nodes) in [(1_000, 20), (10_000, 100), (10_000, 1_000)] {
        for policy in [TrafficPolicy::Cluster, TrafficPolicy::Local] {
            let mut site = site::site(nodes, services);
            for n in 0..services {
                site::edit_service(&mut site, &format!("s{n}"), |s| s.traffic_policy = policy);
            }
            let mut view = LocalView::new(site::node_name(1));
            view.candidates = (0..nodes).map(site::node_name).collect();
            view.interfaces = site::interfaces(1);
            view.ready = true;
            let unowned = median(&site, &view);
            let elected = step(&site, &view, &mut Memory::default(), Timestamp::ZERO).announcements;
            let elsewhere = elected.withheld.into_iter().filter_map(|(vip, reason)| match reason {
                Reason::ElectedElsewhere { node } => Some((vip, node)),
                _ => None,
            });
            view.owners = elsewhere.chain(elected.layer2.into_keys().map(|vip| (vip, view.node.clone()))).collect();
            let owned = median(&site, &view);
            println!("{services:>9} {nodes:>6} {policy:>7?} {unowned:>12.1?} {owned:>12.1?}");
        }
    }

    fn median(site: &Snapshot, view: &LocalView) -> Duration {
        let mut memory = Memory::default();
        let mut times: Vec<Duration> = (0..9)
            .map(|_| {
                let start = Instant::now();
                let step = step(site, view, &mut memory, Timestamp::ZERO);
                std::hint::black_box(&step);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    }
}
