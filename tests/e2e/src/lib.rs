//! The end-to-end scenarios, run on real clusters that the lab makes.

pub mod crd_rules;
