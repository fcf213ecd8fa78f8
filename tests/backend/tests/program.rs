//! The program as the kubelet sees it: started, asked, told to end.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ironlb-backend");

struct Backend {
    child: Child,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl Backend {
    fn start(grace: &str) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--port", "0", "--grace", grace])
            .env("POD_NAME", "web-1")
            .env("NODE_NAME", "n1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("the first line says where");
        let port = address.parse::<SocketAddr>().unwrap().port();
        Self { child, output, port }
    }

    fn connect(&self, host: &str) -> TcpStream {
        let stream = TcpStream::connect((host, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends one request with `Connection: close` and returns all that comes back.
    fn ask(&self, host: &str, line: &str) -> String {
        let mut stream = self.connect(host);
        write!(stream, "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(&self) {
        kill(process(&self.child), Signal::SIGTERM).unwrap();
    }

    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn process(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

#[test]
fn answers_say_who_answered_on_both_families() {
    let backend = Backend::start("0");
    for host in ["127.0.0.1", "::1"] {
        let answer = backend.ask(host, "GET /");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let body = format!("{{\"pod\":\"web-1\",\"node\":\"n1\",\"client\":\"{host}\"}}\n");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    }
}

#[test]
fn other_requests() {
    let backend = Backend::start("0");
    let rows = [
        ("GET /healthz", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n"),
        ("GET /nothing", "HTTP/1.1 404 Not Found\r\n", "/stream\n"),
        ("POST /", "HTTP/1.1 405 Method Not Allowed\r\n", "body\n"),
        ("HEAD /", "HTTP/1.1 200 OK\r\n", "\r\n\r\n"),
        ("nonsense", "HTTP/1.1 400 Bad Request\r\n", "bad request\n"),
    ];
    for (request, start, end) in rows {
        let answer = backend.ask("127.0.0.1", request);
        assert!(answer.starts_with(start) && answer.ends_with(end), "{request}: {answer}");
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let backend = Backend::start("0");
    let mut stream = backend.connect("127.0.0.1");
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut line = String::new();
        while line != "ok\n" {
            line.clear();
            assert_ne!(answers.read_line(&mut line).unwrap(), 0, "the server closed the connection");
        }
    }
}

#[test]
fn a_stream_sends_lines_and_ends_properly_on_sigterm() {
    let mut backend = Backend::start("0");
    let mut stream = backend.connect("127.0.0.1");
    stream.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut seen = 0;
    while seen < 3 {
        let line = lines.next().expect("the stream goes on").unwrap();
        if line.starts_with('{') {
            assert_eq!(line, format!("{{\"line\":{seen},\"pod\":\"web-1\",\"node\":\"n1\"}}"));
            seen += 1;
        }
    }
    backend.terminate();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.ends_with(&["0".to_owned(), String::new()]), "the last chunk is there: {rest:?}");
    assert!(backend.child.wait().unwrap().success());
}

#[test]
fn sigterm_is_served_through_for_the_grace_time() {
    let mut backend = Backend::start("8");
    backend.terminate();
    assert!(backend.next_line().starts_with("leaving"));
    assert!(backend.ask("127.0.0.1", "GET /healthz").starts_with("HTTP/1.1 503 "));
    assert!(backend.ask("127.0.0.1", "GET /").starts_with("HTTP/1.1 200 "));
    assert_eq!(backend.next_line(), "ended\n");
    assert!(backend.child.wait().unwrap().success());
    assert!(TcpStream::connect(("127.0.0.1", backend.port)).is_err());
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let backend = Backend::start("0");
    let port = backend.port.to_string();
    let second = Command::new(PROGRAM).args(["serve", "--port", &port]).output().unwrap();
    assert!(!second.status.success());
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains(&format!("cannot listen on port {port}")), "{message}");
}

#[test]
fn pause_reaps_children_and_ends_on_sigterm() {
    // The shell becomes `pause` and leaves it a child, as a container's process 1 is left orphans.
    let script = format!("sleep 0.1 & echo $!; exec {PROGRAM} pause");
    let mut child = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut orphan = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut orphan).unwrap();
    let entry = format!("/proc/{}", orphan.trim());
    let deadline = Instant::now() + Duration::from_secs(20);
    // A child that is not reaped keeps its entry as a zombie.
    while std::path::Path::new(&entry).exists() {
        assert!(Instant::now() < deadline, "{entry} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.try_wait().unwrap().is_none(), "pause has not ended by itself");
    kill(process(&child), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}
