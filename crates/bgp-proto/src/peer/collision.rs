//! Of two connections to one peer one stays (RFC 4271 §6.8).

use std::time::Duration;

use super::{Peer, Slot};
use crate::fsm::{Event, Fsm, Initiator};
use crate::{DownReason, Negotiated, State};

/// A session this old is no rival that came up while a second connection was on its way: a peer that can restart, and opens a
/// new one, has lost it. Chosen, because an exchange of OPENs takes a few round trips.
const RIVALS_APART: Duration = Duration::from_secs(3);

impl Peer {
    /// A valid OPEN came on the connection in `slot`. True if that one goes on; the loser has been closed.
    pub(super) fn resolve_collision(&mut self, slot: Slot, negotiated: &Negotiated) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
        //# Upon receipt of an OPEN message, the local system MUST examine all of
        //# its connections that are in the OpenConfirm state.
        let other = slot.other();
        let Some(rival) = self.fsm(other) else { return true };
        let is_winner = match rival.state {
            State::OpenConfirm => self.wins(slot, rival, negotiated),
            State::Established => {
                //= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
                //# Unless allowed via configuration, a connection collision with an
                //# existing BGP connection that is in the Established state causes
                //# closing of the newly created connection.
                //
                // A peer that can restart has then lost the session: its routes are not ours to keep, and it waits for ours
                // (RFC 4724 §5). We believe it when it says an OPEN, not when it merely connects.
                let can_restart = rival.negotiated.as_ref().is_some_and(|agreed| agreed.graceful_restart.is_some());
                let age = rival.established_at.map(|since| self.now.since(since)).unwrap_or_default();
                if can_restart && age >= RIVALS_APART {
                    //= https://www.rfc-editor.org/rfc/rfc4724#section-4.2
                    //# the previous TCP session MUST be closed, and the new one retained.
                    self.step(other, Event::End(DownReason::PeerRestarted, None));
                    return true;
                }
                false
            }
            State::Idle | State::Active | State::Connect | State::OpenSent => return true,
        };
        //= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
        //# In the event of connection collision, one of the connections MUST be closed.
        let loser = if is_winner { other } else { slot };
        self.step(loser, Event::CollisionDump);
        is_winner
    }

    /// Is the connection in `slot`, on which an OPEN came, the one that both ends keep?
    ///
    /// Both ends see the same two connections, each with its initiator, and the same two identifiers: the one opened by the
    /// speaker with the higher identifier stays. Where the identifiers are equal, in two autonomous systems, the higher system
    /// decides (RFC 6286 §2.3).
    fn wins(&self, slot: Slot, rival: &Fsm, negotiated: &Negotiated) -> bool {
        let initiator = self.fsm(slot).and_then(|fsm| fsm.link.as_ref()).map(|link| link.initiator);
        let rivals = rival.link.as_ref().map(|link| link.initiator);
        if initiator == rivals {
            // The peer opened both: the one it wants is the later one.
            return self.link_of(slot) > rival.link.as_ref().map(|link| link.id);
        }
        //= https://www.rfc-editor.org/rfc/rfc4271#section-6.8
        //# If the value of the local BGP Identifier is less than the remote one,
        //# the local system closes the BGP connection that already exists (the
        //# one that is already in the OpenConfirm state), and accepts the BGP
        //# connection initiated by the remote system.
        let ours = (negotiated.local_id, negotiated.local_as);
        let we_decide = ours > (negotiated.peer_id, negotiated.peer_as);
        (initiator == Some(Initiator::Us)) == we_decide
    }
}
