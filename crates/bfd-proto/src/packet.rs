//! BFD Control packets: bytes to values and back (RFC 5880 §4.1, §4.4).

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};

use crate::{Diagnostic, DropReason, State};

/// The version we speak.
const VERSION: u8 = 1;
/// Octets of a packet without an Authentication Section.
pub(crate) const MANDATORY: u8 = 24;
/// Octets of the least Authentication Section: its type and its length.
const LEAST_AUTHENTICATION: u8 = 2;
/// Octets of a SHA1 Authentication Section (RFC 5880 §4.4).
pub(crate) const SHA1_SECTION: u8 = 28;
/// Octets of the longest packet we send.
const LONGEST: usize = 52;

const POLL: u8 = 0b10_0000;
const FINAL: u8 = 0b01_0000;
const CONTROL_PLANE_INDEPENDENT: u8 = 0b00_1000;
const AUTHENTICATED: u8 = 0b00_0100;
const DEMAND: u8 = 0b00_0010;
const MULTIPOINT: u8 = 0b00_0001;

/// The number by which one side knows a session; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Discriminator(NonZeroU32);

impl Discriminator {
    /// `None` for zero.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Discriminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The optional second part of a packet: how it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// By keyed SHA1 (type 4) or meticulous keyed SHA1 (type 5), with the length that these have.
    Sha1 {
        /// Type 5: the sequence number grows with each packet.
        meticulous: bool,
        /// Which key.
        key_id: u8,
        /// The sequence number.
        sequence: u32,
        /// The hash.
        hash: [u8; 20],
    },
    /// Anything else; we know no key for it.
    Other {
        /// Its type.
        auth_type: u8,
    },
}

/// A BFD Control packet.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       My Discriminator                        |
/// |                      Your Discriminator                       |
/// |                    Desired Min TX Interval                    |
/// |                   Required Min RX Interval                    |
/// |                 Required Min Echo RX Interval                 |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Auth Type   |   Auth Len    |  Auth Key ID  |   Reserved    |
/// |                        Sequence Number                        |
/// |                       Auth Key/Hash (20)                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// The version is always 1 and the multipoint bit never set, so neither is a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's state last changed.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: please answer at once.
    pub poll: bool,
    /// F: the answer.
    pub is_final: bool,
    /// C: the sender's BFD goes on when its control plane does not.
    pub control_plane_independent: bool,
    /// D: the sender wants us to stop sending periodically.
    pub demand: bool,
    /// How many packets of the sender may be missing before it counts as gone.
    pub detect_mult: NonZeroU8,
    /// The sender's number for the session.
    pub my_discriminator: Discriminator,
    /// The receiver's number for the session, if the sender knows it.
    pub your_discriminator: Option<Discriminator>,
    /// How often the sender would like to send, in microseconds; 0 is reserved.
    pub desired_min_tx: u32,
    /// How often the sender is willing to receive, in microseconds; 0 is "never".
    pub required_min_rx: u32,
    /// How often the sender is willing to loop Echo packets back, in microseconds; 0 is "never".
    pub required_min_echo_rx: u32,
    /// A: how it is signed.
    pub section: Option<Section>,
}

/// The bytes of a packet that is to be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    buffer: [u8; LONGEST],
    length: u8,
}

impl Bytes {
    fn of(parts: &[&[u8]]) -> Self {
        let mut buffer = [0; LONGEST];
        let mut length = 0;
        for (to, from) in buffer.iter_mut().zip(parts.iter().copied().flatten()) {
            *to = *from;
            length += 1;
        }
        Self { buffer, length }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Packet {
    /// Reads a packet, by the rules of RFC 5880 §6.8.6 that need no session, in their order.
    ///
    /// # Errors
    /// The rule it breaks. Nobody has to act; it is counted.
    pub fn decode(payload: &[u8]) -> Result<Self, DropReason> {
        let (mandatory, rest) = payload.split_first_chunk::<24>().ok_or(DropReason::Truncated)?;
        let [first, flags, detect_mult, length, m0, m1, m2, m3, y0, y1, y2, y3, intervals @ ..] = *mandatory;
        let [t0, t1, t2, t3, r0, r1, r2, r3, e0, e1, e2, e3] = intervals;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the version number is not correct (1), the packet MUST be
        //# discarded.
        if first >> 5 != VERSION {
            return Err(DropReason::Version);
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the Length field is less than the minimum correct value (24 if
        //# the A bit is clear, or 26 if the A bit is set), the packet MUST be
        //# discarded.
        let authenticated = flags & AUTHENTICATED != 0;
        if length < MANDATORY + if authenticated { LEAST_AUTHENTICATION } else { 0 } {
            return Err(DropReason::LengthTooShort);
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the Length field is greater than the payload of the
        //# encapsulating protocol, the packet MUST be discarded.
        let rest = rest.get(..usize::from(length - MANDATORY)).ok_or(DropReason::LengthBeyondPayload)?;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the Detect Mult field is zero, the packet MUST be discarded.
        let detect_mult = NonZeroU8::new(detect_mult).ok_or(DropReason::DetectMultZero)?;
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the Multipoint (M) bit is nonzero, the packet MUST be
        //# discarded.
        if flags & MULTIPOINT != 0 {
            return Err(DropReason::Multipoint);
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
        //# If the My Discriminator field is zero, the packet MUST be
        //# discarded.
        let my_discriminator =
            Discriminator::new(u32::from_be_bytes([m0, m1, m2, m3])).ok_or(DropReason::MyDiscriminatorZero)?;
        Ok(Self {
            diagnostic: Diagnostic::from_bits(first),
            state: State::from_bits(flags >> 6),
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_mult,
            my_discriminator,
            your_discriminator: Discriminator::new(u32::from_be_bytes([y0, y1, y2, y3])),
            desired_min_tx: u32::from_be_bytes([t0, t1, t2, t3]),
            required_min_rx: u32::from_be_bytes([r0, r1, r2, r3]),
            required_min_echo_rx: u32::from_be_bytes([e0, e1, e2, e3]),
            section: authenticated.then(|| Section::decode(rest)),
        })
    }

    /// The bytes. The hash goes in as it stands; [`crate::authentication`] computes it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = self.state.bits() << 6
            | bit(self.poll, POLL)
            | bit(self.is_final, FINAL)
            | bit(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | bit(self.section.is_some(), AUTHENTICATED)
            | bit(self.demand, DEMAND);
        let section = self.section.map(Section::encode);
        let section: &[u8] = section.as_ref().map_or(&[], Bytes::as_ref);
        let length = MANDATORY + section.iter().map(|_| 1).sum::<u8>();
        let your_discriminator = self.your_discriminator.map_or(0, Discriminator::get);
        Bytes::of(&[
            &[VERSION << 5 | self.diagnostic.bits(), flags, self.detect_mult.get(), length],
            &self.my_discriminator.get().to_be_bytes(),
            &your_discriminator.to_be_bytes(),
            &self.desired_min_tx.to_be_bytes(),
            &self.required_min_rx.to_be_bytes(),
            &self.required_min_echo_rx.to_be_bytes(),
            section,
        ])
    }
}

/// The numbers of the two types we know (RFC 5880 §4.1, "Auth Type").
const KEYED_SHA1: u8 = 4;
const METICULOUS_KEYED_SHA1: u8 = 5;

impl Section {
    /// Reads what follows the mandatory part, up to the packet's length.
    fn decode(bytes: &[u8]) -> Self {
        let auth_type = bytes.first().copied().unwrap_or_default();
        let Some(([_, length, key_id, _, s0, s1, s2, s3], rest)) = bytes.split_first_chunk::<8>() else {
            return Self::Other { auth_type };
        };
        // A section that is followed by more is none we know: what would the hash be over?
        match (auth_type, *length, <[u8; 20]>::try_from(rest)) {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
            //# If the Auth Len field is not equal to 28, the packet MUST be
            //# discarded.
            (KEYED_SHA1 | METICULOUS_KEYED_SHA1, SHA1_SECTION, Ok(hash)) => Self::Sha1 {
                meticulous: auth_type == METICULOUS_KEYED_SHA1,
                key_id: *key_id,
                sequence: u32::from_be_bytes([*s0, *s1, *s2, *s3]),
                hash,
            },
            _ => Self::Other { auth_type },
        }
    }

    fn encode(self) -> Bytes {
        match self {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
            //# The Auth Type field MUST be set to 4 (Keyed SHA1) or 5 (Meticulous
            //# Keyed SHA1).  The Auth Len field MUST be set to 28.
            Self::Sha1 { meticulous, key_id, sequence, hash } => {
                let auth_type = if meticulous { METICULOUS_KEYED_SHA1 } else { KEYED_SHA1 };
                //= https://www.rfc-editor.org/rfc/rfc5880#section-4.4
                //# This byte MUST be set to zero on transmit and ignored on receipt.
                Bytes::of(&[&[auth_type, SHA1_SECTION, key_id, 0], &sequence.to_be_bytes(), &hash])
            }
            Self::Other { auth_type } => Bytes::of(&[&[auth_type, LEAST_AUTHENTICATION]]),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
