//! The lab's instruments, tried on a LAN of namespaces: a measurement is worth what its instrument is.
//!
//! Needs root: each test starts itself again in network and mount namespaces of its own, so that tests run side by side and
//! nothing is left behind, however they end.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use ironlb_lab::Netns;
use ironlb_lab::arp::{Asking, ask};
use ironlb_lab::capture::{ArpOperation, Capture};
use ironlb_lab::probe::{Failure, LONGEST_DEADLINE, Probe, Probing};
use ironlb_model::MacAddr;

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x200);
const N1: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const N2: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const CLIENT: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

/// Runs `body` in this test's own namespaces: the outer call starts this test again inside, the inner one does the work.
fn isolated(test: &str, body: impl FnOnce()) {
    const INSIDE: &str = "IRONLB_INSIDE_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    assert!(nix::unistd::geteuid().is_root(), "the lab's instruments need root: they work in network namespaces");
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare is installed");
    assert!(status.success(), "{test}: failed inside its namespaces, see above");
}

fn ip(line: &str) {
    let done = Command::new("ip").args(line.split_whitespace()).output().expect("iproute2 is installed");
    assert!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A switch `lan` with `br0`; on it `client` (.9), `n1` (.1) and `n2` (.2), each with `eth0`. The vips are on `n1`.
fn build_lan() {
    let mounted = Command::new("sh").args(["-c", "mkdir -p /run/netns && mount -t tmpfs netns /run/netns"]).status();
    assert!(mounted.unwrap().success());
    ip("netns add lan");
    ip("-n lan link add br0 type bridge");
    ip("-n lan link set br0 up");
    for (name, mac, last) in [("client", CLIENT, 9), ("n1", N1, 1), ("n2", N2, 2)] {
        ip(&format!("netns add {name}"));
        ip(&format!("-n lan link add {name} type veth peer name eth0 address {mac} netns {name}"));
        ip(&format!("-n lan link set {name} master br0 up"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} addr add 192.0.2.{last}/24 dev eth0"));
        ip(&format!("-n {name} addr add fd77::{last}/64 dev eth0 nodad"));
    }
    ip(&format!("-n n1 addr add {VIP}/24 dev eth0"));
    ip(&format!("-n n1 addr add {VIP6}/64 dev eth0 nodad"));
}

/// An HTTP server for each address of a node, answering as the back end does.
fn serve(node: &'static str, addresses: &[IpAddr]) {
    for address in addresses {
        let listener = Netns::named(node).run(|| TcpListener::bind((*address, 80)).unwrap()).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 1024];
                // A client that has given up meanwhile is not this server's affair.
                let _ = stream.read(&mut request);
                let client = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
                let body = format!("{{\"pod\":\"web-{node}\",\"node\":\"{node}\",\"client\":\"{client}\"}}");
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        });
    }
}

/// A folder in memory that ends with this test's mount namespace.
fn scratch() -> PathBuf {
    let folder = PathBuf::from("/run/netns/files");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn asking_shows_every_answerer() {
    isolated("asking_shows_every_answerer", || {
        build_lan();
        let client = Netns::named("client");
        let answers = ask(&client, "eth0", VIP, Asking::default()).unwrap();
        assert_eq!((answers.requests(), answers.unanswered()), (20, 0));
        assert_eq!(answers.by_mac(), BTreeMap::from([(N1, 20)]));
        assert_eq!(answers.sole_answerer(), Some(N1));

        ip(&format!("-n n2 addr add {VIP}/24 dev eth0"));
        let answers = ask(&client, "eth0", VIP, Asking::default()).unwrap();
        assert_eq!(answers.by_mac(), BTreeMap::from([(N1, 20), (N2, 20)]), "a second owner is seen");
        assert_eq!(answers.sole_answerer(), None);

        let quick = Asking { requests: 3, window: Duration::from_millis(5), linger: Duration::ZERO };
        let answers = ask(&client, "eth0", Ipv4Addr::new(192, 0, 2, 77), quick).unwrap();
        assert_eq!((answers.unanswered(), answers.by_mac()), (3, BTreeMap::new()));

        let error = ask(&client, "eth7", VIP, quick).unwrap_err();
        assert!(error.to_string().contains("eth7"), "{error}");
        let error = ask(&Netns::named("nowhere"), "eth0", VIP, quick).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    });
}

#[test]
fn a_capture_on_the_switch_sees_who_claims_what() {
    isolated("a_capture_on_the_switch_sees_who_claims_what", || {
        build_lan();
        serve("n1", &[VIP.into()]);
        let file = scratch().join("lan.pcap");
        let mut capture = Capture::start(&Netns::named("lan"), "br0", &file).unwrap();
        let client = Netns::named("client");
        let quick = Asking { requests: 4, window: Duration::from_millis(20), linger: Duration::from_millis(100) };
        ask(&client, "eth0", VIP, quick).unwrap();
        let claims = capture.look(|seen| seen.macs_claiming(VIP)).unwrap();
        assert_eq!(claims.keys().collect::<Vec<_>>(), [&N1]);
        assert_eq!(claims[&N1].count, 4);

        // A gratuitous request is a claim as well, by whoever sends it.
        let before_garp = SystemTime::now();
        ip(&format!("-n n2 addr add {VIP}/24 dev eth0"));
        let garp = "arping -U -q -c 1 -I eth0 -s 192.0.2.200 192.0.2.200";
        let sent = Command::new("nsenter").arg("--net=/run/netns/n2").args(garp.split(' ')).status().unwrap();
        assert!(sent.success(), "arping: {sent}");
        ip(&format!("-n n2 addr del {VIP}/24 dev eth0"));
        let claims = capture.look(|seen| seen.macs_claiming_since(VIP, before_garp)).unwrap();
        assert_eq!(claims.into_keys().collect::<Vec<_>>(), [N2]);

        // Unicast between two ports passes a switch by, unless it is told to show everything.
        let probe = Probe::start(&client, (VIP, 80).into(), Probing::default(), &scratch().join("probe.log")).unwrap();
        while probe.so_far().ok() == 0 {
            sleep(Duration::from_millis(5));
        }
        let is_http = |frame: &ironlb_lab::capture::CapturedFrame| {
            (frame.source, frame.destination, frame.ether_type) == (N1, CLIENT, 0x0800)
        };
        assert!(capture.look(|seen| seen.frames.iter().any(is_http)).unwrap());

        // Power cut: the port first.
        ip("-n lan link set n1 down");
        let cut = SystemTime::now();
        sleep(Duration::from_millis(200));
        probe.stop().unwrap();
        let recording = capture.stop().unwrap();
        assert_eq!(recording.frames_from(N1, cut), []);
        assert!(!recording.frames_from(N1, recording.started).is_empty());
        assert!(!recording.frames_from(CLIENT, cut).is_empty(), "the client went on trying");
        assert_eq!(recording.lost, 0);

        // The file says the same to the people's tool.
        let file = file.to_str().unwrap();
        let dump = Command::new("tcpdump").args(["-nn", "-r", file, "arp"]).output().expect("tcpdump is installed");
        let text = String::from_utf8_lossy(&dump.stdout).into_owned();
        assert_eq!(text.lines().count(), recording.arp.len(), "{text}{}", String::from_utf8_lossy(&dump.stderr));
        assert!(text.contains(&format!("ARP, Reply {VIP} is-at {N1}")), "{text}");
        let replies = recording.arp.iter().filter(|seen| seen.frame.operation == ArpOperation::Reply).count();
        assert_eq!(text.matches("ARP, Reply").count(), replies);
        let all = Command::new("tcpdump").args(["-nn", "-r", file]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&all.stdout).lines().count(), recording.frames.len());
    });
}

#[test]
fn a_probe_times_an_interruption_on_both_families() {
    isolated("a_probe_times_an_interruption_on_both_families", || {
        build_lan();
        serve("n1", &[VIP.into(), VIP6.into()]);
        let client = Netns::named("client");
        let start = |target: IpAddr, name: &str| {
            Probe::start(&client, SocketAddr::new(target, 80), Probing::default(), &scratch().join(name)).unwrap()
        };
        let probes = [start(VIP.into(), "v4.log"), start(VIP6.into(), "v6.log")];
        while probes.iter().any(|probe| probe.so_far().ok() < 30) {
            sleep(Duration::from_millis(5));
        }
        // Longer than the first SYN retransmission, so that one could be mistaken for a success.
        let off = (SystemTime::now(), Instant::now());
        ip("-n lan link set n1 down");
        let surely_off = SystemTime::now();
        sleep(Duration::from_millis(1300));
        let still_off = SystemTime::now();
        ip("-n lan link set n1 up");
        let at_most_off = off.1.elapsed();
        let before: Vec<usize> = probes.iter().map(|probe| probe.so_far().ok()).collect();
        let deadline = Instant::now() + Duration::from_secs(20);
        while probes.iter().zip(&before).any(|(probe, before)| probe.so_far().ok() < before + 30) {
            assert!(
                Instant::now() < deadline,
                "service does not come back: {:?}",
                probes.each_ref().map(Probe::so_far)
            );
            sleep(Duration::from_millis(5));
        }
        for (probe, client_address) in probes.into_iter().zip(["192.0.2.9", "fd77::9"]) {
            let report = probe.stop().unwrap();
            println!("{report}");
            let gap = report.longest_gap();
            let surely = still_off.duration_since(surely_off).unwrap();
            // One SYN every 10 ms, and whatever the machine adds: a bound that only a wrong gap breaks.
            let slack = Duration::from_millis(400) + report.latest_start;
            assert!(gap.length() >= surely && gap.length() < at_most_off + slack, "{gap:?} for {surely:?}");
            let begun = off.0.duration_since(report.started).unwrap();
            assert!(gap.from < begun + slack && gap.to > begun + surely, "{gap:?} does not lie at {begun:?}");
            // No attempt whose only SYN was lost is a success.
            for (attempt, answer) in report.successes() {
                let at = report.started + attempt.started;
                assert!(at < surely_off || at > still_off, "a retransmitted SYN was counted: {attempt:?}");
                assert!(attempt.latency() <= LONGEST_DEADLINE);
                assert_eq!(answer.client, client_address);
            }
            assert!(report.by_failure()[&Failure::TimedOut] > 50, "{report}");
            assert_eq!(report.by_pod(), BTreeMap::from([("web-n1".to_owned(), report.ok())]));
            assert_eq!(report.by_node(), BTreeMap::from([("n1".to_owned(), report.ok())]));
            let log = std::fs::read_to_string(&report.log).unwrap();
            assert_eq!(log.lines().filter(|line| !line.starts_with('#')).count(), report.attempts.len());
            assert_eq!(log.lines().filter(|line| line.contains("\tok\tweb-n1\tn1")).count(), report.ok());
        }
    });
}

#[test]
fn a_probe_says_why_nothing_answers() {
    isolated("a_probe_says_why_nothing_answers", || {
        build_lan();
        let client = Netns::named("client");
        let log = scratch().join("probe.log");
        let probing = Probing { interval: Duration::from_millis(5), ..Probing::default() };
        let rows = [
            ("nobody listens", IpAddr::from(VIP), Failure::Refused),
            ("there is no route", IpAddr::from([198, 51, 100, 1]), Failure::Unreachable),
        ];
        for (name, target, failure) in rows {
            let probe = Probe::start(&client, (target, 80).into(), probing, &log).unwrap();
            while probe.so_far().attempts.len() < 10 {
                sleep(Duration::from_millis(5));
            }
            let report = probe.stop().unwrap();
            assert_eq!(report.by_failure(), BTreeMap::from([(failure, report.attempts.len())]), "{name}");
            assert_eq!(report.longest_gap().length(), report.elapsed, "{name}: all of it is an outage");
        }

        let too_long = Probing { deadline: Duration::from_secs(1), ..Probing::default() };
        let error = Probe::start(&client, (VIP, 80).into(), too_long, &log).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let error = Probe::start(&Netns::named("nowhere"), (VIP, 80).into(), probing, &log).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    });
}
