//! How long to wait before a write that failed is tried again.

use std::time::Duration;

/// The first wait. Chosen: longer than a request, shorter than people notice.
const FIRST: Duration = Duration::from_millis(200);

/// The longest wait. Chosen: whoever lifts a policy sees the effect within a minute.
const LONGEST: Duration = Duration::from_mins(1);

/// The wait after the given number of failures: doubled each time, plus up to a half that depends on the name, so that objects that
/// failed together are not tried again together. The same name and number give the same wait.
pub(crate) fn delay(name: &str, attempts: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    let base = doubled.min(LONGEST);
    let share = u32::try_from(hash(name, attempts) % 1000).unwrap_or(0);
    (base + base / 2 * share / 1000).min(LONGEST)
}

/// FNV-1a, 64 bit (RFC 9923).
fn hash(name: &str, attempts: u32) -> u64 {
    let bytes = name.bytes().chain(attempts.to_be_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_differ_by_name() {
        for attempts in 1..=200 {
            let (wait, base) = (delay("shop/web", attempts), FIRST * 2_u32.pow(attempts.min(9) - 1));
            let base = base.min(LONGEST);
            assert!(base <= wait && wait <= (base + base / 2).min(LONGEST), "{attempts}: {wait:?}");
            assert_eq!(wait, delay("shop/web", attempts), "the same twice");
        }
        let waits: std::collections::BTreeSet<Duration> = (0..50).map(|n| delay(&format!("shop/web-{n}"), 3)).collect();
        assert!(waits.len() > 25, "{waits:?}");
        assert_eq!(delay("", u32::MAX), LONGEST);
    }
}
