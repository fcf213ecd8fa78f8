//! The handle.

use std::sync::Arc;

use ironlb_bgp_proto::Routes;
use tokio::sync::{mpsc, oneshot, watch};

use crate::status::Board;
use crate::supervisor::supervise;
use crate::{Leave, Setup, Status};

/// What the supervisor is told.
#[derive(Debug)]
pub(crate) enum Order {
    Configure(Setup),
    Advertise(String, Arc<Routes>),
    Leave(Leave, oneshot::Sender<()>),
}

/// All sessions of this node with its routers. A clone is the same; when the last one is dropped, every task ends and every
/// connection is closed without a word.
#[derive(Debug, Clone)]
pub struct Bgp {
    orders: mpsc::UnboundedSender<Order>,
    board: Arc<Board>,
}

impl Bgp {
    /// Begins, without a session and without a listener, on the runtime of the caller. `seed` is randomness, drawn anew at each
    /// start; `restarted` says that this node's speaker ran before on this boot, so that routers may still hold its routes
    /// (the R bit of RFC 4724).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(seed: u64, restarted: bool) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let board = Arc::new(Board::new());
        tokio::spawn(supervise(inbox, Arc::clone(&board), seed, restarted));
        Self { orders, board }
    }

    /// Everything that is to be, as one value; called again with the same value it does nothing. Sessions appear, change (and are
    /// reset only where they must be) and go. It never blocks and never fails: what cannot be opened is told in the status and
    /// tried again, with back-off.
    pub fn configure(&self, setup: Setup) {
        self.tell(Order::Configure(setup));
    }

    /// What one session's peer is to know from now on; all of it. No OPEN is sent before the first call for a session. For a
    /// session that is not configured (yet) it is kept until the session is.
    pub fn advertise(&self, session: &str, routes: Arc<Routes>) {
        self.tell(Order::Advertise(session.to_owned(), routes));
    }

    /// The sessions and the listener as they stand. Cheap.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.board.read()
    }

    /// Changes whenever the status has.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changes()
    }

    /// Ends everything, within a few seconds.
    pub async fn leave(&self, how: Leave) {
        let (done, ended) = oneshot::channel();
        self.tell(Order::Leave(how, done));
        // An error is an end, too.
        let _ = ended.await;
    }

    /// Returns when all tasks have ended: after [`Bgp::leave`], or before that by a fault of ours.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// The supervisor hears it as long as there is one; after an end there is nothing to be told.
    fn tell(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}
