//! Every interleaving of two controllers, the API server, the watch and the user, as far as a few changes of each go: no address is
//! given to two, none is lost, and nothing is written by a leader of yesterday that would do either.
//!
//! What decides is the real thing, [`ironlb_ipam::step`] with its memory. A term of leadership is what the election and the loop around
//! it promise, and no more:
//!
//! - at most one leader may begin requests at a time, and a request that a deposed one began is not waited for any more when the next
//!   one begins (searched in `ironlb-k8s`, `election/search.rs`);
//! - a new leader waits one request time-out longer, so that what was given up is not carried out any more either, lists everything
//!   afresh and begins with an empty memory;
//! - one that gives its Lease back has the answers to all its requests, so the next one waits for nothing.
//!
//! What may happen next, in any order: the user makes or deletes a Service; the leader decides on what it has seen; the watch shows it
//! one change more; a request reaches the server; its answer arrives, or is lost; a request is given up and carried out later or never;
//! the leader lists afresh; its term ends without its knowing (killed, frozen, cut off), or in order; another begins.
//!
//! One thing can break the promise: a process that is stopped between the check of its term and the sending, and goes on long after.
//! In a search of its own each leader may once do so. Then an address may be shown by two until the leader has seen it; what is held
//! here is that it takes it back.

use std::collections::{BTreeSet, VecDeque};

mod world;

use world::{Fault, Limits, World};

/// What a search came to.
#[derive(Debug)]
struct Searched {
    worlds: usize,
    /// How many writes made an address shown by two.
    doubles: usize,
}

/// Visits every world within the limits, nearest first; the error is the first fault with the way to it.
fn search(limits: Limits) -> Result<Searched, String> {
    let mut seen = BTreeSet::new();
    // A world, and where in `way` the step to it stands.
    let mut waiting = VecDeque::from([(World::new(limits), usize::MAX)]);
    let mut way: Vec<(usize, String)> = Vec::new();
    let mut doubles = 0;
    while let Some((world, came)) = waiting.pop_front() {
        for (what, next) in world.nexts() {
            let fault = match next {
                Ok(next) => {
                    doubles += usize::from(next.has_double() && !world.has_double());
                    let settled = if next.has_double() { next.clone().settle() } else { Ok(()) };
                    match settled {
                        Err(fault) => fault,
                        Ok(()) => {
                            if seen.insert(next.digest()) {
                                way.push((came, what));
                                waiting.push_back((next, way.len() - 1));
                            }
                            continue;
                        }
                    }
                }
                Err(fault) => fault,
            };
            let mut steps = vec![what];
            let mut at = came;
            while let Some((before, step)) = way.get(at) {
                steps.push(step.clone());
                at = *before;
            }
            steps.reverse();
            return Err(format!("{fault}\nafter {}", steps.join("\n      ")));
        }
    }
    Ok(Searched { worlds: seen.len(), doubles })
}

/// Larger numbers under `make soak`.
fn is_soak() -> bool {
    std::env::var_os("IRONLB_SOAK").is_some_and(|value| value == "1")
}

#[test]
fn of_all_interleavings_none_gives_an_address_twice_or_loses_one() {
    let (edits, terms) = if is_soak() { (4, 3) } else { (2, 2) };
    let searched = search(Limits { edits, terms, fault: Fault::None }).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{searched:?}");
    assert!(searched.worlds > 10_000 && searched.doubles == 0, "the search went astray: {searched:?}");
}

#[test]
fn what_a_leader_sends_long_after_its_term_is_taken_back() {
    let edits = if is_soak() { 3 } else { 2 };
    let limits = Limits { edits, terms: 2, fault: Fault::FrozenBeforeSending };
    let searched = search(limits).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{searched:?}");
    assert!(searched.doubles > 0, "the search went astray: {searched:?}");
}

/// The search finds what this breaks. A test for each, so that they run side by side.
fn is_found(fault: Fault) {
    let found = search(Limits { edits: 2, terms: 2, fault });
    assert!(found.as_ref().is_err_and(|text| text.contains("is given to")), "{fault:?}: {found:?}");
}

#[test]
fn a_new_leader_that_does_not_wait_is_found() {
    is_found(Fault::NoWait);
}

#[test]
fn a_new_leader_that_does_not_list_is_found() {
    is_found(Fault::NoList);
}

#[test]
fn a_leader_that_does_not_look_at_its_clock_is_found() {
    is_found(Fault::Unchecked);
}
