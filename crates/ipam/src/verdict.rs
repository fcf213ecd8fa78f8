//! What is decided about one Service.

use std::net::IpAddr;

use ironlb_model::{EipName, ServiceId};

use crate::eligible::Standing;
use crate::reason::Reason;

/// A vip of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// The Eip it is from; none when it is in no Eip any more.
    pub eip: Option<EipName>,
    /// The Service does not hold it yet.
    pub is_new: bool,
    /// The Service that held it first, where this one shares it.
    pub shared_with: Option<ServiceId>,
}

/// A verdict in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Not ours, and nothing of ours is on it.
    NotOurs,
    /// It holds what it shall hold.
    Keep,
    /// It gets an address.
    Assign,
    /// It was ours and is not any more: what it holds is given back.
    Release,
    /// It has none, and the reasons say why.
    Pending,
}

impl Kind {
    /// The word in metric labels and in `explain`.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::NotOurs => "NotOurs",
            Self::Keep => "Keep",
            Self::Assign => "Assign",
            Self::Release => "Release",
            Self::Pending => "Pending",
        }
    }
}

/// What is decided about one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whose it is.
    pub standing: Standing,
    /// The addresses it shall hold, in the order its status shows them.
    pub vips: Vec<Vip>,
    /// The addresses it holds and shall give back.
    pub released: Vec<IpAddr>,
    /// What it asks for and does not get, the most important first.
    pub unmet: Vec<Reason>,
    /// What is amiss although it has what it asks for.
    pub notes: Vec<Reason>,
    /// It was ours or OpenELB's and is not ours now: every trace goes.
    pub leaves: bool,
    /// This controller wrote it and has not seen that come back: nothing is decided until then.
    pub in_flight: bool,
}

impl Verdict {
    /// The verdict on a Service with nothing decided yet.
    pub(crate) fn new(standing: Standing) -> Self {
        Self {
            standing,
            vips: Vec::new(),
            released: Vec::new(),
            unmet: Vec::new(),
            notes: Vec::new(),
            leaves: false,
            in_flight: false,
        }
    }

    /// The verdict in one word.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.standing {
            Standing::NotOurs(_) if self.leaves => Kind::Release,
            Standing::NotOurs(_) => Kind::NotOurs,
            Standing::Ours if self.vips.iter().any(|vip| vip.is_new) => Kind::Assign,
            Standing::Ours if !self.vips.is_empty() => Kind::Keep,
            Standing::Ours => Kind::Pending,
        }
    }

    /// The addresses it shall hold.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.vips.iter().map(|vip| vip.address)
    }
}
