//! Which nodes count as alive, and which of them claims which vip, by Leases (`--membership=lease`).
//!
//! What it does: each node has one Lease. Its speaker renews it every second and writes into it which vips it claims, each with an
//! epoch. [`Membership`] is one speaker's part: it judges from the Leases of the others who is alive, claims what the election
//! gives this node and nobody has, and says for which vips, and until when, this node may answer.
//!
//! What it does not do: it elects nobody (crate `announce` decides who should own what; see [`Input::Wanted`]), writes nothing,
//! reads no clock and draws no number ([`Incarnation`] is handed in).
//!
//! Invariants:
//! - a vip is answered only while it stands in our own Lease, that write was acknowledged, and a list begun after the
//!   acknowledgement showed no other node alive that claims it;
//! - answering ends before a claim is written away, and before others may count this node out;
//! - of several claims on a vip exactly one has no reason to yield ([`wins`]);
//! - another node is never declared dead by comparing clocks, nor while the API server does not serve us;
//! - a process that was stopped answers nothing on waking until its claims are renewed and confirmed.
//!
//! `docs/design/membership-lease.md` gives the reasons and the windows that remain.
//!
//! # The contract of the machine
//!
//! 1. [`Membership::handle_input`] is the only way in, [`Membership::poll_output`] the only way out; outputs are taken until `None`
//!    after every call, and carried out in order.
//! 2. [`Membership::poll_timeout`] is asked after the outputs are drained; at that moment, or earlier at will,
//!    [`Membership::handle_timeout`] is called.
//! 3. `now` never goes backwards; a smaller one is taken as the largest seen. It counts time spent suspended, and is read when the input
//!    has arrived: a list begun before an acknowledgement must not look as if it were begun after.
//! 4. After every call [`Membership::valid_until`] is handed to whoever answers frames, who compares it with the clock at every
//!    frame.
//!
//! Start reading at [`Membership`].

#![forbid(unsafe_code)]

mod claims;
mod fence;
mod input;
mod lease;
mod machine;
mod output;
mod own;
mod resumed;
mod timing;
mod view;

pub use claims::{Claims, Epoch, wins};
pub use input::{Input, RenewFailure};
pub use lease::{Incarnation, LeaseWrite, SeenLease};
pub use machine::{Config, Membership, Standing};
pub use output::{Notice, Output};
pub use resumed::Resumed;
pub use timing::Timing;
