//! What a datagram does to a session: RFC 5880 §6.8.6, in its order.

use super::{Cause, Output, Session};
use crate::packet::Packet;
use crate::{Diagnostic, DropReason, State};

impl Session {
    /// Takes a datagram that may be for this session.
    pub(super) fn receive(&mut self, payload: &[u8], ttl: u8) -> Result<(), DropReason> {
        let packet = Packet::decode(payload)?;
        if packet.your_discriminator.is_some_and(|ours| ours != self.local) {
            return Err(DropReason::UnknownDiscriminator);
        }
        Self::has_reason(&packet)?;
        self.accept(&packet, payload, ttl)
    }

    //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
    //# If the Your Discriminator field is zero and the State field is not
    //# Down or AdminDown, the packet MUST be discarded.
    pub(crate) fn has_reason(packet: &Packet) -> Result<(), DropReason> {
        match (packet.your_discriminator, packet.state) {
            (None, State::Init | State::Up) => Err(DropReason::StateWithoutDiscriminator),
            _ => Ok(()),
        }
    }

    /// Takes a packet that is for this session and was decoded from `payload`.
    fn accept(&mut self, packet: &Packet, payload: &[u8], ttl: u8) -> Result<(), DropReason> {
        //= https://www.rfc-editor.org/rfc/rfc5881#section-5
        //# All received BFD Control packets that
        //# are demultiplexed to the session MUST be discarded if the received
        //# TTL or Hop Limit is not equal to 255.
        //
        // A session that is signed may, and does, the same; several hops have a limit of their own.
        if ttl < self.config.hops.least_ttl() {
            return Err(DropReason::Ttl);
        }
        self.authenticate(packet, payload)?;

        self.remote.discriminator = Some(packet.my_discriminator);
        self.remote.state = packet.state;
        self.remote.diagnostic = packet.diagnostic;
        self.remote.demand = packet.demand;
        self.remote.required_min_rx = packet.required_min_rx;
        self.remote.desired_min_tx = packet.desired_min_tx;
        self.remote.detect_mult = Some(packet.detect_mult);
        self.remote.control_plane_independent = packet.control_plane_independent;
        if self.poll.received(packet.is_final) {
            self.in_force = self.told;
            self.outputs.push_back(Output::PollEnded);
        }
        self.heard_at = self.now;
        // The Detection Time by what this packet says; the transmit interval follows when the next packet is scheduled.
        self.renew_detection();

        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If bfd.SessionState is AdminDown
        //#
        //#     Discard the packet
        if self.state == State::AdminDown {
            return Err(DropReason::AdminDown);
        }
        self.advance(packet.state);
        if packet.poll {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
            //# If a BFD Control packet is received with the Poll (P) bit set to 1,
            //# the receiving system MUST transmit a BFD Control packet with the Poll
            //# (P) bit clear and the Final (F) bit set as soon as practicable,
            //# without respect to the transmission timer or any other transmission
            //# limitations, without respect to the session state, and without
            //# respect to whether Demand mode is active on either system.
            self.send_final();
        }
        Ok(())
    }

    fn authenticate(&mut self, packet: &Packet, payload: &[u8]) -> Result<(), DropReason> {
        match &self.config.authentication {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
            //# If the A bit is set and no authentication is in use (bfd.AuthType
            //# is zero), the packet MUST be discarded.
            None if packet.section.is_some() => Err(DropReason::UnexpectedAuthentication),
            None => Ok(()),
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
            //# If the A bit is clear and authentication is in use (bfd.AuthType
            //# is nonzero), the packet MUST be discarded.
            //
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
            //# If the A bit is set, the packet MUST be authenticated under the
            //# rules of section 6.7, based on the authentication type in use
            //# (bfd.AuthType).
            Some(authentication) => authentication.judge(packet, payload, &mut self.sequences),
        }
    }

    /// The state machine: what the peer's state does to ours.
    fn advance(&mut self, received: State) {
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If received state is AdminDown
        //#     If bfd.SessionState is not Down
        //#         Set bfd.LocalDiag to 3 (Neighbor signaled
        //#             session down)
        //#         Set bfd.SessionState to Down
        //#
        //# Else
        //#
        //#     If bfd.SessionState is Down
        //#         If received State is Down
        //#             Set bfd.SessionState to Init
        //#         Else if received State is Init
        //#             Set bfd.SessionState to Up
        //#
        //#     Else if bfd.SessionState is Init
        //#         If received State is Init or Up
        //#             Set bfd.SessionState to Up
        //#
        //#     Else (bfd.SessionState is Up)
        //#         If received State is Down
        //#             Set bfd.LocalDiag to 3 (Neighbor signaled session down)
        //#             Set bfd.SessionState to Down
        let (to, cause) = match (self.state, received) {
            (State::Init | State::Up, State::AdminDown) => (State::Down, Cause::NeighborAdminDown),
            (State::Up, State::Down) => (State::Down, Cause::NeighborDown),
            (State::Down, State::Down) => (State::Init, Cause::Handshake),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => (State::Up, Cause::Handshake),
            (State::AdminDown, _)
            | (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => return,
        };
        let diagnostic = match to {
            // Until it is Up the peer may still be told why it went down.
            State::Init | State::AdminDown => self.diagnostic,
            State::Down => Diagnostic::NEIGHBOR_SIGNALED_DOWN,
            State::Up => Diagnostic::NONE,
        };
        self.change(to, diagnostic, cause);
    }
}
