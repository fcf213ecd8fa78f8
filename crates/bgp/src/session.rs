//! The task of one session: its machine, its connections, and the wait for whatever comes next.
//!
//! Each turn is the same: take what has come, let go off what is due, carry out what the machine wants, hand the kernel what it takes.
//! The machine decides everything; here is only the order in which it is asked.

mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use ironlb_bgp_proto::{BfdState, Config, ConnectionId, Input, OwnAddresses, Peer, Routes, Stop};
use ironlb_model::Neighbor;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use self::report::Report;
use crate::clock::{now, sleep_until};
use crate::connection::{Connection, Ending};
use crate::dial::{Dial, DialError, admit};
use crate::place::{ANSWER, Place, fill};
use crate::status::Board;
use crate::transport::Transport;
use crate::{Session, bfd};

/// Bytes read at once.
const READ_BUFFER: usize = 64 * 1024;

/// Batches of routes handed to the kernel before anything else gets its turn.
const BATCHES: usize = 16;

/// Connections of the peer's that wait to be looked at. It has one; a second while the first is given up. Chosen.
pub(crate) const INCOMING: usize = 4;

/// What the session is to be, as one value: only the last one counts.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) setup: Arc<Session>,
    pub(crate) routes: Option<Arc<Routes>>,
    pub(crate) bfd: Option<(BfdState, bfd::Status)>,
    /// It is to end, so; the task ends with it.
    pub(crate) stop: Option<Stop>,
}

/// What a session's task is given.
#[derive(Debug)]
pub(crate) struct Inlet {
    pub(crate) wanted: watch::Receiver<Wanted>,
    pub(crate) incoming: mpsc::Receiver<TcpStream>,
    /// Changes whenever the node's addresses may have.
    pub(crate) addresses: watch::Receiver<u64>,
}

/// Where a session's task tells what it knows.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    pub(crate) board: Arc<Board>,
    /// An unnumbered peer was found at this address.
    pub(crate) found: mpsc::UnboundedSender<(Arc<str>, SocketAddr)>,
}

/// What became of something that took a while.
enum Arrival {
    Dialled(ConnectionId, Result<(TcpStream, Place), DialError>),
    Admitted(Transport, std::io::Result<(TcpStream, Place)>),
    Placed(ConnectionId, Place),
    AskedAgain(ConnectionId, Place),
    LinkLost(ConnectionId),
}

/// What ended a wait.
enum Event {
    Wanted(bool),
    Incoming(Option<TcpStream>),
    Arrived(Arrival),
    Addresses,
    Ready,
    Due,
}

/// One session's machine and all that belongs to it.
struct Task {
    peer: Peer,
    setup: Arc<Session>,
    transport: Transport,
    routes: Option<Arc<Routes>>,
    bfd: BfdState,
    /// The addresses of ours that were found on the connection looked at last.
    own: OwnAddresses,
    connections: BTreeMap<ConnectionId, Connection>,
    established: Option<ConnectionId>,
    /// Connections about which the kernel is asked again: each by one task.
    asked_again: BTreeSet<ConnectionId>,
    under_way: JoinSet<Arrival>,
    dials: BTreeMap<ConnectionId, AbortHandle>,
    admitting: usize,
    closing: JoinSet<()>,
    buffer: Vec<u8>,
    found: mpsc::UnboundedSender<(Arc<str>, SocketAddr)>,
    report: Report,
}

/// Runs one session until it is told to stop, and its connections are closed.
pub(crate) async fn run(name: Arc<str>, seed: u64, restarted: bool, mut inlet: Inlet, outlet: Outlet) {
    let first = inlet.wanted.borrow_and_update().clone();
    let mut task = Task::new(name, seed, restarted, &first, outlet);
    task.begin();
    let mut is_wanted = task.want(first);
    while is_wanted {
        task.turn();
        match task.wait(&mut inlet).await {
            Event::Wanted(true) => {
                let wanted = inlet.wanted.borrow_and_update().clone();
                is_wanted = task.want(wanted);
            }
            // Whoever wants it is gone: nobody is left to say how to end.
            Event::Wanted(false) => return,
            Event::Incoming(Some(stream)) => task.admit(stream),
            Event::Incoming(None) | Event::Ready | Event::Due => {}
            Event::Arrived(arrival) => task.arrived(arrival),
            Event::Addresses => task.place_again(),
        }
    }
    task.turn();
    while task.closing.join_next().await.is_some() {}
}

impl Task {
    fn new(name: Arc<str>, seed: u64, restarted: bool, wanted: &Wanted, outlet: Outlet) -> Self {
        let setup = Arc::clone(&wanted.setup);
        Self {
            peer: Peer::new(setup.config.clone(), seed, restarted),
            transport: Transport::of(&setup),
            setup,
            routes: None,
            bfd: BfdState::Unknown,
            own: OwnAddresses::default(),
            connections: BTreeMap::new(),
            established: None,
            asked_again: BTreeSet::new(),
            under_way: JoinSet::new(),
            dials: BTreeMap::new(),
            admitting: 0,
            closing: JoinSet::new(),
            buffer: vec![0; READ_BUFFER],
            found: outlet.found,
            report: Report::new(name, outlet.board),
        }
    }

    fn begin(&mut self) {
        self.tell(Input::GracefulShutdown(self.setup.graceful_shutdown));
        if self.setup.admin_down.is_none() {
            self.tell(Input::Start);
        }
        self.report.own(fill(self.setup.config.own, self.own));
    }

    fn tell(&mut self, input: Input) {
        self.peer.handle_input(now(), input);
    }

    /// Makes the session what it is to be; false when it is to end.
    fn want(&mut self, wanted: Wanted) -> bool {
        if let Some((state, status)) = wanted.bfd {
            if self.bfd != state {
                self.bfd = state;
                self.tell(Input::Bfd(state));
            }
            self.report.bfd(Some(status));
        } else {
            self.report.bfd(None);
            if std::mem::take(&mut self.bfd) != BfdState::Unknown {
                self.tell(Input::Bfd(BfdState::Unknown));
            }
        }
        self.configure(wanted.setup);
        let is_new = |routes: &Arc<Routes>| self.routes.as_ref().is_none_or(|known| !Arc::ptr_eq(known, routes));
        if let Some(routes) = wanted.routes.filter(is_new) {
            self.tell(Input::Desired(Arc::clone(&routes)));
            self.routes = Some(routes);
        }
        if let Some(stop) = wanted.stop {
            if stop == Stop::Deconfigured {
                self.report.mute();
            }
            self.tell(Input::Stop(stop));
            return false;
        }
        true
    }

    fn configure(&mut self, setup: Arc<Session>) {
        if setup == self.setup {
            return;
        }
        let before = std::mem::replace(&mut self.setup, setup);
        self.transport = Transport::of(&self.setup);
        let machine = self.machine_config();
        if machine != *self.peer.config() {
            self.tell(Input::Configure(Box::new(machine)));
            // An end of the old session is carried out before the new one's beginning finds its place taken.
            self.carry_out();
        }
        self.report.own(fill(self.setup.config.own, self.own));
        if before.graceful_shutdown != self.setup.graceful_shutdown {
            self.tell(Input::GracefulShutdown(self.setup.graceful_shutdown));
        }
        match (&before.admin_down, &self.setup.admin_down) {
            (None, Some(text)) => {
                let stop = Stop::Shutdown(text.clone());
                self.tell(Input::Stop(stop));
            }
            (Some(_), None) => self.tell(Input::Start),
            (None, None) if is_carried_otherwise(&before, &self.setup) => {
                self.tell(Input::Reset("the transport was configured anew".to_owned()));
            }
            _ => {}
        }
    }

    /// What the machine is configured with: what was asked for, with the addresses that were found.
    fn machine_config(&self) -> Config {
        Config { own: fill(self.setup.config.own, self.own), ..self.setup.config.clone() }
    }

    /// Tells the machine the addresses of ours on this connection, if they are others than it knows.
    fn use_place(&mut self, place: &Place) {
        self.own = place.own;
        // An unnumbered peer has no address in whatever IPv4 subnet this end may be in: where it takes IPv6 next hops, it gets them.
        let takes_ipv6 = self.peer.negotiated().is_some_and(|negotiated| negotiated.extended_next_hop);
        if takes_ipv6 && matches!(self.setup.neighbor, Neighbor::Interface(_)) {
            self.own.ipv4 = None;
        }
        let machine = self.machine_config();
        if machine != *self.peer.config() {
            self.tell(Input::Configure(Box::new(machine)));
        }
        self.report.place(place, fill(self.setup.config.own, self.own));
    }

    /// A connection of the peer's, by its address.
    fn admit(&mut self, stream: TcpStream) {
        if self.admitting >= INCOMING {
            return;
        }
        self.admitting += 1;
        let transport = self.transport.clone();
        self.under_way.spawn(async move {
            let admitted = admit(stream, &transport).await;
            Arrival::Admitted(transport, admitted)
        });
    }

    fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Dialled(id, outcome) => {
                // One that was closed meanwhile is not there any more.
                if self.dials.remove(&id).is_none() {
                    return;
                }
                match outcome {
                    Ok((stream, place)) => {
                        self.connected(id, stream, place);
                        self.tell(Input::Connected(id));
                    }
                    Err(error) => {
                        self.report.cannot_dial(&error);
                        self.tell(Input::Closed(id));
                    }
                }
            }
            Arrival::Admitted(transport, outcome) => {
                self.admitting = self.admitting.saturating_sub(1);
                match outcome {
                    // What was admitted by what does not hold any more is dropped.
                    Ok((stream, place)) if transport == self.transport => {
                        let id = self.peer.next_connection();
                        self.connected(id, stream, place);
                        self.tell(Input::Accepted(id));
                    }
                    Ok(_) => {}
                    Err(error) => self.report.cannot_admit(&error),
                }
            }
            Arrival::LinkLost(id) => self.tell(Input::LinkDown(id)),
            Arrival::Placed(id, place) => self.placed(id, place),
            Arrival::AskedAgain(id, place) => {
                self.asked_again.remove(&id);
                self.placed(id, place);
            }
        }
    }

    fn placed(&mut self, id: ConnectionId, found: Place) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let place = found.or_before(&connection.place);
        if connection.place != place {
            connection.place = place.clone();
            self.use_place(&place);
        }
        self.ask_again_where_unknown(id);
    }

    fn connected(&mut self, id: ConnectionId, stream: TcpStream, place: Place) {
        if matches!(self.setup.neighbor, Neighbor::Interface(_)) {
            // Nobody hears it only when all ends.
            let _ = self.found.send((self.report.name(), place.remote));
        }
        if self.established.is_none() {
            self.report.connected();
            self.use_place(&place);
        }
        if !place.is_known() {
            tracing::warn!(peer = %place.remote, "the kernel has not said yet by which interface: routes whose next hop is there wait");
        }
        self.connections.insert(id, Connection::new(stream, place));
        self.ask_again_where_unknown(id);
    }

    /// Without the addresses of its interface a connection lacks next hops: what the kernel has not told is asked for until it has.
    fn ask_again_where_unknown(&mut self, id: ConnectionId) {
        let Some(place) = self.connections.get(&id).map(|connection| &connection.place).filter(|it| !it.is_known())
        else {
            return;
        };
        if self.asked_again.insert(id) {
            let (local, remote) = (place.local, place.remote);
            self.under_way.spawn(async move {
                tokio::time::sleep(ANSWER).await;
                Arrival::AskedAgain(id, Place::find(local, remote).await)
            });
        }
    }

    /// The node's addresses may be others now, or a link down.
    fn place_again(&mut self) {
        for (id, connection) in &self.connections {
            let (id, place) = (*id, connection.place.clone());
            self.under_way.spawn(async move {
                if place.has_lost_link().await {
                    Arrival::LinkLost(id)
                } else {
                    Arrival::Placed(id, Place::find(place.local, place.remote).await)
                }
            });
        }
    }

    /// Everything that can be done now.
    fn turn(&mut self) {
        self.receive(false);
        if self.peer.poll_timeout().is_some_and(|at| at <= now()) {
            // What has come before timers: while this process was held up, the peer was not.
            while let Some(ended) = self.under_way.try_join_next() {
                if let Some(arrival) = arrival_of(ended) {
                    self.arrived(arrival);
                }
            }
            self.receive(true);
            self.carry_out();
            self.peer.handle_timeout(now());
        }
        self.pump();
        self.report.numbers(&self.peer);
    }

    fn receive(&mut self, all: bool) {
        let mut ended = Vec::new();
        for (id, connection) in &mut self.connections {
            let ending = connection.read(&mut self.buffer, all, |bytes| {
                self.peer.handle_input(now(), Input::Received(*id, bytes.to_vec()));
            });
            match ending {
                Ending::Open => {}
                Ending::Closed => ended.push((*id, None)),
                Ending::Broken(error) => ended.push((*id, Some(error))),
            }
        }
        for (id, error) in ended {
            self.carry_out();
            self.lost(id, error);
        }
    }

    /// The connection is gone.
    fn lost(&mut self, id: ConnectionId, error: Option<std::io::Error>) {
        // One that the machine has closed in the meantime is of no interest.
        if self.connections.remove(&id).is_some() {
            self.established = self.established.filter(|up| *up != id);
            self.report.lost(error.as_ref());
            self.tell(Input::Closed(id));
        }
    }

    /// Carries out what the machine wants, and hands routes to the kernel as long as it takes some.
    fn pump(&mut self) {
        for _ in 0..BATCHES {
            self.carry_out();
            while self.established.and_then(|id| self.connections.get(&id)).is_some_and(Connection::has_room) {
                let Some((id, bytes)) = self.peer.poll_update(now()) else { break };
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.push(&bytes);
                }
            }
            self.carry_out();
            if !self.send() {
                break;
            }
        }
        self.carry_out();
    }

    /// Hands the kernel what it takes; true if it took something.
    fn send(&mut self) -> bool {
        let mut took = Vec::new();
        let mut broken = Vec::new();
        for (id, connection) in &mut self.connections {
            match connection.send() {
                Ok(true) => took.push(*id),
                Ok(false) => {}
                Err(error) => broken.push((*id, error)),
            }
        }
        for id in &took {
            self.tell(Input::Sent(*id));
        }
        for (id, error) in broken {
            // The peer's last words may be there still, and say why.
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.read(&mut self.buffer, true, |bytes| {
                    self.peer.handle_input(now(), Input::Received(id, bytes.to_vec()));
                });
            }
            self.carry_out();
            self.lost(id, Some(error));
        }
        !took.is_empty()
    }

    fn carry_out(&mut self) {
        use ironlb_bgp_proto::Output;
        while let Some(output) = self.peer.poll_output() {
            match output {
                Output::Connect(id) => {
                    let dial = Dial::of(&self.setup);
                    self.report.tries(dial.address());
                    let dialling = self.under_way.spawn(async move { Arrival::Dialled(id, dial.connect().await) });
                    self.dials.insert(id, dialling);
                }
                Output::Write(id, bytes) => {
                    if let Some(connection) = self.connections.get_mut(&id) {
                        connection.push(&bytes);
                    }
                }
                Output::Close(id) => {
                    if let Some(dialling) = self.dials.remove(&id) {
                        dialling.abort();
                    }
                    if let Some(connection) = self.connections.remove(&id) {
                        self.established = self.established.filter(|up| *up != id);
                        self.closing.spawn(connection.close());
                    }
                }
                Output::State { from, to } => self.report.state(from, to),
                Output::Up(negotiated) => {
                    // Of two connections the machine has closed the one that lost before it says this.
                    self.established = self.connections.keys().next().copied();
                    if let Some(connection) = self.established.and_then(|id| self.connections.get(&id)) {
                        if negotiated.hold_time.is_none() {
                            connection.ask_for_signs_of_life();
                        }
                        let place = connection.place.clone();
                        self.use_place(&place);
                    }
                    self.report.up(&negotiated, self.peer.established_at());
                }
                Output::Down(down) => self.report.down(&down),
                Output::Notice(notice) => self.report.notice(&notice),
            }
        }
    }

    async fn wait(&mut self, inlet: &mut Inlet) -> Event {
        let due = [self.peer.poll_timeout(), self.report.next_post()].into_iter().flatten().min();
        let has_routes = self.established.is_some() && !self.peer.rib_out().is_drained();
        loop {
            tokio::select! {
                changed = inlet.wanted.changed() => return Event::Wanted(changed.is_ok()),
                stream = inlet.incoming.recv(), if !inlet.incoming.is_closed() => return Event::Incoming(stream),
                Some(ended) = self.under_way.join_next() => if let Some(arrival) = arrival_of(ended) {
                    return Event::Arrived(arrival);
                },
                // What was closed: its end is of no interest.
                Some(_) = self.closing.join_next() => {}
                Ok(()) = inlet.addresses.changed() => return Event::Addresses,
                () = ready(&self.connections, self.established.filter(|_| has_routes)) => return Event::Ready,
                () = sleep_until(due) => return Event::Due,
            }
        }
    }
}

/// What a task came to; `None` for an attempt that was given up.
fn arrival_of(ended: Result<Arrival, JoinError>) -> Option<Arrival> {
    match ended {
        Ok(arrival) => Some(arrival),
        Err(error) if error.is_cancelled() => None,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Ends when one of the connections has something to say, or takes more of what waits for it.
async fn ready(connections: &BTreeMap<ConnectionId, Connection>, with_routes: Option<ConnectionId>) {
    poll_fn(|context| {
        let polled =
            connections.iter().map(|(id, connection)| connection.poll_ready(context, with_routes == Some(*id)));
        // All of them are asked, so that each wakes this task.
        let is_ready = polled.fold(false, |before, poll| before | poll.is_ready());
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Does the change ask for another connection than there is?
fn is_carried_otherwise(before: &Session, after: &Session) -> bool {
    Transport::of(before) != Transport::of(after)
        || (&before.neighbor, before.port, before.source) != (&after.neighbor, after.port, after.source)
}

/// A number for this session out of one for the whole process.
pub(crate) fn seed_of(name: &str, seed: u64) -> u64 {
    // FNV-1a: names differ in few bits, seeds should not.
    name.bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
