//! OPEN: who the peer is and what it can do.

use super::capability::Capability;
use super::frame::{MessageKind, emit};
use super::iana::{error, open};
use super::notification::Notification;
use super::reader::Reader;

/// The optional parameter that holds capabilities (RFC 5492 §4).
const CAPABILITIES: u8 = 2;

/// The type that says that lengths of two octets follow (RFC 9072 §2).
const EXTENDED_LENGTH: u8 = 255;

/// One OPEN (RFC 4271 §4.2), before anybody has judged what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The autonomous system in two octets.
    pub my_as: u16,
    /// The hold time asked for, in seconds.
    pub hold_time: u16,
    /// The BGP Identifier.
    pub identifier: u32,
    /// All capabilities, in the order in which they stand.
    pub capabilities: Vec<Capability>,
}

/// Why bytes are not an OPEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than its fixed fields, or its lengths do not agree.
    #[error("the lengths in the OPEN do not agree")]
    Malformed,
    /// Another version of BGP.
    #[error("BGP version {0}")]
    Version(u8),
    /// An optional parameter other than capabilities.
    #[error("optional parameter {0} is not known")]
    Parameter(u8),
}

impl OpenError {
    /// What the peer is told.
    #[must_use]
    pub fn notification(self) -> Notification {
        match self {
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
            //# If one of the Optional Parameters in the OPEN message is recognized,
            //# but is malformed, then the Error Subcode MUST be set to 0
            //# (Unspecific).
            Self::Malformed => Notification::new(error::OPEN, open::UNSPECIFIC, Vec::new()),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
            //# If the version number in the Version field of the received OPEN
            //# message is not supported, then the Error Subcode MUST be set to
            //# Unsupported Version Number.  The Data field is a 2-octet unsigned
            //# integer, which indicates the largest, locally-supported version
            //# number
            Self::Version(_) => Notification::new(error::OPEN, open::UNSUPPORTED_VERSION, vec![0, 4]),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.2
            //# If one of the Optional Parameters in the OPEN message is not
            //# recognized, then the Error Subcode MUST be set to Unsupported
            //# Optional Parameters.
            Self::Parameter(_) => Notification::new(error::OPEN, open::UNSUPPORTED_PARAMETER, Vec::new()),
        }
    }
}

impl Open {
    /// From what follows the header.
    ///
    /// # Errors
    /// [`OpenError`]; the peer has to act.
    pub fn decode(body: &[u8]) -> Result<Self, OpenError> {
        let mut reader = Reader::new(body);
        let version = reader.byte().ok_or(OpenError::Malformed)?;
        if version != 4 {
            return Err(OpenError::Version(version));
        }
        let (my_as, hold_time, identifier, parameters, wide) = fixed(&mut reader).ok_or(OpenError::Malformed)?;
        let capabilities = read_parameters(parameters, wide)?;
        Ok(Self { my_as, hold_time, identifier, capabilities })
    }

    /// The whole message, header included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = vec![4];
        body.extend(self.my_as.to_be_bytes());
        body.extend(self.hold_time.to_be_bytes());
        body.extend(self.identifier.to_be_bytes());
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            let (number, value) = capability.to_wire();
            let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
            capabilities.extend([number, length]);
            capabilities.extend(value.iter().take(usize::from(length)));
        }
        // RFC 9072 §2 leaves the short form to whatever fits into it, and old speakers know no other.
        match (u8::try_from(capabilities.len()), u8::try_from(capabilities.len().saturating_add(2))) {
            (Ok(0), _) => body.push(0),
            (Ok(inner), Ok(outer)) => {
                body.extend([outer, CAPABILITIES, inner]);
                body.extend(capabilities);
            }
            _ => {
                let inner = u16::try_from(capabilities.len()).unwrap_or(u16::MAX);
                body.extend([EXTENDED_LENGTH, EXTENDED_LENGTH]);
                body.extend(inner.saturating_add(3).to_be_bytes());
                body.push(CAPABILITIES);
                body.extend(inner.to_be_bytes());
                body.extend(capabilities);
            }
        }
        emit(MessageKind::Open, &body)
    }
}

/// The fields up to the optional parameters, the parameters, and whether their lengths have two octets.
fn fixed<'a>(reader: &mut Reader<'a>) -> Option<(u16, u16, u32, &'a [u8], bool)> {
    let (my_as, hold_time, identifier) = (reader.short()?, reader.short()?, reader.long()?);
    let length = reader.byte()?;
    //= https://www.rfc-editor.org/rfc/rfc9072#section-2
    //# If the value of the "Non-Ext OP Type" field is 255, then the encoding
    //# described above is used for the Optional Parameters length
    //= https://www.rfc-editor.org/rfc/rfc9072#section-2
    //# an implementation MUST accept an OPEN message that uses the encoding of this
    //# specification even if the length of the Optional Parameters is 255 or less.
    let wide = length != 0 && reader.rest().first() == Some(&EXTENDED_LENGTH);
    let length = if wide {
        reader.byte()?;
        usize::from(reader.short()?)
    } else {
        usize::from(length)
    };
    let parameters = reader.bytes(length)?;
    reader.is_empty().then_some((my_as, hold_time, identifier, parameters, wide))
}

fn read_parameters(parameters: &[u8], wide: bool) -> Result<Vec<Capability>, OpenError> {
    let mut reader = Reader::new(parameters);
    let mut capabilities = Vec::new();
    while let Some(kind) = reader.byte() {
        let length = if wide { reader.short().map(usize::from) } else { reader.byte().map(usize::from) };
        let value = length.and_then(|length| reader.bytes(length)).ok_or(OpenError::Malformed)?;
        if kind != CAPABILITIES {
            return Err(OpenError::Parameter(kind));
        }
        //= https://www.rfc-editor.org/rfc/rfc5492#section-4
        //# a BGP speaker MUST be prepared to accept such multiple instances.
        let mut inside = Reader::new(value);
        while let Some(number) = inside.byte() {
            let value = inside.counted().ok_or(OpenError::Malformed)?;
            capabilities.push(Capability::from_wire(number, value));
        }
    }
    Ok(capabilities)
}

#[cfg(test)]
mod tests;
