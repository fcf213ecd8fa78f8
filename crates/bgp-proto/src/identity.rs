//! Who a speaker is: its autonomous system and its identifier.

use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

/// The number of an autonomous system, of four octets (RFC 6793); never zero (RFC 7607).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// What stands in a field of two octets for a number that does not fit (RFC 6793 §9).
    pub const TRANS: u16 = 23456;

    /// The system of this number; `None` for zero.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// What a field of two octets says.
    #[must_use]
    pub fn to_two_octets(self) -> u16 {
        u16::try_from(self.get()).unwrap_or(Self::TRANS)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A BGP Identifier: any number of four octets but zero, unique within the autonomous system (RFC 6286 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(NonZeroU32);

impl RouterId {
    /// The identifier that is written like this address; `None` for `0.0.0.0`.
    #[must_use]
    pub fn new(address: Ipv4Addr) -> Option<Self> {
        NonZeroU32::new(u32::from(address)).map(Self)
    }

    /// The number, for comparison and for the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Ipv4Addr::from(self.0.get()), f)
    }
}
