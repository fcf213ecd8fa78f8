use std::collections::BTreeSet;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// One of each; a new variant has to be given its place here.
fn place(reason: &Reason) -> usize {
    match reason {
        Reason::NoEip { .. } => 0,
        Reason::NoEipForProtocol { .. } => 1,
        Reason::EipNotFound { .. } => 2,
        Reason::EipDeleting { .. } => 3,
        Reason::EipDisabled { .. } => 4,
        Reason::EipUnreadable { .. } => 5,
        Reason::EipNotForService { .. } => 6,
        Reason::EipInOverlap { .. } => 7,
        Reason::EipFull { .. } => 8,
        Reason::WrongFamily { .. } => 9,
        Reason::WishUnreadable { .. } => 10,
        Reason::WishWrongFamily { .. } => 11,
        Reason::WishOutsideEip { .. } => 12,
        Reason::WishOutsideEveryEip { .. } => 13,
        Reason::WishExcluded { .. } => 14,
        Reason::WishInOverlap { .. } => 15,
        Reason::WishTaken { .. } => 16,
        Reason::SharingForbidden { .. } => 17,
        Reason::SharingWouldMoveOwner { .. } => 18,
        Reason::HeldByOther { .. } => 19,
        Reason::OpenElbRunning { .. } => 20,
        Reason::StatusContended { .. } => 21,
        Reason::PoolMissing { .. } => 22,
        Reason::HeldOutsideEip { .. } => 23,
        Reason::SharedClash { .. } => 24,
        Reason::SecondFamilyMissing { .. } => 25,
        Reason::QuotaExceeded { .. } => 26,
        Reason::Reserved { .. } => 27,
        Reason::ReuseDelayed { .. } => 28,
        Reason::HeldAgainstReservation { .. } => 29,
        Reason::HeldByOlderRule { .. } => 30,
        Reason::InConflict { .. } => 31,
    }
}

const COUNT: usize = 32;

fn every() -> Vec<Reason> {
    let eip = || EipName::from("pool");
    let address = ip("10.0.0.1");
    let by = || ServiceId::new("shop", "web");
    let family = IpFamily::V6;
    let port = Some(Port { transport: Transport::Tcp, number: 80 });
    vec![
        Reason::NoEip { family },
        Reason::NoEipForProtocol { protocol: Announcement::Layer2, family },
        Reason::EipNotFound { eip: eip() },
        Reason::EipDeleting { eip: eip() },
        Reason::EipDisabled { eip: eip() },
        Reason::EipUnreadable { eip: eip() },
        Reason::EipNotForService { eip: eip() },
        Reason::EipInOverlap { eip: eip(), first: "first".into() },
        Reason::EipFull { eips: vec![eip()], used: 3, total: 3, reserved: 0, reuse_delayed: false, claimed: false },
        Reason::EipFull { eips: vec![eip()], used: 3, total: 3, reserved: 2, reuse_delayed: true, claimed: true },
        Reason::QuotaExceeded { eip: eip(), namespace: "shop".into(), used: 2, limit: 2 },
        Reason::Reserved { address, eip: eip(), index: 0, reservee: Reservee::Service(by()) },
        Reason::Reserved { address, eip: eip(), index: 0, reservee: Reservee::Nobody },
        Reason::ReuseDelayed { address, eip: eip(), by: by(), delay: Duration::from_secs(300) },
        Reason::ReuseDelayed { address, eip: eip(), by: by(), delay: Duration::MAX },
        Reason::HeldAgainstReservation {
            address,
            eip: eip(),
            index: 3,
            reservee: Reservee::Selected { namespace: None, selector: ironlb_model::Selector::default() },
        },
        Reason::WrongFamily { eip: eip(), family },
        Reason::WishUnreadable { text: "10.0.0.300".to_owned() },
        Reason::WishWrongFamily { address },
        Reason::WishOutsideEip { address, eip: eip() },
        Reason::WishOutsideEveryEip { address },
        Reason::WishExcluded { address, eip: eip() },
        Reason::WishInOverlap { address, eip: eip(), first: "first".into() },
        Reason::InConflict { address, eip: eip(), mac: MacAddr([2, 0, 0, 0, 0, 1]), node: "n1".into() },
        Reason::WishTaken { address, by: by(), port },
        Reason::WishTaken { address, by: by(), port: None },
        Reason::SharingForbidden { address, by: by(), sharing: Sharing::Never },
        Reason::SharingForbidden { address, by: by(), sharing: Sharing::Namespace },
        Reason::SharingWouldMoveOwner { address, by: by() },
        Reason::HeldByOther { address: "lb.example.org".to_owned() },
        Reason::OpenElbRunning { what: vec!["Deployment openelb-system/openelb-controller".to_owned()] },
        Reason::StatusContended { by: None },
        Reason::StatusContended { by: Some("other-lb".to_owned()) },
        Reason::PoolMissing { address },
        Reason::HeldByOlderRule { address, wish: ip("10.0.0.2") },
        Reason::HeldOutsideEip { address, eip: eip() },
        Reason::SharedClash { address, with: by(), port },
        Reason::SharedClash { address, with: by(), port: None },
        Reason::SecondFamilyMissing { family, because: Box::new(Reason::WrongFamily { eip: eip(), family }) },
    ]
}

#[test]
fn every_reason_has_a_name_of_its_own_and_says_what_to_do() {
    let all = every();
    assert_eq!(all.iter().map(place).collect::<BTreeSet<_>>(), (0..COUNT).collect());
    let names: BTreeSet<&str> = all.iter().map(Reason::category).collect();
    assert_eq!(names.len(), COUNT);
    for reason in &all {
        let (name, text) = (reason.category(), reason.to_string());
        assert!(
            name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric()),
            "{name}"
        );
        // What is wrong, and after it what to do.
        assert!(text.len() > 40 && text.contains([';', ':', ',']) && !text.ends_with('.'), "{name}: {text}");
        assert!(!text.contains("  "), "{name}: {text}");
    }
}
