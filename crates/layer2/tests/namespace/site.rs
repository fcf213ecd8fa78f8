//! A network namespace for one test, a cable in it, and a station at the cable's other end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ironlb_layer2::raw::{ArpSocket, FRAME_BUFFER, Waker, wait};
use ironlb_layer2::{Config, Layer2, Observation, ReadError, StartError, boottime};
use ironlb_layer2_proto::packet::arp::{Operation, Packet};
use ironlb_layer2_proto::packet::ethernet::Header;
use ironlb_model::{InterfaceName, MacAddr, Timestamp};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Set in the process that runs inside the namespace; its value is the part it plays.
const ROLE: &str = "IRONLB_LAYER2_TEST_ROLE";

pub(crate) const NIC: &str = "lan0";
const FAR_END: &str = "peer0";
pub(crate) const NIC_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x0a]);
/// The station's address. It belongs to no interface here, so its frames are no host's own.
pub(crate) const STATION: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xc1]);
pub(crate) const STATION_IP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
pub(crate) const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 201);

/// How long a frame, or an answer of the kernel's, may take on this machine, which may be busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Runs `body` in a network and mount namespace of its own, by starting this test again there.
pub(crate) fn in_namespace(test: &str, body: impl FnOnce(&Site)) {
    if std::env::var_os(ROLE).is_some() {
        body(&Site::build());
        return;
    }
    assert_eq!(
        output("id", &["-u"]).trim(),
        "0",
        "this test makes network namespaces and packet sockets: run it as root"
    );
    let status = again(test, "test", &["unshare", "--net", "--mount"]).status().expect("unshare runs");
    assert!(status.success(), "{test} failed inside its namespace");
}

/// The part this process plays, when it is inside a namespace.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The command that starts this test once more, behind a prefix, in a role.
pub(crate) fn again(test: &str, role: &str, prefix: &[&str]) -> Command {
    let program = std::env::current_exe().expect("this program has a path");
    let mut words = prefix.iter().map(ToString::to_string).collect::<Vec<_>>();
    words.push(program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

/// What a command prints; it must succeed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let result = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error} (is its Debian package installed?)"));
    assert!(result.status.success(), "{program} {arguments:?} failed");
    String::from_utf8(result.stdout).expect("text")
}

/// Runs a command that reads `input`; it must succeed.
pub(crate) fn fed(program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error} (is its Debian package installed?)"));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "{program} failed");
}

/// Repeats `disturb` as fast as it goes while `body` runs, and ends it also when `body` fails.
pub(crate) fn during(disturb: impl Fn() + Sync, body: impl FnOnce()) {
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = End(&ended);
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                disturb();
            }
        });
        body();
    });
}

/// The time that this process's thread of that name has been on a core.
pub(crate) fn cpu_time_of(thread: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process has threads");
    let found = tasks.flatten().find_map(|task| {
        let read = |file| std::fs::read_to_string(task.path().join(file)).ok();
        if read("comm")?.trim() != thread {
            return None;
        }
        // proc(5): the first number of schedstat is the time on a core in nanoseconds.
        read("schedstat")?.split_whitespace().next()?.parse().ok()
    });
    Duration::from_nanos(found.expect("the thread is there"))
}

/// `ip` with these words.
pub(crate) fn ip(words: &str) -> String {
    output("ip", &words.split_whitespace().collect::<Vec<_>>())
}

/// Asks until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = boottime() + SOON;
    while !is_so() {
        assert!(boottime() < end, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The namespace of one test.
pub(crate) struct Site {
    pub(crate) runtime: Runtime,
}

impl Site {
    fn build() -> Self {
        ip("link set dev lo up");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let site = Self { runtime };
        if role().as_deref() == Some("test") {
            site.lay_cable();
        }
        site
    }

    /// Makes the interface and the cable's other end, both up.
    pub(crate) fn lay_cable(&self) {
        ip(&format!("link add dev {NIC} address {NIC_MAC} type veth peer name {FAR_END}"));
        ip(&format!("link set dev {NIC} up"));
        ip(&format!("link set dev {FAR_END} up"));
    }

    pub(crate) fn start(&self) -> (Layer2, mpsc::Receiver<Observation>) {
        self.start_with(Config::default())
    }

    pub(crate) fn start_with(&self, config: Config) -> (Layer2, mpsc::Receiver<Observation>) {
        let end = boottime() + SOON;
        loop {
            match self.runtime.block_on(Layer2::start(config)) {
                // Namespaces of other tests come and go, for which the kernel keeps everybody waiting.
                Err(StartError::Interfaces(ReadError::TimedOut)) if boottime() < end => {}
                started => return started.expect("layer 2 starts"),
            }
        }
    }

    /// Answers for these vips on the interface.
    pub(crate) fn set(&self, layer2: &Layer2, vips: &[Ipv4Addr]) {
        let vips: BTreeSet<IpAddr> = vips.iter().copied().map(IpAddr::V4).collect();
        let desired = BTreeMap::from([(InterfaceName::from(NIC), vips)]);
        self.runtime.block_on(layer2.set(desired)).expect("vips are set");
    }

    pub(crate) fn station(&self) -> Station {
        let (layer2, _observations) = self.start();
        let index = layer2.interfaces().borrow().by_name[&InterfaceName::from(FAR_END)].index;
        Station { socket: ArpSocket::open(index).expect("a packet socket"), never: Waker::new().expect("an eventfd") }
    }
}

/// A frame that arrived at the station.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    pub(crate) header: Header,
    pub(crate) packet: Packet,
}

impl Seen {
    pub(crate) fn is_announcement(&self) -> bool {
        self.packet.sender_ip == self.packet.target_ip
    }

    pub(crate) fn is_answer(&self) -> bool {
        self.packet.operation == Operation::REPLY && !self.is_announcement()
    }
}

/// A station at the other end of the cable.
pub(crate) struct Station {
    socket: ArpSocket,
    never: Waker,
}

impl Station {
    pub(crate) fn send(&self, packet: &Packet) {
        let frame = packet.frame_to(MacAddr::BROADCAST);
        self.socket.send(frame.as_bytes()).expect("a frame is sent");
    }

    pub(crate) fn ask(&self, target_ip: Ipv4Addr) {
        self.send(&Packet {
            operation: Operation::REQUEST,
            sender_mac: STATION,
            sender_ip: STATION_IP,
            target_mac: MacAddr::ZERO,
            target_ip,
        });
    }

    /// The next frame, if one comes before `end`.
    pub(crate) fn next(&self, end: Timestamp) -> Option<Seen> {
        let mut buffer = [0; FRAME_BUFFER];
        loop {
            match self.socket.receive(&mut buffer) {
                Ok(Some((bytes, _))) => {
                    if let Ok((header, packet)) = Packet::parse_frame(bytes) {
                        let at = boottime();
                        return Some(Seen { at, header, packet });
                    }
                }
                // The interface went down meanwhile; the socket stays usable.
                Ok(None) | Err(_) => {
                    let now = boottime();
                    if now >= end {
                        return None;
                    }
                    wait(Some(&self.socket), &self.never, Some(end.since(now))).expect("a wait");
                }
            }
        }
    }

    /// Everything that comes within `time`.
    pub(crate) fn listen(&self, time: Duration) -> Vec<Seen> {
        let end = boottime() + time;
        std::iter::from_fn(|| self.next(end)).collect()
    }

    /// The first `count` that are wanted; fails when they do not come.
    pub(crate) fn listen_for(&self, count: usize, is_wanted: impl Fn(&Seen) -> bool) -> Vec<Seen> {
        let end = boottime() + SOON;
        let found: Vec<Seen> =
            std::iter::from_fn(|| self.next(end)).filter(|seen| is_wanted(seen)).take(count).collect();
        assert_eq!(found.len(), count, "{found:?}");
        found
    }

    /// Forgets what has come so far.
    pub(crate) fn forget(&self) {
        self.listen(Duration::ZERO);
    }

    /// Who answers for the address; asks again until somebody does.
    pub(crate) fn resolve(&self, vip: Ipv4Addr) -> Option<MacAddr> {
        let end = boottime() + SOON;
        while boottime() < end {
            self.ask(vip);
            let patience = boottime() + Duration::from_millis(100);
            while let Some(seen) = self.next(patience) {
                if seen.is_answer() && seen.packet.sender_ip == vip {
                    return Some(seen.packet.sender_mac);
                }
            }
        }
        None
    }

    /// The answers that come soon to a number of questions: for those that are to get none.
    pub(crate) fn answers(&self, vip: Ipv4Addr, questions: usize) -> Vec<Seen> {
        self.ask_often(vip, questions);
        let mut seen = self.listen(Duration::from_millis(300));
        seen.retain(|seen| seen.is_answer() && seen.packet.sender_ip == vip);
        seen
    }

    /// The answers to a number of questions: one each, and then no more.
    pub(crate) fn answers_to_all(&self, vip: Ipv4Addr, questions: usize) -> Vec<Seen> {
        let is_answer = |seen: &Seen| seen.is_answer() && seen.packet.sender_ip == vip;
        self.ask_often(vip, questions);
        let answers = self.listen_for(questions, is_answer);
        assert!(!self.listen(Duration::from_millis(50)).iter().any(is_answer), "more answers than questions");
        answers
    }

    fn ask_often(&self, vip: Ipv4Addr, questions: usize) {
        self.forget();
        for _ in 0..questions {
            self.ask(vip);
        }
    }
}
