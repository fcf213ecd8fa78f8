//! The grammar of durations: `90s`, `5m`, `1h30m`, as Kubernetes writes them, in whole numbers.

use std::time::Duration;

/// Reads a duration; `None` for what is none. One that is too long for a number is the longest there is.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    // Each unit at most once, the larger first: `5m1h` is more often a slip than meant.
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let (seconds, unit) = [("h", 3600), ("m", 60), ("s", 1)].into_iter().find_map(|(unit, seconds)| {
            // `ms` is no unit here, and its `m` is not minutes.
            tail.strip_prefix(unit).filter(|after| !after.starts_with('s')).map(|after| (seconds, after))
        })?;
        if number.is_empty() || seconds >= largest {
            return None;
        }
        let number: u64 = number.parse().unwrap_or(u64::MAX);
        total = total.saturating_add(Duration::from_secs(number.saturating_mul(seconds)));
        (largest, rest) = (seconds, unit);
    }
    (largest != u64::MAX).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_hours_minutes_and_seconds() {
        for (text, want) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("90s", Some(90)),
            (" 5m ", Some(300)),
            ("1h30m", Some(5400)),
            ("1h0m5s", Some(3605)),
            ("99999999999999999999h", Some(u64::MAX)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5 m", None),
            ("-5m", None),
            ("1.5h", None),
            ("500ms", None),
            ("1d", None),
            ("5m1h", None),
            ("5m5m", None),
            ("5min", None),
            ("5\u{b5}s", None),
        ] {
            assert_eq!(parse(text).map(|d| d.as_secs()), want, "{text:?}");
        }
    }
}
