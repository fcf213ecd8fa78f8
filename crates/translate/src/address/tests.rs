use super::*;

fn ranges(text: &str) -> Vec<String> {
    let (ranges, faults) = parse_list(text);
    assert_eq!(faults, [], "{text:?}");
    ranges.iter().map(ToString::to_string).collect()
}

#[test]
fn every_form_of_openelb_and_lists_of_them_are_read() {
    for (text, want) in [
        ("192.0.2.7", &["192.0.2.7"][..]),
        ("192.0.2.0/24", &["192.0.2.0-192.0.2.255"]),
        ("192.0.2.77/24", &["192.0.2.0-192.0.2.255"]),
        ("192.0.2.7/32", &["192.0.2.7"]),
        ("192.0.2.6/31", &["192.0.2.6-192.0.2.7"]),
        ("0.0.0.0/0", &["0.0.0.0-255.255.255.255"]),
        ("192.0.2.10-192.0.2.20", &["192.0.2.10-192.0.2.20"]),
        ("192.0.2.10-192.0.2.10", &["192.0.2.10"]),
        ("2001:DB8:0::1", &["2001:db8::1"]),
        ("2001:db8::/64", &["2001:db8::-2001:db8::ffff:ffff:ffff:ffff"]),
        ("::/0", &["::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("2001:db8::1-2001:db8::ff", &["2001:db8::1-2001:db8::ff"]),
        (
            " 192.0.2.1 , 2001:db8::1 - 2001:db8::2 ,10.0.0.0/30",
            &["192.0.2.1", "2001:db8::1-2001:db8::2", "10.0.0.0-10.0.0.3"],
        ),
    ] {
        assert_eq!(ranges(text), want, "{text:?}");
    }
}

#[test]
fn a_fault_says_which_part_and_what_to_write() {
    for (text, want) in [
        ("", "it is empty: write an address"),
        (" ", "it is empty: write an address"),
        ("192.0.2.1,,192.0.2.2", "part 2 of the list is empty"),
        ("192.0.2.1,", "part 2 of the list is empty"),
        ("example.org", "\"example.org\" is not an IP address"),
        ("192.0.2.256", "\"192.0.2.256\" is not an IP address"),
        ("192.0.2.010", "\"192.0.2.010\" is not an IP address"),
        ("192.0.2", "\"192.0.2\" is not an IP address"),
        ("fe80::1%eth0", "leave out everything from the '%'"),
        ("::ffff:192.0.2.1", "write 192.0.2.1"),
        ("192.0.2.0/33", "0 to 32 are possible"),
        ("192.0.2.0/", "0 to 32 are possible"),
        ("192.0.2.0/+8", "0 to 32 are possible"),
        ("2001:db8::/129", "0 to 128 are possible"),
        ("192.0.2.9/255.255.255.0", "write 192.0.2.0/24"),
        ("192.0.2.9/255.0.255.0", "0 to 32 are possible"),
        ("192.0.2.1-192.0.2.2-192.0.2.3", "more than one dash"),
        ("192.0.2.20-192.0.2.10", "is reversed: write 192.0.2.10-192.0.2.20"),
        ("192.0.2.1-2001:db8::1", "mixes IPv4 and IPv6"),
        ("192.0.2.1-9", "\"9\" is not an IP address"),
        ("192.0.2.0/24-192.0.3.0/24", "no valid prefix length"),
        ("-", "\"\" is not an IP address"),
    ] {
        let (_, faults) = parse_list(text);
        assert_eq!(faults.len(), 1, "{text:?}: {faults:?}");
        assert!(faults[0].to_string().contains(want), "{text:?}: {}", faults[0]);
    }
}

#[test]
fn one_bad_part_does_not_stop_the_others() {
    let (ranges, faults) = parse_list("192.0.2.1,nonsense,192.0.2.2,192.0.2.9-192.0.2.8");
    assert_eq!(ranges.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(faults.len(), 2);
}

#[test]
fn the_limits_are_the_crds() {
    let list = |parts: usize| vec!["::1"; parts].join(",");
    assert!(parse_list(&list(MAX_PARTS)).1.is_empty());
    assert!(parse_list(&vec!["1.2.3.4"; MAX_PARTS].join(",")).1.is_empty());
    assert_eq!(parse_list(&list(MAX_PARTS + 1)), (vec![], vec![AddressFault::TooManyParts(MAX_PARTS + 1)]));
    let padded = |length: usize| format!("{:<length$}", "192.0.2.1");
    assert!(parse_list(&padded(MAX_CHARACTERS)).1.is_empty());
    assert_eq!(parse_list(&padded(MAX_CHARACTERS + 1)), (vec![], vec![AddressFault::TooLong(4097)]));
}
