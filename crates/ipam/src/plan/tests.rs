use crate::testing::*;
#[test]
fn smoke() {
    let snapshot = snapshot(&[eip("a", "10.0.0.1-10.0.0.3").default_eip()], &[service("n/x"), service("n/y")]);
    let plan = planned(&snapshot);
    assert_eq!(vips(&plan, "n/x"), ips(&["10.0.0.1"]));
}
