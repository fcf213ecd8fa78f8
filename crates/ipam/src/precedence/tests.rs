//! The order of precedence has its rows in the tests of the plan; here is what a plan does not show.

use super::*;
use crate::testing::*;

#[test]
fn names_are_read_from_a_list() {
    for (text, want) in [("a", vec!["a"]), (" a , b,", vec!["a", "b"]), ("", vec![]), (" , ", vec![])] {
        let named = service("n/s").eip(text);
        assert_eq!(names(&named).collect::<Vec<_>>(), want, "{text:?}");
    }
}

#[test]
fn priority_then_name_is_a_total_order() {
    let with = |name: &str, priority| eip(name, "10.0.0.1").with(|e| e.priority = priority);
    assert_eq!(by_priority(&with("b", -1), &with("a", 0)), Ordering::Less);
    assert_eq!(by_priority(&with("b", 0), &with("a", 0)), Ordering::Greater);
    assert_eq!(by_priority(&with("a", 0), &with("a", 0)), Ordering::Equal);
}
