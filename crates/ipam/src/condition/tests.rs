use super::*;

fn told(kind: &str, status: ConditionStatus, reason: &str) -> Condition {
    condition(kind, status, reason, "m".to_owned())
}

#[test]
fn only_what_differs_is_written_and_the_time_only_with_the_status() {
    let shown = [
        told("A", ConditionStatus::True, "R"),
        told("B", ConditionStatus::True, "R"),
        told("C", ConditionStatus::True, "R"),
    ];
    let wanted = [
        told("A", ConditionStatus::True, "R"),
        told("B", ConditionStatus::True, "S"),
        told("D", ConditionStatus::False, "R"),
    ];
    assert_eq!(
        changes(&shown, &wanted, &[]),
        [
            ConditionWrite::Set { condition: wanted[1].clone(), transition: false },
            ConditionWrite::Set { condition: wanted[2].clone(), transition: true },
            ConditionWrite::Remove { kind: "C".to_owned() },
        ]
    );
    assert_eq!(changes(&wanted, &wanted, &[]), []);
    let anew = changes(&wanted, &wanted, &["A"]);
    assert_eq!(anew, [ConditionWrite::Set { condition: wanted[0].clone(), transition: true }]);
}

#[test]
fn a_replaced_list_keeps_times_and_the_conditions_of_others() {
    let shown = [
        told("Ready", ConditionStatus::True, "R"),
        told("Theirs", ConditionStatus::True, "R"),
        told("Old", ConditionStatus::True, "R"),
    ];
    let times: BTreeMap<String, WallTime> =
        ["Ready", "Theirs", "Old"].map(|kind| (kind.to_owned(), WallTime(7))).into();
    let ours = |kind: &str| kind != "Theirs";
    let wanted = [told("Ready", ConditionStatus::True, "Other"), told("New", ConditionStatus::True, "R")];
    let written = replacement(&shown, &times, &wanted, ours).unwrap();
    let brief: Vec<_> = written.iter().map(|c| (c.condition.kind.as_str(), c.since)).collect();
    assert_eq!(brief, [("Ready", Some(WallTime(7))), ("New", None), ("Theirs", Some(WallTime(7)))]);
    assert_eq!(
        replacement(&shown, &times, &[shown[2].clone(), shown[0].clone()], ours),
        None,
        "the order does not matter"
    );
    let flipped = [told("Ready", ConditionStatus::False, "R"), shown[2].clone()];
    assert_eq!(replacement(&shown, &times, &flipped, ours).unwrap()[0].since, None);
}

#[test]
fn long_messages_are_cut_between_characters() {
    let long = condition("A", ConditionStatus::True, "R", "ä".repeat(2000));
    assert!(long.message.len() <= MAX_MESSAGE && long.message.ends_with("ä ..."), "{}", long.message.len());
}

#[test]
fn names_are_those_of_the_api() {
    use ironlb_api::names::{condition as api, event as api_event};

    use crate::event;

    for (ours, theirs) in [
        (ADDRESS_ASSIGNED, api::ADDRESS_ASSIGNED),
        (ANNOUNCED, api::ANNOUNCED),
        (READY, api::READY),
        (OVERLAPPING, api::OVERLAPPING),
        (EXHAUSTED, api::EXHAUSTED),
        (USED_TRUNCATED, api::USED_TRUNCATED),
        (event::ASSIGN_IP, api_event::ASSIGN_IP),
        (event::ASSIGN_IP_FAILED, api_event::ASSIGN_IP_FAILED),
        (event::RELEASE_IP, api_event::RELEASE_IP),
        (event::CONSTRUCT_REQUEST, api_event::CONSTRUCT_REQUEST),
        (event::UPDATE_SERVICE_STATUS, api_event::UPDATE_SERVICE_STATUS),
        (event::SET_BALANCER, api_event::SET_BALANCER),
    ] {
        assert_eq!(ours, theirs);
    }
}
