//! Two drivers on the loopback interface, each at ports of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use ironlb_bfd_proto::authentication::{Authentication, Key};
use ironlb_bfd_proto::{Hops, Interval};

use super::*;

/// Long against the second that a session takes to come up, because it may send once a second until then.
const PATIENCE: Duration = Duration::from_secs(60);

/// One driver, and what it told of its session `peer` so far.
struct End {
    driver: Driver,
    changes: mpsc::UnboundedReceiver<Change>,
    told: Vec<(BfdState, Status)>,
}

impl End {
    fn start(seed: u64, ports: Ports) -> Self {
        let (driver, changes) = Driver::start_at(seed, ports).unwrap();
        Self { driver, changes, told: Vec::new() }
    }

    fn set(&self, path: Path, config: Config) {
        self.driver.set(BTreeMap::from([("peer".to_owned(), (path, Setup { config }))]));
    }

    /// Waits until the session stands as wanted.
    async fn reaches(&mut self, what: &str, is_so: impl Fn(BfdState, &Status) -> bool) -> Status {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some((bfd, status)) = self.told.last()
                && is_so(*bfd, status)
            {
                return status.clone();
            }
            match tokio::time::timeout_at(deadline, self.changes.recv()).await {
                Ok(Some(change)) => self.told.push((change.bfd, change.status)),
                end => panic!("{what}: {end:?} after {:#?}", self.told),
            }
        }
    }

    async fn is_up(&mut self) -> Status {
        self.reaches("up", |bfd, status| bfd == BfdState::Up && status.state == State::Up).await
    }
}

/// Ports of UDP that nobody has, below those that the kernel and BFD give out themselves. No other test that asks here takes them, of
/// another clone neither: for as long as this process lives it has the same port of TCP.
fn free_ports() -> (Ports, Ports) {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let free = || {
        let first = u16::try_from(std::process::id() % 1000).unwrap_or_default() * 10;
        loop {
            let port = 11_000 + (first + TRIED.fetch_add(1, Ordering::Relaxed)) % 10_000;
            let Ok(reserved) = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) else { continue };
            if UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() {
                std::mem::forget(reserved);
                return port;
            }
        }
    };
    let (a, b, c, d) = (free(), free(), free(), free());
    (Ports { single_hop: (a, b), multi_hop: (c, d) }, Ports { single_hop: (b, a), multi_hop: (d, c) })
}

/// With a Detection Time of a hundred packets: on a busy machine, or one that stands still, three may well be missing.
fn config(millis: u32) -> Config {
    Config::single_hop(Interval::from_millis(millis).unwrap(), NonZeroU8::new(100).unwrap())
}

fn path(local: impl Into<IpAddr>, remote: impl Into<IpAddr>) -> Path {
    Path { remote: remote.into(), local: Some(local.into()), interface: None }
}

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 12);

fn pair() -> (End, End) {
    let (ports, of_other) = free_ports();
    (End::start(1, ports), End::start(2, of_other))
}

#[tokio::test]
async fn two_ends_come_up_agree_on_intervals_and_find_silence() {
    let (mut one, mut two) = pair();
    one.set(path(ONE, TWO), config(50));
    two.set(path(TWO, ONE), config(100));
    one.is_up().await;
    two.is_up().await;
    let millis = |millis| Some(Duration::from_millis(millis));
    let agreed =
        |_, status: &Status| (status.detection_time, status.transmit_interval) == (millis(10_000), millis(100));
    one.reaches("intervals of the slower end", agreed).await;
    two.reaches("intervals of the slower end", agreed).await;
    // Both become faster, without going down.
    one.set(path(ONE, TWO), config(40));
    two.set(path(TWO, ONE), config(40));
    let agreed = |_, status: &Status| (status.detection_time, status.transmit_interval) == (millis(4_000), millis(40));
    one.reaches("intervals that both changed", agreed).await;
    let status = two.reaches("intervals that both changed", agreed).await;
    assert_eq!(status.downs, 0);
    assert_eq!((status.remote_state, status.trouble), (Some(State::Up), None));
    let begin = Instant::now();
    drop(two);
    let status = one.reaches("down", |bfd, _| bfd == BfdState::Down).await;
    // 4 s after the last packet, of which the next was due within 40 ms; as loose above as a machine that stands still needs.
    let found = Duration::from_millis(3_900)..Duration::from_secs(12);
    assert!(found.contains(&begin.elapsed()), "found after {:?}", begin.elapsed());
    assert_eq!(status.last_down.map(|(cause, _)| cause), Some(Cause::DetectionTimeExpired));
    assert_eq!((status.state, status.remote_state, status.downs), (State::Down, None, 1));
    assert_eq!(status.diagnostic.to_string(), "Control Detection Time Expired");
}

#[tokio::test]
async fn an_end_that_leaves_on_purpose_is_not_taken_for_broken() {
    let (mut one, mut two) = pair();
    for (end, local, remote) in [(&one, ONE, TWO), (&two, TWO, ONE)] {
        end.set(path(local, remote), config(50));
    }
    one.is_up().await;
    two.is_up().await;
    let begin = Instant::now();
    two.driver.admin_down().await;
    // The peer has time to make something of it: its Detection Time is longer than the longest that there is.
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    let status = one.reaches("down on purpose", |_, status| status.state == State::Down).await;
    assert_eq!(status.last_down.map(|(cause, _)| cause), Some(Cause::NeighborAdminDown));
    assert!(one.told.iter().all(|(bfd, _)| *bfd != BfdState::Down), "{:?}", one.told);
    assert_eq!(one.told.last().unwrap().0, BfdState::Unknown);
    // What is set after that changes nothing.
    two.set(path(TWO, ONE), config(20));
    let status = two.reaches("held down", |_, status| status.state == State::AdminDown).await;
    assert_eq!(two.told.last().unwrap().0, BfdState::Unknown);
    assert_eq!(status.diagnostic.to_string(), "Administratively Down");
    // Neither is one that was taken out of the set, and it comes back.
    let mut three = End::start(3, {
        drop(two);
        one.driver.set(BTreeMap::new());
        let (ports, of_other) = free_ports();
        one = End::start(4, ports);
        of_other
    });
    one.set(path(ONE, TWO), config(50));
    three.set(path(TWO, ONE), config(50));
    one.is_up().await;
    three.is_up().await;
    three.driver.set(BTreeMap::new());
    one.reaches("removed on purpose", |bfd, status| status.state == State::Down && bfd == BfdState::Unknown).await;
    three.set(path(TWO, ONE), config(50));
    assert_eq!(one.is_up().await.downs, 1);
}

#[tokio::test]
async fn several_hops_and_signatures() {
    let (mut one, mut two) = pair();
    let key = |text: &str| Some(Authentication { key: Key::new(1, text.as_bytes()).unwrap(), meticulous: true });
    let far = |minimum_ttl, text| Config { hops: Hops::Multi { minimum_ttl }, authentication: key(text), ..config(50) };
    one.set(path(ONE, TWO), far(255, "sesame"));
    two.set(path(TWO, ONE), far(255, "poppy"));
    let wrong = |_, status: &Status| status.dropped == Some(DropReason::AuthenticationHash);
    let status = one.reaches("a wrong signature to be told", wrong).await;
    assert_eq!(status.state, State::Down);
    two.set(path(TWO, ONE), far(255, "sesame"));
    assert_eq!(one.is_up().await.dropped, None);
    two.is_up().await;
}

#[tokio::test]
async fn ipv6_without_an_address_of_our_own_chosen() {
    let (mut one, mut two) = pair();
    // One machine, one address: the two ends are told apart by their ports.
    for end in [&one, &two] {
        end.set(Path { remote: Ipv6Addr::LOCALHOST.into(), local: None, interface: None }, config(50));
    }
    one.is_up().await;
    two.is_up().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_tried_again() {
    let (mut one, mut two) = pair();
    let (ports, _) = free_ports();
    let other = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, ports.single_hop.0)).unwrap();
    drop(one);
    one = End::start(5, ports);
    one.set(path(ONE, TWO), config(50));
    let told = one.reaches("trouble", |_, status| status.trouble.is_some()).await;
    let words = format!("UDP port {} is taken on this node, as by another BFD daemon", ports.single_hop.0);
    assert_eq!(told.trouble.as_deref(), Some(words.as_str()));
    // Nothing is sent meanwhile: the other daemon would be answered.
    let from_one = UdpSocket::bind((TWO, ports.single_hop.1)).unwrap();
    from_one.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    assert!(from_one.recv(&mut [0; 64]).is_err(), "a packet was sent");
    drop((other, from_one));
    drop(two);
    two = End::start(6, Ports { single_hop: (ports.single_hop.1, ports.single_hop.0), ..ports });
    two.set(path(TWO, ONE), config(50));
    assert_eq!(one.is_up().await.trouble, None);
    two.is_up().await;
}

#[tokio::test]
async fn a_packet_that_cannot_be_sent_is_told_in_words() {
    let (ports, _) = free_ports();
    let mut one = End::start(7, ports);
    // Not an address of this machine (RFC 5737).
    one.set(path(Ipv4Addr::new(192, 0, 2, 1), TWO), config(50));
    let status = one.reaches("trouble", |_, status| status.trouble.is_some()).await;
    assert_eq!(
        status.trouble.as_deref(),
        Some("cannot send to 127.0.0.12: Cannot assign requested address (os error 99)")
    );
    // Two sessions on one path cannot be told apart.
    let both = ["peer", "twin"].map(|name| (name.to_owned(), (path(ONE, TWO), Setup { config: config(50) })));
    one.driver.set(BTreeMap::from(both));
    let twin = async {
        loop {
            let change = one.changes.recv().await.unwrap();
            if &*change.session == "twin" {
                return change.status.trouble.unwrap();
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, twin).await.unwrap();
    assert_eq!(&*told, "a session to 127.0.0.12 exists already");
}

#[tokio::test]
async fn what_comes_from_too_far_is_not_taken_and_the_limit_follows_the_configuration() {
    let (ports, _) = free_ports();
    let mut one = End::start(8, ports);
    let far = |minimum_ttl| Config { hops: Hops::Multi { minimum_ttl }, ..config(50) };
    one.set(path(ONE, TWO), far(254));
    one.reaches("told of", |_, _| true).await;
    let peer = UdpSocket::bind((TWO, 0)).unwrap();
    // Down, with discriminator `number`, none of ours, once a second.
    let send = |ttl: u32, number: u8| {
        peer.set_ttl(ttl).unwrap();
        let second = 1_000_000_u32.to_be_bytes();
        let packet = [[0x20, 0x40, 3, 24], [0, 0, 0, number], [0; 4], second, second, [0; 4]].concat();
        peer.send_to(&packet, (ONE, ports.multi_hop.0)).unwrap();
    };
    // In this order: had the first been taken, the second would not be the one that is heard first.
    send(253, 1);
    send(254, 2);
    let heard = |_, status: &Status| status.remote_state == Some(State::Down);
    let status = one.reaches("heard at the limit", heard).await;
    assert_eq!(status.state, State::Init);
    // It forgets the peer after three seconds of silence, and hears one from farther away when it may.
    one.set(path(ONE, TWO), far(253));
    one.reaches("silence", |_, status| status.remote_state.is_none()).await;
    send(253, 3);
    one.reaches("heard at the new limit", heard).await;
}
