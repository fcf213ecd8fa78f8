//! Numbers out of the registries at <https://www.iana.org/assignments/bfd-parameters/>, and the ports and TTL of the RFCs.

use std::fmt;
use std::ops::RangeInclusive;

//= https://www.rfc-editor.org/rfc/rfc5881#section-4
//# BFD Control packets MUST be transmitted in UDP packets with
//# destination port 3784, within an IPv4 or IPv6 packet.
/// Where packets of sessions over one hop are sent to (RFC 5881 §4).
pub const SINGLE_HOP_PORT: u16 = 3784;

/// Where packets of sessions over several hops are sent to (RFC 5883 §5).
pub const MULTI_HOP_PORT: u16 = 4784;

//= https://www.rfc-editor.org/rfc/rfc5881#section-4
//# The source port MUST be in the range 49152 through 65535.
/// Which ports packets are sent from (RFC 5881 §4).
pub const SOURCE_PORTS: RangeInclusive<u16> = 49152..=65535;

//= https://www.rfc-editor.org/rfc/rfc5881#section-5
//# If BFD authentication is not in use on a session, all BFD Control
//# packets for the session MUST be sent with a Time to Live (TTL) or Hop
//# Limit value of 255.
/// The TTL or hop limit that packets are sent with. RFC 5881 §5 wants it over one hop; over several it lets the peer tell how many.
pub const TTL: u8 = 255;

/// What one side says of a session (RFC 5880 §4.1, "Sta").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum State {
    /// Held down on purpose; says nothing about the path.
    AdminDown,
    /// No session, or none any more.
    #[default]
    Down,
    /// The peer is heard; whether it hears us is not known yet.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    /// The two bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    /// From the two lowest bits; there is a state for each.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::AdminDown => "admin_down",
            Self::Down => "down",
            Self::Init => "init",
            Self::Up => "up",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// Why a side's state last changed, as it tells the other (RFC 5880 §4.1, "Diag"): any five bits, since peers may be newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing to tell.
    pub const NONE: Self = Self(0);
    /// Nothing was heard for the Detection Time.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// Echo packets did not come back.
    pub const ECHO_FAILED: Self = Self(2);
    /// The other side said that the session is down.
    pub const NEIGHBOR_SIGNALED_DOWN: Self = Self(3);
    /// What was forwarded so far may not be forwarded any more.
    pub const FORWARDING_PLANE_RESET: Self = Self(4);
    /// Something other than BFD found the path broken.
    pub const PATH_DOWN: Self = Self(5);
    /// A path that this one leads on to is broken.
    pub const CONCATENATED_PATH_DOWN: Self = Self(6);
    /// Somebody wanted it so.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);
    /// A path that leads to this one is broken.
    pub const REVERSE_CONCATENATED_PATH_DOWN: Self = Self(8);

    /// From the five lowest bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1_1111)
    }

    /// The five bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The words of RFC 5880 §4.1.
        let words = match *self {
            Self::NONE => "No Diagnostic",
            Self::DETECTION_TIME_EXPIRED => "Control Detection Time Expired",
            Self::ECHO_FAILED => "Echo Function Failed",
            Self::NEIGHBOR_SIGNALED_DOWN => "Neighbor Signaled Session Down",
            Self::FORWARDING_PLANE_RESET => "Forwarding Plane Reset",
            Self::PATH_DOWN => "Path Down",
            Self::CONCATENATED_PATH_DOWN => "Concatenated Path Down",
            Self::ADMINISTRATIVELY_DOWN => "Administratively Down",
            Self::REVERSE_CONCATENATED_PATH_DOWN => "Reverse Concatenated Path Down",
            Self(other) => return write!(f, "diagnostic {other}"),
        };
        f.write_str(words)
    }
}
