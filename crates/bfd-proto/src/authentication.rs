//! Signed packets: keyed SHA1 and meticulous keyed SHA1 (RFC 5880 §6.7.4).
//!
//! What it protects against is a stranger off the path who would bring a session down. The hash is SHA1 because the RFC and every
//! router's implementation have no other; it is no proof against an attacker who can break SHA1.

use std::fmt;

use sha1::{Digest as _, Sha1};

use crate::DropReason;
use crate::packet::{Bytes, Packet, Section};

/// The octets before the hash in a packet that is signed: the mandatory part and the section's first two words.
const BEFORE_HASH: usize = 32;

/// A secret of 1 to 20 octets and the number it goes by.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: u8,
    /// Padded with zeros.
    secret: [u8; 20],
}

/// A secret that is empty or longer than 20 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of keyed SHA1 has 1 to 20 octets, not {0}")]
pub struct KeyLength(pub usize);

impl Key {
    /// The key `id` with this secret, which may be any octets.
    ///
    /// # Errors
    /// It is empty or longer than 20 octets; who configured it has to act.
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, KeyLength> {
        if secret.is_empty() || secret.len() > 20 {
            return Err(KeyLength(secret.len()));
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
        //# The authentication key value is a binary string of up to 20 bytes,
        //# and MUST be placed into the Auth Key/Hash field, padding with
        //# trailing zero bytes as necessary.
        let mut padded = [0; 20];
        for (to, from) in padded.iter_mut().zip(secret) {
            *to = *from;
        }
        Ok(Self { id, secret: padded })
    }

    /// The number it goes by.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Configurations are logged; secrets are not.
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

//= https://www.rfc-editor.org/rfc/rfc5880#section-6.7
//# Implementations supporting authentication MUST support both types of
//# SHA1 authentication.
/// How packets of a session are signed, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The key.
    pub key: Key,
    /// The sequence number grows with each packet, so that none can be sent a second time by a stranger. Without it, it grows when
    /// what a packet says changes.
    pub meticulous: bool,
}

/// Both directions' sequence numbers (bfd.XmitAuthSeq, bfd.RcvAuthSeq, bfd.AuthSeqKnown).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequences {
    /// Of the next packet to be sent.
    pub(crate) next: u32,
    /// Of the last that was taken, if it is known.
    pub(crate) received: Option<u32>,
}

impl Authentication {
    /// Signs a packet.
    pub(crate) fn sign(&self, packet: &Packet, sequence: u32) -> Bytes {
        let section = |hash| Section::Sha1 { meticulous: self.meticulous, key_id: self.key.id, sequence, hash };
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
        //# A SHA1 hash MUST be calculated over the entire BFD control packet.
        //# The resulting hash MUST be stored in the Auth Key/Hash field prior to
        //# transmission (replacing the secret key, which MUST NOT be carried in
        //# the packet).
        let with_key = Packet { section: Some(section(self.key.secret)), ..*packet }.encode();
        let hash = Sha1::digest(with_key.as_ref()).into();
        Packet { section: Some(section(hash)), ..*packet }.encode()
    }

    /// Judges a packet that was decoded from `payload`, and remembers its sequence number if it is taken.
    ///
    /// The hash is looked at before the sequence number is believed. The RFC does it the other way about for the first packet,
    /// by which a stranger's packet with a wrong hash could set bfd.RcvAuthSeq and so shut the peer out.
    pub(crate) fn judge(&self, packet: &Packet, payload: &[u8], sequences: &mut Sequences) -> Result<(), DropReason> {
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
        //# If the received BFD Control packet does not contain an Authentication
        //# Section, or the Auth Type is not correct (4 for Keyed SHA1 or 5 for
        //# Meticulous Keyed SHA1), then the received packet MUST be discarded.
        let (meticulous, key_id, sequence, hash) = match packet.section {
            None => return Err(DropReason::MissingAuthentication),
            Some(Section::Sha1 { meticulous, key_id, sequence, hash }) => (meticulous, key_id, sequence, hash),
            Some(Section::Other { .. }) => return Err(DropReason::AuthenticationType),
        };
        if meticulous != self.meticulous {
            return Err(DropReason::AuthenticationType);
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
        //# If the Auth Key ID field does not match the ID of a configured
        //# authentication key, the received packet MUST be discarded.
        if key_id != self.key.id {
            return Err(DropReason::AuthenticationKey);
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
        //# For Keyed SHA1, if the
        //# sequence number lies outside of the range of bfd.RcvAuthSeq to
        //# bfd.RcvAuthSeq+(3*Detect Mult) inclusive (when treated as an
        //# unsigned 32-bit circular number space), the received packet MUST
        //# be discarded.  For Meticulous Keyed SHA1, if the sequence number
        //# lies outside of the range of bfd.RcvAuthSeq+1 to
        //# bfd.RcvAuthSeq+(3*Detect Mult) inclusive (when treated as an
        //# unsigned 32-bit circular number space), the received packet MUST be
        //# discarded.
        if let Some(last) = sequences.received {
            let ahead = sequence.wrapping_sub(last);
            let least = u32::from(meticulous);
            if ahead < least || ahead > 3 * u32::from(packet.detect_mult.get()) {
                return Err(DropReason::AuthenticationSequence);
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
        //# Otherwise (the hash does not match the Auth Key/Hash field), the
        //# received packet MUST be discarded.
        let before = payload.get(..BEFORE_HASH).ok_or(DropReason::AuthenticationType)?;
        // The packet as its length field has it ends with the hash, so nothing else goes in.
        let expected: [u8; 20] = Sha1::new().chain_update(before).chain_update(self.key.secret).finalize().into();
        // Not by ==, which would tell by its time how many octets were right.
        let difference = expected.iter().zip(&hash).fold(0, |all, (left, right)| all | (left ^ right));
        if difference != 0 {
            return Err(DropReason::AuthenticationHash);
        }
        //= https://www.rfc-editor.org/rfc/rfc5880#section-6.7.4
        //# Otherwise (bfd.AuthSeqKnown is 0), bfd.AuthSeqKnown MUST be set to
        //# 1, and bfd.RcvAuthSeq MUST be set to the value of the received
        //# Sequence Number field.
        sequences.received = Some(sequence);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
