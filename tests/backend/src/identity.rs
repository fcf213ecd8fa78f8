//! Who answers: the pod and the node, as the downward API put them into the environment.

use std::fmt::Write as _;
use std::net::IpAddr;

/// The names that go into every answer.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pod: String,
    node: String,
}

impl Identity {
    /// Reads `POD_NAME` (else `HOSTNAME`, which the runtime sets to the pod's name) and `NODE_NAME`; a missing one is the
    /// empty string, which a client can tell from any real name.
    pub(crate) fn from_environment() -> Self {
        let read = |name| std::env::var(name).ok();
        Self {
            pod: read("POD_NAME").or_else(|| read("HOSTNAME")).unwrap_or_default(),
            node: read("NODE_NAME").unwrap_or_default(),
        }
    }

    /// The answer to one request: pod, node, and the address the connection came from.
    pub(crate) fn answer(&self, client: IpAddr) -> String {
        format!(
            "{{\"pod\":{},\"node\":{},\"client\":{}}}\n",
            quoted(&self.pod),
            quoted(&self.node),
            quoted(&client.to_string())
        )
    }

    /// One line of a stream.
    pub(crate) fn stream_line(&self, number: u64) -> String {
        format!("{{\"line\":{number},\"pod\":{},\"node\":{}}}\n", quoted(&self.pod), quoted(&self.node))
    }
}

/// The text as a JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_json_whatever_the_names() {
        let rows = [
            ("web-1", "n1", "10.0.0.9", r#"{"pod":"web-1","node":"n1","client":"10.0.0.9"}"#),
            ("", "", "fd00::1", r#"{"pod":"","node":"","client":"fd00::1"}"#),
            ("a\"b\\c\n", "é", "::1", r#"{"pod":"a\"b\\c\u000a","node":"é","client":"::1"}"#),
        ];
        for (pod, node, client, expected) in rows {
            let identity = Identity { pod: pod.to_owned(), node: node.to_owned() };
            let answer = identity.answer(client.parse().expect("an address"));
            assert_eq!(answer, format!("{expected}\n"));
        }
    }
}
