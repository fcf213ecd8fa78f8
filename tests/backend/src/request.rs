//! The head of one HTTP/1 request, as far as this server cares.

use std::io::{self, BufRead, Read};

/// A request head longer than this is refused; chosen, because a measuring client sends less than 200 bytes.
const MAX_HEAD: u64 = 8 * 1024;

/// What of a request head matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Whether the client wants the connection to stay open (RFC 9112, section 9.3).
    pub(crate) keep_alive: bool,
    /// Whether a body follows, which this server never reads.
    pub(crate) has_body: bool,
}

/// Reads one head. `Ok(None)` means the client closed the connection before the first byte of a request.
///
/// # Errors
/// `InvalidData` when the bytes are no HTTP/1 head, otherwise the stream's own error.
pub(crate) fn read(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = stream.take(MAX_HEAD);
    let Some(first) = line(&mut head)? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid("not a request line"));
    };
    let mut request = Request {
        method: method.to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        keep_alive: match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return Err(invalid("not HTTP/1")),
        },
        has_body: false,
    };
    loop {
        let field = line(&mut head)?.ok_or_else(|| invalid("the head ends early"))?;
        if field.is_empty() {
            return Ok(Some(request));
        }
        let (name, value) = field.split_once(':').ok_or_else(|| invalid("a field without a colon"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "connection" if value.eq_ignore_ascii_case("close") => request.keep_alive = false,
            "connection" if value.eq_ignore_ascii_case("keep-alive") => request.keep_alive = true,
            "content-length" => request.has_body = value != "0",
            "transfer-encoding" => request.has_body = true,
            _ => {}
        }
    }
}

/// One line without its end; `None` at the end of the stream.
fn line(head: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    if head.read_line(&mut text)? == 0 {
        return Ok(None);
    }
    if !text.ends_with('\n') {
        return Err(invalid("the head is cut off or too long"));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(Some(text))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, keep_alive: bool, has_body: bool) -> Request {
        Request { method: "GET".to_owned(), path: path.to_owned(), keep_alive, has_body }
    }

    #[test]
    fn heads() {
        let rows = [
            ("", Ok(None)),
            ("GET / HTTP/1.1\r\n\r\n", Ok(Some(request("/", true, false)))),
            ("GET /a?b=c HTTP/1.1\nHost: x\n\n", Ok(Some(request("/a", true, false)))),
            ("GET / HTTP/1.0\r\n\r\n", Ok(Some(request("/", false, false)))),
            ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", Ok(Some(request("/", false, false)))),
            ("GET / HTTP/1.0\r\nconnection:keep-alive\r\n\r\n", Ok(Some(request("/", true, false)))),
            ("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Ok(Some(request("/", true, true)))),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Ok(Some(request("/", true, false)))),
            ("GET /\r\n\r\n", Err("not a request line")),
            ("GET / HTTP/2\r\n\r\n", Err("not HTTP/1")),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Err("a field without a colon")),
            ("GET / HTTP/1.1\r\n", Err("the head ends early")),
            ("GET / HTTP/1.1", Err("the head is cut off or too long")),
        ];
        for (bytes, expected) in rows {
            let read = read(&mut bytes.as_bytes()).map_err(|error| error.to_string());
            assert_eq!(read, expected.map_err(str::to_owned), "{bytes:?}");
        }
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(10_000));
        let error = read(&mut endless.as_bytes()).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
