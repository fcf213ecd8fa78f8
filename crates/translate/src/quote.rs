//! User text inside a message.

/// The text in double quotes, cut where it would drown the message, and with nothing in it that a terminal obeys.
pub(crate) fn quoted(text: &str) -> String {
    // 64 characters, chosen because the longest IPv6 range has 79 and is recognised by its first half.
    const SHOWN: usize = 64;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().nth(SHOWN).is_some() { "..." } else { "" };
    format!("{shown:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_hostile_text_stays_short_and_harmless() {
        assert_eq!(quoted("eth0"), "\"eth0\"");
        assert_eq!(quoted("\u{1b}[31m"), "\"\\u{1b}[31m\"");
        assert_eq!(quoted(&"x".repeat(1000)).len(), 64 + 2 + 3);
    }
}
