//! What a session is told to be. None of these values can hold what the RFCs forbid.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use crate::authentication::Authentication;

/// The shortest interval between packets while a session is not Up (RFC 5880 §6.8.3).
pub(crate) const SLOW: Interval = Interval(match NonZeroU32::new(1_000_000) {
    Some(micros) => micros,
    None => NonZeroU32::MIN,
});

/// A time between packets: 1 microsecond to about 71 minutes, as the wire has it.
///
/// Zero is not one of them: RFC 5880 reserves it as a wish to send, and as a wish to receive it means "send nothing", which leaves
/// nothing to detect by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(NonZeroU32);

impl Interval {
    /// From milliseconds; `None` for zero and for more than the wire holds.
    #[must_use]
    pub fn from_millis(millis: u32) -> Option<Self> {
        millis.checked_mul(1000).and_then(NonZeroU32::new).map(Self)
    }

    /// In microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u32 {
        self.0.get()
    }

    /// As a length of time.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0.get() as u64)
    }
}

/// A length of time that no [`Interval`] can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an interval is 1 microsecond to 4294.967295 seconds, not {0:?}")]
pub struct OutOfRange(pub Duration);

impl TryFrom<Duration> for Interval {
    type Error = OutOfRange;

    fn try_from(length: Duration) -> Result<Self, OutOfRange> {
        u32::try_from(length.as_micros()).ok().and_then(NonZeroU32::new).map(Self).ok_or(OutOfRange(length))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_duration())
    }
}

/// Who speaks first (RFC 5880 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// We send whether or not the peer does.
    #[default]
    Active,
    /// We send nothing until the peer has.
    Passive,
}

/// How far the peer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hops {
    /// On the same link (RFC 5881): packets must arrive with a TTL of 255.
    Single,
    /// Behind routers (RFC 5883).
    Multi {
        /// The least TTL that a packet may arrive with; 255 less the number of routers between.
        minimum_ttl: u8,
    },
}

impl Hops {
    /// The UDP port that packets are sent to and received on.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Single => crate::SINGLE_HOP_PORT,
            Self::Multi { .. } => crate::MULTI_HOP_PORT,
        }
    }

    pub(crate) const fn least_ttl(self) -> u8 {
        match self {
            Self::Single => crate::TTL,
            Self::Multi { minimum_ttl } => minimum_ttl,
        }
    }
}

/// What a session is told to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How often we would like to send, at most (bfd.DesiredMinTxInterval once the session is Up).
    pub desired_min_tx: Interval,
    /// How often we are willing to receive, at most (bfd.RequiredMinRxInterval).
    pub required_min_rx: Interval,
    /// After so many of our packets missing the peer may take us for gone (bfd.DetectMult).
    pub detect_mult: NonZeroU8,
    /// Who speaks first.
    pub role: Role,
    /// How far the peer may be.
    pub hops: Hops,
    /// Our packets go on when the control plane does not (the C bit; RFC 5882 §4.3 says what a restarting BGP may make of it).
    pub control_plane_independent: bool,
    /// How packets are signed, if they are.
    pub authentication: Option<Authentication>,
}

impl Config {
    /// One that sends and receives each `interval`, over one hop, active, unsigned, with control and data plane sharing their fate.
    #[must_use]
    pub const fn single_hop(interval: Interval, detect_mult: NonZeroU8) -> Self {
        Self {
            desired_min_tx: interval,
            required_min_rx: interval,
            detect_mult,
            role: Role::Active,
            hops: Hops::Single,
            control_plane_independent: false,
            authentication: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_what_the_wire_holds() {
        let interval = |micros| Interval::try_from(Duration::from_micros(micros));
        assert_eq!(interval(50_000), Ok(Interval::from_millis(50).unwrap()));
        assert_eq!(interval(u64::from(u32::MAX)).unwrap().as_micros(), u32::MAX);
        assert_eq!(interval(0), Err(OutOfRange(Duration::ZERO)));
        assert_eq!(interval(1 << 32), Err(OutOfRange(Duration::from_micros(1 << 32))));
        assert_eq!(Interval::from_millis(0), None);
        assert_eq!(Interval::from_millis(4_294_968), None);
        assert_eq!(Interval::from_millis(50).unwrap().to_string(), "50ms");
    }

    #[test]
    fn the_port_follows_the_distance() {
        assert_eq!(Hops::Single.port(), 3784);
        assert_eq!(Hops::Multi { minimum_ttl: 253 }.port(), 4784);
    }
}
