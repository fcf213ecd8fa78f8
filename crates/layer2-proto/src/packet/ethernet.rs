//! The Ethernet II header.

use ironlb_model::MacAddr;

use super::{DecodeError, take};

/// Bytes in front of the payload. A VLAN tag, where there is one, has been taken off by the kernel.
pub const HEADER_LEN: usize = 14;

/// Which protocol the payload is (<https://www.iana.org/assignments/ieee-802-numbers>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

impl EtherType {
    /// RFC 826.
    pub const ARP: Self = Self(0x0806);
    /// RFC 894; in an ARP packet the protocol type (ar$pro) of IPv4 addresses.
    pub const IPV4: Self = Self(0x0800);
}

/// An Ethernet II header.
///
/// ```text
///  0               6               12        14
/// +---------------+---------------+---------+---------
/// |  destination  |    source     |  type   | payload
/// +---------------+---------------+---------+---------
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who is to receive the frame.
    pub destination: MacAddr,
    /// Who sent it.
    pub source: MacAddr,
    /// What the payload is.
    pub ether_type: EtherType,
}

impl Header {
    /// The header and the payload after it.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer than [`HEADER_LEN`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let (destination, rest) = take(bytes)?;
        let (source, rest) = take(rest)?;
        let (ether_type, payload) = take(rest)?;
        let header = Self {
            destination: MacAddr(destination),
            source: MacAddr(source),
            ether_type: EtherType(u16::from_be_bytes(ether_type)),
        };
        Ok((header, payload))
    }

    /// Its bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let [d0, d1, d2, d3, d4, d5] = self.destination.0;
        let [s0, s1, s2, s3, s4, s5] = self.source.0;
        let [t0, t1] = self.ether_type.0.to_be_bytes();
        [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]
    }
}
