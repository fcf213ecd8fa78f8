//! Bytes from the peer, message by message, into events.

use std::sync::Arc;

use super::{Counters, Peer, Slot};
use crate::codec::{MessageKind, Notification, Open, RefreshKind, RouteRefresh, UpdateError, inspect, split};
use crate::fsm::Event;
use crate::timers::Timer;
use crate::{ConnectionId, DownReason, Family, Notice, Output, State, negotiate};

/// What a peer may send while our OPEN waits for BFD: an OPEN is never longer.
const HELD_BACK_AT_MOST: usize = 4096;

impl Peer {
    /// Takes in bytes of one connection. What is not a whole message yet is kept; it is never longer than one.
    pub(super) fn receive(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(slot) = self.slot_of(id) else { return };
        let Some(link) = self.fsm_mut(slot).and_then(|fsm| fsm.link.as_mut()) else { return };
        let mut stream = std::mem::take(&mut link.received);
        stream.extend(bytes);
        let mut at = 0;
        // A message may end the connection, or give the other its place: look for it anew each time.
        while let Some(slot) = self.slot_of(id) {
            let rest = stream.get(at..).unwrap_or_default();
            let Some(taken) = self.receive_one(slot, rest) else {
                let kept = rest.to_vec();
                if let Some(link) = self.slot_of(id).and_then(|slot| self.fsm_mut(slot)?.link.as_mut()) {
                    link.received = kept;
                }
                return;
            };
            at += taken;
        }
    }

    /// Takes one message in; `None` when there is no whole one, or it is not to be read yet.
    fn receive_one(&mut self, slot: Slot, stream: &[u8]) -> Option<usize> {
        let fsm = self.fsm(slot)?;
        let waits_for_peer = fsm.timers.is_running(Timer::DelayOpen) && self.may_open();
        if fsm.holds_open_back() && !waits_for_peer {
            if stream.len() > HELD_BACK_AT_MOST {
                self.step(slot, Event::ConnectionFailed);
            }
            return None;
        }
        let frame = match split(stream, fsm.limit()) {
            Ok(frame) => frame?,
            Err(wrong) => {
                self.step(slot, Event::Fault(wrong.into(), wrong.notification()));
                return Some(stream.len());
            }
        };
        Counters::add(&mut self.counters.received, frame.kind);
        match frame.kind {
            MessageKind::Open => self.receive_open(slot, frame.body),
            MessageKind::Update => self.receive_update(slot, frame.body),
            MessageKind::Notification => {
                let notification = Notification::decode(frame.body).unwrap_or(Notification::new(0, 0, Vec::new()));
                self.step(slot, Event::Notification(notification));
            }
            MessageKind::Keepalive => self.step(slot, Event::Keepalive),
            MessageKind::RouteRefresh => self.receive_refresh(slot, frame.body),
        }
        Some(frame.len)
    }

    fn receive_open(&mut self, slot: Slot, body: &[u8]) {
        let open = match Open::decode(body) {
            Ok(open) => open,
            Err(wrong) => return self.step(slot, Event::Fault(wrong.into(), wrong.notification())),
        };
        let negotiated = match negotiate(&self.config, &open) {
            Ok(negotiated) => Arc::new(negotiated),
            Err(refusal) => {
                let notification = refusal.notification(&self.config);
                return self.step(slot, Event::Fault(refusal.into(), notification));
            }
        };
        let is_second = matches!(self.fsm(slot).map(|fsm| fsm.state), Some(State::OpenConfirm | State::Established));
        let id = self.link_of(slot);
        if is_second || self.resolve_collision(slot, &negotiated) {
            // The loser may have given its place to this one.
            if let Some(slot) = id.and_then(|id| self.slot_of(id)) {
                self.step(slot, Event::Open(negotiated));
            }
        }
    }

    fn receive_update(&mut self, slot: Slot, body: &[u8]) {
        let negotiated = self.fsm(slot).filter(|fsm| fsm.state == State::Established);
        let Some(context) = negotiated.and_then(|fsm| fsm.negotiated.as_ref()).map(|agreed| agreed.update_context())
        else {
            return self.step(slot, Event::Update);
        };
        let update = match inspect(body, context) {
            Ok(update) => update,
            Err(wrong) => return self.update_fault(slot, wrong),
        };
        let faults = update.treated_as_withdraw.map(Notice::TreatedAsWithdraw);
        let discarded = update.discarded.iter().copied().map(Notice::AttributeDiscarded);
        let end = update.end_of_rib.map(Notice::EndOfRibReceived);
        self.outputs.extend(faults.into_iter().chain(discarded).chain(end).map(Output::Notice));
        match self.received.count(&update, &self.config) {
            Ok(passed_over) => {
                let notices = passed_over.into_iter().map(Notice::MoreThanCounted);
                self.outputs.extend(notices.map(Output::Notice));
                self.step(slot, Event::Update);
            }
            Err((reason, notification)) => self.step(slot, Event::End(reason, Some(notification))),
        }
    }

    fn update_fault(&mut self, slot: Slot, wrong: UpdateError) {
        let notification = wrong.notification();
        self.step(slot, Event::Fault(DownReason::Update(wrong), notification));
    }

    fn receive_refresh(&mut self, slot: Slot, body: &[u8]) {
        if self.fsm(slot).is_none_or(|fsm| fsm.state != State::Established) {
            return self.step(slot, Event::RouteRefresh);
        }
        let refresh = match RouteRefresh::decode(body) {
            Ok(refresh) => refresh,
            Err(wrong) => {
                let notification = wrong.notification();
                return self.step(slot, Event::Fault(wrong.into(), notification));
            }
        };
        self.step(slot, Event::RouteRefresh);
        //= https://www.rfc-editor.org/rfc/rfc2918#section-4
        //# If a BGP speaker receives from its peer a ROUTE-REFRESH message with
        //# the <AFI, SAFI> that the speaker didn't advertise to the peer at the
        //# session establishment time via capability advertisement, the speaker
        //# shall ignore such a message.
        let family = Family::from_numbers(refresh.afi, refresh.safi).filter(|family| self.carries(*family));
        let notice = match (refresh.kind, family) {
            (RefreshKind::Request, Some(family)) if self.rib_out.refresh(family) => Notice::RefreshRequested(family),
            // The marks are about routes of the peer's, of which none is kept.
            _ => Notice::Ignored(MessageKind::RouteRefresh),
        };
        self.outputs.push_back(Output::Notice(notice));
    }
}
