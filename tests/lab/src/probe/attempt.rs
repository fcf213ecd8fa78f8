//! One attempt: connect, ask, read the whole answer, all within the deadline.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// An answer is some 200 bytes; one that is longer than this is not the back end's.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Who answered, as the back end says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Answer {
    /// The pod's name.
    pub pod: String,
    /// The node's name.
    pub node: String,
    /// The address the back end saw the connection come from.
    pub client: String,
}

/// Why an attempt is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nothing, or not all, came within the deadline.
    TimedOut,
    /// The connection was refused by a RST to its SYN.
    Refused,
    /// The connection was reset, or closed before the answer was whole.
    Broken,
    /// No route, no neighbour, or an ICMP error.
    Unreachable,
    /// An HTTP status other than 200.
    Status(u16),
    /// An answer that is not the back end's.
    Nonsense,
    /// The client's own trouble: no descriptor, no port. Says nothing about the service.
    Client,
}

impl Failure {
    /// A name from a closed list.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Unreachable => "unreachable",
            Self::Status(_) => "status",
            Self::Nonsense => "nonsense",
            Self::Client => "client",
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => Self::Broken,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
                Self::Unreachable
            }
            // ETIMEDOUT: the neighbour or the peer was given up before our own deadline.
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Client,
        }
    }
}

/// What became of one attempt. Times are since the probe began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it was started.
    pub started: Duration,
    /// When its answer was whole, or it had failed.
    pub ended: Duration,
    /// Who answered, or why nobody did.
    pub outcome: Result<Answer, Failure>,
}

impl Attempt {
    /// How long it took.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.ended.saturating_sub(self.started)
    }
}

/// A line of the raw log, without its end.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.started.as_secs_f64(), self.ended.as_secs_f64());
        let millis = self.latency().as_secs_f64() * 1e3;
        write!(f, "{start:.6}\t{end:.6}\t{millis:.3}\t")?;
        match &self.outcome {
            Ok(answer) => write!(f, "ok\t{}\t{}", answer.pod, answer.node),
            Err(Failure::Status(code)) => write!(f, "status {code}\t-\t-"),
            Err(failure) => write!(f, "{}\t-\t-", failure.category()),
        }
    }
}

/// Makes one attempt, on the calling thread's namespace.
pub(super) async fn make(target: SocketAddr, began: Instant, deadline: Duration) -> Attempt {
    let start = Instant::now();
    let outcome = match timeout_at(start + deadline, ask(target)).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(Failure::TimedOut),
    };
    let end = Instant::now();
    // A client that got no processor in time may find an answer that is later than its deadline, even one to a
    // retransmitted SYN: that is no success either.
    let outcome = if end - start > deadline { Err(Failure::TimedOut) } else { outcome };
    Attempt { started: start - began, ended: end - began, outcome }
}

async fn ask(target: SocketAddr) -> Result<Answer, Failure> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> Result<Answer, Failure> {
    if answer.is_empty() {
        return Err(Failure::Broken);
    }
    let text = str::from_utf8(answer).map_err(|_| Failure::Nonsense)?;
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    match status {
        Some(200) => {}
        Some(code) => return Err(Failure::Status(code)),
        None => return Err(Failure::Nonsense),
    }
    let (head, body) = text.split_once("\r\n\r\n").ok_or(Failure::Broken)?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    if length.is_some_and(|length| body.len() < length) {
        return Err(Failure::Broken);
    }
    serde_json::from_str(body).map_err(|_| Failure::Nonsense)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_of_the_back_end_is_a_success() {
        let answer = Answer { pod: "p".to_owned(), node: "n".to_owned(), client: "::1".to_owned() };
        let body = r#"{"pod":"p","node":"n","client":"::1"}"#;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let rows = [
            (format!("{head}{body}"), Ok(answer.clone())),
            (format!("HTTP/1.1 200 OK\r\n\r\n{body}"), Ok(answer)),
            (format!("{head}{}", &body[..9]), Err(Failure::Broken)),
            (head[..20].to_owned(), Err(Failure::Broken)),
            (String::new(), Err(Failure::Broken)),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n".to_owned(), Err(Failure::Status(503))),
            ("HTTP/1.1 200 OK\r\n\r\nhello".to_owned(), Err(Failure::Nonsense)),
            ("SSH-2.0-x\r\n".to_owned(), Err(Failure::Nonsense)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(parse(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn log_lines() {
        let attempt = |outcome| Attempt {
            started: Duration::from_micros(1_010_000),
            ended: Duration::from_micros(1_011_500),
            outcome,
        };
        let answer = Answer { pod: "p".to_owned(), node: "n".to_owned(), client: String::new() };
        assert_eq!(attempt(Ok(answer)).to_string(), "1.010000\t1.011500\t1.500\tok\tp\tn");
        assert_eq!(attempt(Err(Failure::TimedOut)).to_string(), "1.010000\t1.011500\t1.500\ttimed-out\t-\t-");
        assert_eq!(attempt(Err(Failure::Status(503))).to_string(), "1.010000\t1.011500\t1.500\tstatus 503\t-\t-");
    }
}
