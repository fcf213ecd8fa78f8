//! Layer 2 as a machine: which frames to send for the vips that one interface answers for.
//!
//! What it does:
//! - takes Ethernet and ARP frames apart and puts them together ([`packet`]);
//! - answers ARP requests for the vips of one interface, notices when a stranger claims one of them, and stops by itself when the
//!   node's right to own vips has run out ([`Responder`]);
//! - plans the gratuitous announcements of a vip that was gained, paced so that no switch throws them away ([`Schedule`]).
//!
//! What it does not do: no socket, no clock, no thread (crate `layer2` has those). It decides neither which vips this node owns nor
//! what a foreign claim means: a claim by another member of the cluster and one by a stranger look the same from here.
//!
//! Standards: RFC 826 (answering; nothing is learnt from anyone), RFC 5227 §2.3 to §2.5 (announcing, noticing conflicts, answering
//! probes). Left out for now: RFC 5227's own probing and defence, and Neighbour Discovery; [`serves`] says which family is there.
//!
//! # The contract of the machine
//!
//! 1. [`Responder::handle_input`] is the only way in, [`Responder::poll_output`] the only way out; outputs are taken until `None`
//!    after every call that hands something in.
//! 2. [`Responder::poll_timeout`] is asked after the outputs are drained; at that moment, or earlier at will,
//!    [`Responder::handle_timeout`] is called.
//! 3. `now` never goes backwards; a smaller one is taken as the largest seen.
//!
//! Invariants:
//! - nothing is sent for a vip that is not in the last [`Input::SetVips`], nor at or after the moment of the last
//!   [`Input::ValidUntil`];
//! - a frame of this host's own is never answered and never a claim;
//! - every frame handed in is either answered or ignored for one [`DropReason`]; no byte sequence panics;
//! - memory is bounded by the number of vips, whatever arrives.
//!
//! Start reading at [`Responder`].

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod announcement;
mod drop_reason;
pub mod packet;
mod rate;
mod responder;

pub use announcement::{SPACING, Schedule};
pub use drop_reason::DropReason;
pub use rate::Rate;
pub use responder::{Config, Input, Output, PacketType, Purpose, Responder};

use ironlb_model::IpFamily;

/// Is a vip of this family answered and announced? IPv6 is not yet: such a vip is accepted by the machine and left alone.
#[must_use]
pub const fn serves(family: IpFamily) -> bool {
    match family {
        IpFamily::V4 => true,
        IpFamily::V6 => false,
    }
}
