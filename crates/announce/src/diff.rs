//! From what is done to what is wanted: the actions of a speaker, all of them.

use std::net::IpAddr;

use ironlb_model::{InterfaceName, ServiceId, SpeakerReport, Timestamp};

use crate::{Announcements, Applied, LocalView};

/// How long a report stands before the next one. Chosen: 100 speakers then write at most 50 times a second.
pub const REPORT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);

/// Something a speaker does to the world.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a round has one report at most")]
pub enum Action {
    /// Stop answering for this vip on this interface.
    StopAnswering {
        /// The vip.
        vip: IpAddr,
        /// The interface it was answered on.
        interface: InterfaceName,
    },
    /// Answer for this vip on this interface from now on, and announce it.
    Answer {
        /// The vip.
        vip: IpAddr,
        /// The interface.
        interface: InterfaceName,
        /// The Service it is for.
        service: ServiceId,
    },
    /// Write this into the Speaker object.
    Report(SpeakerReport),
}

/// The actions that lead from `applied` to `desired`, in the order in which they are carried out: what stops comes first.
///
/// A vip is answered while it is both desired here and confirmed as ours; a report is made when it differs from the last one and
/// that one is [`REPORT_INTERVAL`] old.
#[must_use]
pub fn diff(applied: &Applied, desired: &Announcements, view: &LocalView, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    let wanted = |vip: &IpAddr| desired.layer2.get(vip).filter(|_| view.may_answer.contains(vip));
    for (vip, interface) in &applied.answering {
        if wanted(vip).is_none_or(|spec| spec.interface != *interface) {
            actions.push(Action::StopAnswering { vip: *vip, interface: interface.clone() });
        }
    }
    for (vip, spec) in &desired.layer2 {
        if view.may_answer.contains(vip) && applied.answering.get(vip) != Some(&spec.interface) {
            let (interface, service) = (spec.interface.clone(), spec.service.clone());
            actions.push(Action::Answer { vip: *vip, interface, service });
        }
    }
    if report_due(applied, desired).is_some_and(|due| due <= now) {
        actions.push(Action::Report(desired.report.clone()));
    }
    actions
}

/// When the report is to be written; `None` while the last one still says what there is to say.
pub(crate) fn report_due(applied: &Applied, desired: &Announcements) -> Option<Timestamp> {
    match &applied.report {
        None => Some(Timestamp::ZERO),
        Some((last, at)) => (*last != desired.report).then(|| *at + REPORT_INTERVAL),
    }
}

impl Applied {
    /// Writes down an action that was carried out at `now`.
    pub fn record(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::StopAnswering { vip, .. } => {
                self.answering.remove(vip);
            }
            Action::Answer { vip, interface, .. } => {
                self.answering.insert(*vip, interface.clone());
            }
            Action::Report(report) => self.report = Some((report.clone(), now)),
        }
    }
}
