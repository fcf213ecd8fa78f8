//! A peer that speaks by hand: it reads messages with the codec, and does what the test wants and nothing else.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use futures::FutureExt as _;
use ironlb_bgp_proto::codec::{
    Capability, Inspected, MAX_MESSAGE_LEN, MessageKind, Notification, Open, UpdateContext, inspect, keepalive, split,
};
use ironlb_bgp_proto::{Config, Family};
use ironlb_model::Prefix;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::ground::{PATIENCE, PORT, asn, router_id};

/// One message.
#[derive(Debug)]
pub(crate) enum Message {
    Open(Open),
    Update(Inspected),
    Keepalive,
    Notification(Notification),
    Other,
}

/// Waits for a connection, and does not come back before it has one.
pub(crate) struct Waiting(TcpListener);

impl Waiting {
    pub(crate) fn at(address: IpAddr) -> Self {
        // A receive buffer of the least size, so that a peer that does not read is felt soon.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(SocketAddr::new(address, PORT)).unwrap();
        Self(socket.listen(8).unwrap())
    }

    pub(crate) async fn connection(&self) -> FarEnd {
        let (stream, _) = tokio::time::timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        FarEnd { stream, received: Vec::new(), has_ended: false, open: None }
    }

    /// Nobody has come.
    pub(crate) fn is_alone(&self) -> bool {
        self.0.accept().now_or_never().is_none()
    }

    /// A connection; `then` is done once it is there.
    pub(crate) async fn connection_before(&self, then: impl FnOnce()) -> FarEnd {
        // Without routes the machine does not even connect: it is enough that nothing has come so far.
        assert!(self.is_alone());
        then();
        self.connection().await
    }

    /// A session that is up, as far as this end can tell. A connection may end before a word is said: its maker was held up for longer
    /// than an attempt may take, and makes another one.
    pub(crate) async fn session(&self, own: (IpAddr, u32), peer_as: u32) -> FarEnd {
        loop {
            let mut end = self.connection().await;
            if end.opens(own, peer_as).await {
                return end;
            }
        }
    }
}

/// One connection.
pub(crate) struct FarEnd {
    stream: TcpStream,
    received: Vec<u8>,
    has_ended: bool,
    /// What the other end's OPEN said.
    open: Option<Open>,
}

impl FarEnd {
    /// OPENs to and fro, until the other end's KEEPALIVE is here.
    pub(crate) async fn open(&mut self, own: (IpAddr, u32), peer_as: u32) {
        assert!(self.opens(own, peer_as).await, "the connection ended without a word");
    }

    /// The same; false if the connection ends without a word.
    async fn opens(&mut self, own: (IpAddr, u32), peer_as: u32) -> bool {
        let words = [Self::open_of(own, peer_as).as_slice(), &keepalive()].concat();
        // Where it has ended already, reading tells so, too.
        let _ = self.stream.write_all(&words).await;
        loop {
            match self.next().await {
                Some(Message::Keepalive) => return true,
                Some(Message::Open(open)) => self.open = Some(open),
                None if self.open.is_none() => return false,
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn say_open(&mut self, own: (IpAddr, u32), peer_as: u32) {
        self.send(&Self::open_of(own, peer_as)).await;
    }

    fn open_of(own: (IpAddr, u32), peer_as: u32) -> Vec<u8> {
        let config = Config::new(asn(own.1), asn(peer_as), router_id(own.0));
        Config { extended_messages: false, ..config }.open(false).encode()
    }

    /// Did the other end's OPEN say that it had restarted?
    pub(crate) fn opened_after_restart(&self) -> bool {
        let capabilities = &self.open.as_ref().unwrap().capabilities;
        let restart = capabilities.iter().find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(restart.restarted),
            _ => None,
        });
        restart.unwrap()
    }

    /// Connects from one address to the listener at another.
    pub(crate) async fn connect(from: IpAddr, to: IpAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        let stream = socket.connect(SocketAddr::new(to, PORT)).await.unwrap();
        Self { stream, received: Vec::new(), has_ended: false, open: None }
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.stream.peer_addr().unwrap()
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next message; `None` when the other end has closed.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = split(&self.received, MAX_MESSAGE_LEN).unwrap() {
                let message = match frame.kind {
                    MessageKind::Open => Message::Open(Open::decode(frame.body).unwrap()),
                    MessageKind::Update => {
                        let context = UpdateContext { internal: false, four_octet_as: true };
                        Message::Update(inspect(frame.body, context).unwrap())
                    }
                    MessageKind::Keepalive => Message::Keepalive,
                    MessageKind::Notification => Message::Notification(Notification::decode(frame.body).unwrap()),
                    MessageKind::RouteRefresh => Message::Other,
                };
                let len = frame.len;
                self.received.drain(..len);
                return Some(message);
            }
            if self.has_ended {
                return None;
            }
            let mut buffer = vec![0; 65536];
            let read = self.stream.read(&mut buffer);
            let count = match tokio::time::timeout(PATIENCE, read).await.expect("nothing came") {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                read => read.unwrap(),
            };
            self.has_ended = count == 0;
            self.received.extend(&buffer[..count]);
        }
    }

    /// Reads until it knows exactly these prefixes of IPv4, after those it knew before.
    pub(crate) async fn learn(&mut self, known: &mut BTreeSet<Prefix>, wanted: &BTreeSet<Prefix>) {
        while known != wanted {
            match self.next().await {
                Some(Message::Update(update)) => {
                    assert!(update.treated_as_withdraw.is_none(), "{update:?}");
                    known.retain(|prefix| !update.withdrawn.contains(prefix));
                    known.extend(update.announced);
                }
                Some(Message::Keepalive) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads until both families have ended, and gives the prefixes.
    pub(crate) async fn all(&mut self) -> BTreeSet<Prefix> {
        let (mut known, mut ended) = (BTreeSet::new(), BTreeSet::new());
        while ended.len() < Family::ALL.len() {
            match self.next().await {
                Some(Message::Update(update)) => {
                    ended.extend(update.end_of_rib);
                    known.extend(update.announced);
                }
                Some(Message::Keepalive) => {}
                other => panic!("{other:?}"),
            }
        }
        known
    }

    /// Reads until the other end closes, and gives its NOTIFICATION if it sent one.
    pub(crate) async fn last_words(&mut self) -> Option<Notification> {
        let mut last = None;
        while let Some(message) = self.next().await {
            if let Message::Notification(notification) = message {
                last = Some(notification);
            }
        }
        last
    }
}

impl FarEnd {
    /// The same, and closes this end as well, as a router does: until then the other end waits.
    pub(crate) async fn last_words_and_close(&mut self) -> Option<Notification> {
        let last = self.last_words().await;
        self.stream.shutdown().await.unwrap();
        last
    }
}

/// Holds a port that others want, until it is dropped.
pub(crate) fn hold(address: IpAddr) -> std::net::TcpListener {
    std::net::TcpListener::bind((address, PORT)).unwrap()
}
