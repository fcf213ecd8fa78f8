//! Why a frame was not answered.

/// Why a frame was not answered; each frame that is not answered has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Sent by this host: an echo, or a request of its own that came back through a second interface on the same LAN.
    OwnFrame,
    /// Addressed to another station, or to a group other than everyone.
    OtherHost,
    /// Too short for what it says it is.
    Truncated,
    /// Not ARP.
    NotArp,
    /// ARP for other than IPv4 over Ethernet.
    NotIpv4OverEthernet,
    /// The interface has no Ethernet address that could be answered with, or it is not known yet.
    NoMac,
    /// The sender's address is a group's or zero; an answer would go to many, or to nobody.
    SenderNotUnicast,
    /// A reply; there is nothing to answer.
    Reply,
    /// An operation other than request and reply.
    UnknownOperation,
    /// Another station says that it has a vip of ours; a claim, reported as such.
    ForeignClaim,
    /// A request for an address that is not a vip of this interface.
    NotOurs,
    /// A request for a vip of ours after the time until which this node may own vips.
    Fenced,
    /// This sender asks more often than a sane host does.
    RateLimitedSource,
    /// All senders together ask more than this node is ready to answer.
    RateLimitedTotal,
}

impl DropReason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::OwnFrame,
        Self::OtherHost,
        Self::Truncated,
        Self::NotArp,
        Self::NotIpv4OverEthernet,
        Self::NoMac,
        Self::SenderNotUnicast,
        Self::Reply,
        Self::UnknownOperation,
        Self::ForeignClaim,
        Self::NotOurs,
        Self::Fenced,
        Self::RateLimitedSource,
        Self::RateLimitedTotal,
    ];

    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::OwnFrame => "own_frame",
            Self::OtherHost => "other_host",
            Self::Truncated => "truncated",
            Self::NotArp => "not_arp",
            Self::NotIpv4OverEthernet => "not_ipv4_over_ethernet",
            Self::NoMac => "no_mac",
            Self::SenderNotUnicast => "sender_not_unicast",
            Self::Reply => "reply",
            Self::UnknownOperation => "unknown_operation",
            Self::ForeignClaim => "foreign_claim",
            Self::NotOurs => "not_ours",
            Self::Fenced => "fenced",
            Self::RateLimitedSource => "rate_limited_source",
            Self::RateLimitedTotal => "rate_limited_total",
        }
    }

    /// Its place in [`DropReason::ALL`], for a counter per reason.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_a_name_of_its_own() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
        let names: std::collections::BTreeSet<_> = DropReason::ALL.map(DropReason::category).into();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
