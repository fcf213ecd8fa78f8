//! When packets are sent, and what they say: RFC 5880 §6.8.2, §6.8.7.

use std::time::Duration;

use ironlb_model::Timestamp;

use super::{Output, Session};
use crate::Role;
use crate::packet::Packet;

/// When the next periodic packet is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Periodic {
    /// When a packet last was sent, other than as the answer to a poll.
    pub(super) last: Option<Timestamp>,
    /// The moment, and the interval in microseconds that it was reckoned by.
    pub(super) next: Option<(Timestamp, u64)>,
    /// A packet is wanted at once.
    hurry: bool,
}

impl Periodic {
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.next.map(|(at, _)| at)
    }

    /// Asks for a packet ahead of its time.
    pub(super) fn hurry(&mut self) {
        self.hurry = true;
    }
}

impl Session {
    //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
    //# With the exceptions listed in the remainder of this section, a system
    //# MUST NOT transmit BFD Control packets at an interval less than the
    //# larger of bfd.DesiredMinTxInterval and bfd.RemoteMinRxInterval, less
    //# applied jitter (see below).
    pub(super) fn transmit_micros(&self) -> u64 {
        self.in_force.tx.max(self.remote.required_min_rx).into()
    }

    /// May packets be sent at all, unasked?
    fn may_send(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
        //# A system MUST NOT transmit BFD Control packets if bfd.RemoteDiscr is
        //# zero and the system is taking the Passive role.
        self.config.role == Role::Active || self.remote.discriminator.is_some()
    }

    /// Are packets sent periodically?
    pub(super) fn is_periodic(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
        //# A system MUST NOT periodically transmit BFD Control packets if
        //# bfd.RemoteMinRxInterval is zero.
        let is_wanted = self.remote.required_min_rx != 0;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
        //# A system MUST NOT periodically transmit BFD Control packets if Demand
        //# mode is active on the remote system (bfd.RemoteDemandMode is 1,
        //# bfd.SessionState is Up, and bfd.RemoteSessionState is Up) and a Poll
        //# Sequence is not being transmitted.
        let is_quiet = self.is_remote_in_demand_mode() && !self.poll.is_active();
        self.may_send() && is_wanted && !is_quiet
    }

    /// Brings the moment of the next packet in line with what has changed.
    pub(super) fn reschedule(&mut self) {
        let interval = self.transmit_micros();
        if !self.is_periodic() {
            self.periodic.next = None;
        } else if self.periodic.next.is_none_or(|(_, reckoned)| reckoned != interval) {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
            //# The transmit interval MUST be recalculated whenever
            //# bfd.DesiredMinTxInterval changes, or whenever bfd.RemoteMinRxInterval
            //# changes, and is equal to the greater of those two values.
            //
            // Reckoned from the last packet, so a reduced one is honored at once (§6.8.3) and none is sent too early.
            let at = self.periodic.last.map_or(self.now, |last| last + self.jittered(interval));
            self.periodic.next = Some((at.max(self.now), interval));
        }
    }

    /// Sends if it is time, or if a change of state cannot wait.
    pub(super) fn send_due(&mut self) {
        let is_due = self.periodic.due().is_some_and(|at| at <= self.now);
        let is_hurried = std::mem::take(&mut self.periodic.hurry) && self.may_send();
        if !is_due && !is_hurried {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.5
        //# If periodic BFD Control packets are already being sent (the remote
        //# system is not in Demand mode), the Poll Sequence MUST be performed by
        //# setting the Poll (P) bit on those scheduled periodic transmissions;
        //# additional packets MUST NOT be sent.
        let poll = self.poll.is_active();
        self.send(poll, false);
        self.poll.sent();
        self.periodic.last = Some(self.now);
        self.periodic.next = None;
        self.reschedule();
    }

    /// Answers a poll.
    pub(super) fn send_final(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.5
        //# A BFD Control packet MUST NOT have both the Poll (P) and Final (F)
        //# bits set.
        self.send(false, true);
    }

    fn send(&mut self, poll: bool, is_final: bool) {
        let packet = Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll,
            is_final,
            control_plane_independent: self.config.control_plane_independent,
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
            //# A system MUST NOT set the Demand (D) bit unless bfd.DemandMode is 1,
            //# bfd.SessionState is Up, and bfd.RemoteSessionState is Up.
            demand: false,
            detect_mult: self.config.detect_mult,
            my_discriminator: self.local,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.told.tx,
            required_min_rx: self.told.rx,
            // None is looped back here.
            required_min_echo_rx: 0,
            section: None,
        };
        let bytes = match &self.config.authentication {
            None => packet.encode(),
            Some(authentication) => {
                //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
                //# For Meticulous Keyed SHA1, bfd.XmitAuthSeq MUST be incremented in a
                //# circular fashion (when treated as an unsigned 32-bit value).
                //
                // The other kind may, and does the same: nobody can send an old packet again for long.
                let bytes = authentication.sign(&packet, self.sequences.next);
                self.sequences.next = self.sequences.next.wrapping_add(1);
                bytes
            }
        };
        self.outputs.push_back(Output::Send(bytes));
    }

    /// The time to the next packet: an interval in microseconds, shortened at random.
    fn jittered(&mut self, interval: u64) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
        //# The periodic transmission of BFD Control packets MUST be jittered on
        //# a per-packet basis by up to 25%, that is, the interval MUST be
        //# reduced by a random value of 0 to 25%, in order to avoid self-
        //# synchronization with other systems on the same subnetwork.
        let nanos = interval.saturating_mul(1000);
        let least = nanos / 4 * 3;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.7
        //# If bfd.DetectMult is equal to 1, the interval between transmitted BFD
        //# Control packets MUST be no more than 90% of the negotiated
        //# transmission interval, and MUST be no less than 75% of the negotiated
        //# transmission interval.
        let most = if self.config.detect_mult.get() == 1 { nanos / 10 * 9 } else { nanos };
        Duration::from_nanos(self.random.between(least, most))
    }
}
