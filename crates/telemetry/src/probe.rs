//! Asking the process in this container how it is: what the kubelet's exec probes run.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// A process that takes longer than this to say how it is, is not well. Chosen, together with a probe time-out of more
/// than it in the chart, so that the reason is told and not cut off.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Endpoint {
    /// Is the process alive?
    Live,
    /// May it be sent work?
    Ready,
}

impl Endpoint {
    /// Its path on the admin server.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Live => "/healthz",
            Self::Ready => "/readyz",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Ready => "ready",
        })
    }
}

/// Why the process is not what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody listens on the socket: not started, ended, or the path is wrong.
    #[error("cannot reach the admin socket {}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Somebody listens and does not answer.
    #[error("no answer from the admin socket {} within {PATIENCE:?}", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The answer is no.
    #[error("not {endpoint}: {said}")]
    No {
        /// What was asked.
        endpoint: Endpoint,
        /// What the process said.
        said: String,
    },
}

impl ProbeError {
    /// A name from a closed list.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Silent { .. } => "silent",
            Self::No { .. } => "no",
        }
    }
}

/// Asks the process behind the unix socket at `path`. Blocks, for 2 s per step at most; needs no runtime.
///
/// # Errors
/// Every variant of [`ProbeError`] means no; the kubelet acts.
pub fn probe(path: &Path, endpoint: Endpoint) -> Result<(), ProbeError> {
    let mut stream =
        UnixStream::connect(path).map_err(|source| ProbeError::Unreachable { path: path.to_owned(), source })?;
    let answer = ask(&mut stream, endpoint).map_err(|source| ProbeError::Silent { path: path.to_owned(), source })?;
    let no = |said: &str| ProbeError::No { endpoint, said: said.trim().to_owned() };
    let Some((status, body)) = parse(&answer) else { return Err(no("an answer that is not HTTP")) };
    if status == 200 { Ok(()) } else { Err(no(body)) }
}

fn ask(stream: &mut UnixStream, endpoint: Endpoint) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", endpoint.path())?;
    let mut answer = String::new();
    // Our own answers are a line; whatever else listens there must not fill our memory.
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The status and the body of an HTTP answer.
fn parse(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = u16::from_str(head.strip_prefix("HTTP/1.1 ")?.get(..3)?).ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn answers() {
        let rows = [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nok\n", Some((200, "ok\n"))),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", Some((503, ""))),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", None),
            ("HTTP/1.1 ok\r\n\r\n", None),
            ("HTTP/1.1 2\u{e9}\r\n\r\n", None),
            ("SSH-2.0\r\n\r\n", None),
            ("", None),
        ];
        for (answer, expected) in rows {
            assert_eq!(parse(answer), expected, "{answer:?}");
        }
    }
}
