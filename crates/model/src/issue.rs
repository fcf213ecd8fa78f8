//! A fault in a user's object.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{EipName, NodeName, ServiceId};

/// The object an [`Issue`] is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ObjectRef {
    /// A Service.
    Service(ServiceId),
    /// An Eip.
    Eip(EipName),
    /// A BgpConf.
    BgpConf(String),
    /// A BgpPeer.
    BgpPeer(String),
    /// A Node.
    Node(NodeName),
    /// A Speaker, by its node.
    Speaker(NodeName),
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(id) => write!(f, "Service {id}"),
            Self::Eip(name) => write!(f, "Eip {name}"),
            Self::BgpConf(name) => write!(f, "BgpConf {name}"),
            Self::BgpPeer(name) => write!(f, "BgpPeer {name}"),
            Self::Node(name) => write!(f, "Node {name}"),
            Self::Speaker(name) => write!(f, "Speaker {name}"),
        }
    }
}

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IssueReason {
    /// A field's text does not follow its grammar.
    InvalidField,
    /// The object could not be read as its kind at all.
    Unreadable,
    /// Both spellings of a field are set and disagree; the v1alpha2 one counts.
    SpellingsDisagree,
    /// The object is accepted and not used (a BgpConf under another name than `default`).
    Ignored,
}

impl IssueReason {
    /// The reason's name in conditions, Events and metric labels.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::InvalidField => "InvalidField",
            Self::Unreadable => "Unreadable",
            Self::SpellingsDisagree => "SpellingsDisagree",
            Self::Ignored => "Ignored",
        }
    }
}

/// A fault in a user's object: which field, what is wrong, how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Issue {
    /// The object.
    pub object: ObjectRef,
    /// The field's path, such as `spec.address` or `metadata.annotations[...]`.
    pub field: String,
    /// The kind of fault.
    pub reason: IssueReason,
    /// A sentence that says what is wrong and what to write instead.
    pub message: String,
}
