//! The end-to-end scenarios, run on real clusters that the lab makes.
//!
//! What it does: brings sites up, installs ironlb with Helm from its own chart and image, and shows on them what ironlb
//! promises ([`scenarios`], a file per scenario), as `make test` and, step by step for a reader, as `make demo`.
//!
//! What it does not do: it replaces nothing by a stand-in. Kubernetes, the network, kube-proxy, the kubelet and the clients'
//! connections are real; the lab makes them and measures.
//!
//! Invariants: a scenario works in a namespace and with addresses of its own and leaves neither behind; nothing waits for time to
//! pass, but for something to become true, with a deadline that says what was waited for.
//!
//! Start reading at [`scenarios::quick_start`], then [`ground`] and [`owner`] for the questions it asks.

pub mod abreast;
pub mod console;
pub mod crd_rules;
pub mod evidence;
pub mod fabric;
pub mod failover;
pub mod ground;
pub mod handover;
pub mod lasting;
pub mod late;
pub mod ledger;
pub mod load;
pub mod manifests;
pub mod other_writer;
pub mod owner;
pub mod page;
pub mod release;
pub mod rerouting;
pub mod row;
pub mod runner;
pub mod scenarios;
pub mod stage;
pub mod takeover;
pub mod tally;
pub mod web;
