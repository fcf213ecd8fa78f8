//! Carries actions out: the only file that writes to the API server.

use ironlb_ipam::{self as ipam, Action, Event, EventType};
use ironlb_k8s::{Outcome, Telling, Tone, Writer};
use ironlb_model::Issue;

/// Carries out one action other than an Event, and says what became of it.
pub(crate) async fn act(writer: &Writer, action: Action) -> Outcome {
    match action {
        Action::PatchService(patch) => writer.patch_service(&patch).await,
        Action::PatchEip(patch) => writer.patch_eip(&patch).await,
        Action::PatchObject(patch) => writer.patch_conditions(&patch).await,
        Action::RemoveFinalizer { object, version } => writer.remove_finalizer(&object, version).await,
        Action::RemoveKeys { object, version, nodes } => writer.remove_keys(&object, &nodes, version).await,
        Action::DeleteSpeaker(node) => writer.delete_speaker(&node).await,
        Action::Emit(event) => {
            let message = format!("an Event is not a write on its object ({})", event.reason);
            Outcome::Refused { code: 0, message }
        }
    }
}

/// What the decision has to know of an outcome.
pub(crate) fn told(outcome: Outcome) -> ipam::Outcome {
    match outcome {
        Outcome::Written { version } => ipam::Outcome::Written { version },
        Outcome::Unchanged { .. } => ipam::Outcome::Unchanged,
        Outcome::Conflict => ipam::Outcome::Conflict,
        Outcome::Gone => ipam::Outcome::Gone,
        // Too many requests: it was not carried out, and the object has no part in it.
        Outcome::Refused { code: 429, .. } | Outcome::Unreachable { .. } => ipam::Outcome::NotSent,
        Outcome::Refused { message, .. } => ipam::Outcome::Refused { message },
        Outcome::Unknown { .. } => ipam::Outcome::Unknown,
    }
}

/// An Event as it is told.
pub(crate) fn telling(event: Event) -> Telling {
    let Event { object, uid, kind, reason, message } = event;
    let tone = match kind {
        EventType::Normal => Tone::Normal,
        EventType::Warning => Tone::Warning,
    };
    Telling { object, uid, tone, reason: reason.to_owned(), message }
}

/// What is told of an object that cannot be read.
pub(crate) fn telling_unreadable(issue: Issue, uid: String) -> Telling {
    let Issue { object, message, .. } = issue;
    Telling { object, uid, tone: Tone::Warning, reason: "Unreadable".to_owned(), message }
}
