//! Where one message ends and the next begins.

use super::iana::{error, header, message};
use super::notification::Notification;

/// The header: marker, length, type (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;

/// The longest message there is without RFC 8654.
pub const MAX_MESSAGE_LEN: u16 = 4096;

/// The longest message there is with RFC 8654.
pub const MAX_EXTENDED_MESSAGE_LEN: u16 = u16::MAX;

const MARKER: [u8; 16] = [0xff; 16];

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// OPEN.
    Open,
    /// UPDATE.
    Update,
    /// NOTIFICATION.
    Notification,
    /// KEEPALIVE.
    Keepalive,
    /// ROUTE-REFRESH.
    RouteRefresh,
}

impl MessageKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Open, Self::Update, Self::Notification, Self::Keepalive, Self::RouteRefresh];

    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Open => message::OPEN,
            Self::Update => message::UPDATE,
            Self::Notification => message::NOTIFICATION,
            Self::Keepalive => message::KEEPALIVE,
            Self::RouteRefresh => message::ROUTE_REFRESH,
        }
    }

    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Notification => "notification",
            Self::Keepalive => "keepalive",
            Self::RouteRefresh => "route_refresh",
        }
    }

    /// Its place in [`MessageKind::ALL`], for a counter per type.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The shortest message of this type.
    const fn min_len(self) -> u16 {
        match self {
            Self::Open => 29,
            Self::Update | Self::RouteRefresh => 23,
            Self::Notification => 21,
            Self::Keepalive => 19,
        }
    }

    /// The longest one, on a session whose limit is `limit`.
    const fn max_len(self, limit: u16) -> u16 {
        match self {
            Self::Keepalive => 19,
            //= https://www.rfc-editor.org/rfc/rfc8654#section-4
            //# The BGP Extended Message Capability applies to all messages except
            //# for OPEN and KEEPALIVE messages.
            Self::Open => MAX_MESSAGE_LEN,
            Self::Update | Self::Notification | Self::RouteRefresh => limit,
        }
    }
}

/// One message, taken off the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: MessageKind,
    /// What follows the header.
    pub body: &'a [u8],
    /// How many bytes of the stream it took, header included.
    pub len: usize,
}

/// Why the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The marker is not all ones.
    #[error("the marker is not all ones")]
    NotSynchronized,
    /// The length is not lawful, at all or for this type.
    #[error("a message of {0} bytes is too short or too long")]
    BadLength(u16),
    /// There is no such type.
    #[error("no message type {0}")]
    BadType(u8),
}

impl HeaderError {
    /// What the peer is told.
    #[must_use]
    pub fn notification(self) -> Notification {
        match self {
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.1
            //# If the Marker field of the message header is not as expected, then
            //# a synchronization error has occurred and the Error Subcode MUST be
            //# set to Connection Not Synchronized.
            Self::NotSynchronized => Notification::new(error::HEADER, header::NOT_SYNCHRONIZED, Vec::new()),
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.1
            //# then the Error Subcode MUST be set to Bad Message Length.  The Data
            //# field MUST contain the erroneous Length field.
            Self::BadLength(length) => {
                Notification::new(error::HEADER, header::BAD_LENGTH, length.to_be_bytes().to_vec())
            }
            //= https://www.rfc-editor.org/rfc/rfc4271#section-6.1
            //# If the Type field of the message header is not recognized, then the
            //# Error Subcode MUST be set to Bad Message Type.  The Data field MUST
            //# contain the erroneous Type field.
            Self::BadType(kind) => Notification::new(error::HEADER, header::BAD_TYPE, vec![kind]),
        }
    }
}

/// The first message of a stream; `None` while it is not all there. `limit` is the session's longest message.
///
/// # Errors
/// [`HeaderError`] as soon as what is there cannot become a message, so that a peer cannot make us wait for a body that is too
/// long.
pub fn split(stream: &[u8], limit: u16) -> Result<Option<Frame<'_>>, HeaderError> {
    let marker = stream.iter().take(MARKER.len());
    if marker.zip(MARKER).any(|(byte, wanted)| *byte != wanted) {
        return Err(HeaderError::NotSynchronized);
    }
    let Some((&[.., high, low, number], rest)) = stream.split_first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let length = u16::from_be_bytes([high, low]);
    if length < 19 || length > limit {
        return Err(HeaderError::BadLength(length));
    }
    let kind = MessageKind::from_number(number).ok_or(HeaderError::BadType(number))?;
    if length < kind.min_len() || length > kind.max_len(limit) {
        return Err(HeaderError::BadLength(length));
    }
    let len = usize::from(length);
    Ok(rest.get(..len.saturating_sub(HEADER_LEN)).map(|body| Frame { kind, body, len }))
}

/// A whole message from its body. A body that no message could carry is cut; ours are built to fit.
pub(super) fn emit(kind: MessageKind, body: &[u8]) -> Vec<u8> {
    let longest = usize::from(MAX_EXTENDED_MESSAGE_LEN).saturating_sub(HEADER_LEN);
    let body = body.get(..longest).unwrap_or(body);
    let length = u16::try_from(HEADER_LEN.saturating_add(body.len())).unwrap_or(MAX_EXTENDED_MESSAGE_LEN);
    let mut bytes = Vec::with_capacity(usize::from(length));
    //= https://www.rfc-editor.org/rfc/rfc4271#section-4.1
    //# it MUST be set to all ones.
    bytes.extend(MARKER);
    bytes.extend(length.to_be_bytes());
    bytes.push(kind.number());
    bytes.extend(body);
    bytes
}

/// A KEEPALIVE.
#[must_use]
pub fn keepalive() -> Vec<u8> {
    emit(MessageKind::Keepalive, &[])
}
