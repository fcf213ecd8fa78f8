//! NOTIFICATIONs in words, and the texts of RFC 9003.

use super::*;

//= https://www.rfc-editor.org/rfc/rfc9003#section-2
//= type=test
//# MUST be encoded using UTF-8.
#[test]
fn a_text_of_any_length_goes_out_whole_or_cut_between_characters() {
    for text in ["", "maintenance", &"ö".repeat(200), &"x".repeat(255), &"x".repeat(300)] {
        let notification = Notification::shutdown(cease::ADMINISTRATIVE_SHUTDOWN, text);
        assert!(notification.data.len() <= 256);
        let back = notification.shutdown_text();
        assert_eq!(back.is_none(), text.is_empty());
        assert!(text.starts_with(&back.unwrap_or_default()));
    }
    let cut = Notification::shutdown(cease::ADMINISTRATIVE_RESET, &"ö".repeat(200)).shutdown_text().expect("a text");
    assert_eq!(cut.len(), 254);
}

//= https://www.rfc-editor.org/rfc/rfc9003#section-2
//= type=test
//# MUST NOT interpret invalid UTF-8 sequences.
#[test]
fn a_text_from_the_network_cannot_write_on_a_terminal() {
    let notification = Notification::new(6, 2, vec![5, 0x1b, b'[', b'2', b'J', 0xff]);
    assert_eq!(notification.shutdown_text().as_deref(), Some("[2J\u{fffd}"));
    for data in [vec![], vec![9, b'x'], vec![0]] {
        assert_eq!(Notification::new(6, 2, data).shutdown_text(), None);
    }
}

#[test]
fn a_hard_reset_holds_what_it_stands_for() {
    let inner = Notification::shutdown(cease::ADMINISTRATIVE_SHUTDOWN, "bye");
    let hard = inner.hard_reset();
    assert_eq!((hard.code, hard.subcode, hard.inner()), (6, 9, inner));
    assert_eq!(hard.to_string(), "Cease/Hard Reset (Cease/Administrative Shutdown): bye");
    assert_eq!(Notification::cease(cease::HARD_RESET).inner(), Notification::cease(cease::HARD_RESET));
}

#[test]
fn numbers_have_words_and_those_without_stay_numbers() {
    let words = |code, subcode| Notification::new(code, subcode, vec![]).to_string();
    assert_eq!(words(2, 2), "OPEN Message Error/Bad Peer AS");
    assert_eq!(words(4, 0), "Hold Timer Expired");
    assert_eq!(words(6, 10), "Cease/BFD Down");
    assert_eq!(words(8, 0), "Send Hold Timer Expired");
    assert_eq!(words(6, 77), "Cease/77");
    assert_eq!(words(99, 1), "error 99/1");
}

#[test]
fn every_subcode_of_the_registries_has_words() {
    let all = [(1, 1..=3), (3, 1..=6), (3, 8..=11), (2, 1..=4), (2, 6..=7), (5, 1..=3), (6, 1..=10), (7, 1..=1)];
    for (code, subcodes) in all {
        for subcode in subcodes {
            assert!(subcode_words(code, subcode).is_some(), "{code}/{subcode}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc8654#section-5
//= type=test
//# the size of the message MUST NOT exceed 4,096 octets.
#[test]
fn data_that_does_not_fit_is_cut() {
    let message = Notification::new(1, 2, vec![0; 5000]).encode(4096);
    assert_eq!(message.len(), 4096);
}
