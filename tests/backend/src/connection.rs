//! One client's connection: requests in, answers out, until one side has enough.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::request::{self, Request};
use crate::serve::{Phase, Server};

/// How long an idle connection is kept; longer than any scenario lets one rest, chosen.
const IDLE: Duration = Duration::from_secs(120);

/// A client that does not read for this long has gone, chosen.
const WRITE: Duration = Duration::from_secs(10);

/// One line of a stream per this time: short enough to see an interruption that an operator would feel.
const STREAM_PERIOD: Duration = Duration::from_millis(100);

/// Serves one connection to its end.
///
/// # Errors
/// The connection's own error: reset, time-out, or bytes that are no HTTP.
pub(crate) fn run(stream: TcpStream, peer: SocketAddr, server: &Server) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(WRITE))?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    loop {
        let request = match request::read(&mut input) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return respond(&mut output, &Answer::text("400 Bad Request", "bad request\n"), true, false);
            }
            Err(error) => return Err(error),
        };
        let close = !request.keep_alive || request.has_body || server.phase() > Phase::Serving;
        let head_only = request.method == "HEAD";
        if request.path == "/stream" && !head_only {
            return stream_lines(&mut output, server);
        }
        respond(&mut output, &answer(&request, peer, server), close, head_only)?;
        if close {
            return Ok(());
        }
    }
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
    }
}

fn answer(request: &Request, peer: SocketAddr, server: &Server) -> Answer {
    if !matches!(request.method.as_str(), "GET" | "HEAD") || request.has_body {
        return Answer::text("405 Method Not Allowed", "only GET and HEAD without a body\n");
    }
    match request.path.as_str() {
        "/" => Answer {
            status: "200 OK",
            content_type: "application/json",
            // An IPv4 client of the dual-stack socket is shown as itself, not as ::ffff:a.b.c.d.
            body: server.identity.answer(peer.ip().to_canonical()),
        },
        "/healthz" if server.phase() == Phase::Serving => Answer::text("200 OK", "ok\n"),
        "/healthz" => Answer::text("503 Service Unavailable", "leaving\n"),
        _ => Answer::text("404 Not Found", "there are /, /healthz and /stream\n"),
    }
}

fn respond(output: &mut impl Write, answer: &Answer, close: bool, head_only: bool) -> io::Result<()> {
    let mut text = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len(),
        if close { "close" } else { "keep-alive" },
    );
    if !head_only {
        text.push_str(&answer.body);
    }
    // One write, one segment: a measured connection then stands for as few packets as possible.
    output.write_all(text.as_bytes())
}

/// Sends a line every [`STREAM_PERIOD`] until the client goes or the server closes; a proper last chunk tells a client
/// that the server ended the stream, where a reset tells it that the path did.
fn stream_lines(output: &mut impl Write, server: &Server) -> io::Result<()> {
    output.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    )?;
    let mut number = 0;
    while server.phase() < Phase::Closing {
        let line = server.identity.stream_line(number);
        output.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes())?;
        number += 1;
        std::thread::sleep(STREAM_PERIOD);
    }
    output.write_all(b"0\r\n\r\n")
}
