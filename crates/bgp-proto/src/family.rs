//! The two families of routes that are spoken here.

use std::fmt;

use ironlb_model::{IpFamily, Prefix};

/// A family of routes: what BGP calls an `<AFI, SAFI>` pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 unicast, 1/1.
    Ipv4Unicast,
    /// IPv6 unicast, 2/1.
    Ipv6Unicast,
}

impl Family {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ipv4Unicast, Self::Ipv6Unicast];

    /// The family a prefix belongs to.
    #[must_use]
    pub const fn of(prefix: Prefix) -> Self {
        match prefix {
            Prefix::V4(_) => Self::Ipv4Unicast,
            Prefix::V6(_) => Self::Ipv6Unicast,
        }
    }

    /// The numbers as they stand on the wire (IANA: Address Family Numbers, SAFI).
    #[must_use]
    pub const fn numbers(self) -> (u16, u8) {
        match self {
            Self::Ipv4Unicast => (1, 1),
            Self::Ipv6Unicast => (2, 1),
        }
    }

    /// The family of these numbers, if it is one of ours.
    #[must_use]
    pub const fn from_numbers(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::Ipv4Unicast),
            (2, 1) => Some(Self::Ipv6Unicast),
            _ => None,
        }
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub const fn ip(self) -> IpFamily {
        match self {
            Self::Ipv4Unicast => IpFamily::V4,
            Self::Ipv6Unicast => IpFamily::V6,
        }
    }

    /// Its name as a metric label and in conditions.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Ipv4Unicast => "ipv4-unicast",
            Self::Ipv6Unicast => "ipv6-unicast",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.category())
    }
}
