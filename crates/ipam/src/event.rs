//! What people are told, once.

use ironlb_model::ObjectRef;

/// Whether an Event is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// Something happened as it should.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    /// The API's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// A Kubernetes Event to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The object it is about.
    pub object: ObjectRef,
    /// That object's uid.
    pub uid: String,
    /// Good or bad.
    pub kind: EventType,
    /// The reason, as OpenELB names it.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// Normal, on a BgpPeer: nodes have a session with it again, or for the first time.
pub(crate) const SESSION_UP: &str = "SessionUp";
/// Warning, on a BgpPeer: nodes have lost their session with it.
pub(crate) const SESSION_DOWN: &str = "SessionDown";
/// Normal: an address was given.
pub(crate) const ASSIGN_IP: &str = "AssignIP";
/// Warning: an address could not be given.
pub(crate) const ASSIGN_IP_FAILED: &str = "AssignIPFailed";
/// Normal: an address was given back.
pub(crate) const RELEASE_IP: &str = "ReleaseIP";
/// Warning: no Eip could be chosen.
pub(crate) const CONSTRUCT_REQUEST: &str = "ConstructRequest";
/// Warning: the server refuses what is to be written on the Service.
pub(crate) const UPDATE_SERVICE_STATUS: &str = "UpdateServiceStatus";
/// Normal, on an Eip: what OpenELB gave out of it is ironlb's to keep from now on.
pub(crate) const TAKEN_OVER: &str = "TakenOver";
/// Warning, on an Eip: a host outside the cluster claims an address of it.
pub(crate) const CONFLICT: &str = "Conflict";
/// Warning, on an Eip: nodes that advertise an aggregate of it have no discard route for it.
pub(crate) const DISCARD_ROUTE_MISSING: &str = "DiscardRouteMissing";
/// Normal or Warning: the address is announced, or not.
pub(crate) const SET_BALANCER: &str = "SetBalancer";
