//! Frames on the wire: parse without trust, emit without panic.
//!
//! Each protocol is a struct that holds the meaning of the bytes; what can be built can be emitted, and parses back to itself.

pub mod arp;
pub mod ethernet;

/// Why bytes are not the packet they were taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the header or packet needs.
    Truncated,
    /// The Ethernet type is another protocol's.
    EtherType(ethernet::EtherType),
    /// ARP for hardware other than Ethernet (ar$hrd, ar$hln).
    Hardware {
        /// ar$hrd, the hardware type.
        kind: u16,
        /// ar$hln, the length of a hardware address in bytes.
        length: u8,
    },
    /// ARP for a protocol other than IPv4 (ar$pro, ar$pln).
    Protocol {
        /// ar$pro, the protocol type.
        kind: u16,
        /// ar$pln, the length of a protocol address in bytes.
        length: u8,
    },
}

/// A whole frame, ready to be sent: Ethernet header and ARP packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame([u8; Frame::LEN]);

impl Frame {
    /// Its length in bytes. The network card pads it to Ethernet's minimum.
    pub const LEN: usize = ethernet::HEADER_LEN + arp::PACKET_LEN;

    /// The frame that carries `arp` from `source` to `destination`.
    #[must_use]
    pub fn arp(header: ethernet::Header, packet: &arp::Packet) -> Self {
        let mut bytes = [0; Self::LEN];
        let fields = header.emit().into_iter().chain(packet.emit());
        for (slot, byte) in bytes.iter_mut().zip(fields) {
            *slot = byte;
        }
        Self(bytes)
    }

    /// The bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Takes the first `N` bytes off; [`DecodeError::Truncated`] when there are fewer.
fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), DecodeError> {
    bytes.split_first_chunk::<N>().map(|(field, rest)| (*field, rest)).ok_or(DecodeError::Truncated)
}
