//! NOTIFICATION: why a session ends, in numbers and in words.

use std::fmt;

use super::frame::{MessageKind, emit};
use super::iana::{cease, error, fsm, header, open, refresh, update};
use super::reader::Reader;

/// The longest text of RFC 9003, in bytes: its length is one byte.
pub const MAX_SHUTDOWN_TEXT: usize = 255;

/// One NOTIFICATION (RFC 4271 §4.5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notification {
    /// The error code.
    pub code: u8,
    /// The subcode.
    pub subcode: u8,
    /// What belongs to them.
    pub data: Vec<u8>,
}

impl Notification {
    /// One of these numbers.
    #[must_use]
    pub const fn new(code: u8, subcode: u8, data: Vec<u8>) -> Self {
        Self { code, subcode, data }
    }

    /// A Cease with this subcode.
    #[must_use]
    pub const fn cease(subcode: u8) -> Self {
        Self::new(error::CEASE, subcode, Vec::new())
    }

    /// A Cease of administrative shutdown or reset that says why, in at most [`MAX_SHUTDOWN_TEXT`] bytes of UTF-8 (RFC 9003 §2).
    /// A longer text is cut between two characters; with an empty one no text is sent.
    #[must_use]
    pub fn shutdown(subcode: u8, text: &str) -> Self {
        let text = cut(text);
        let mut data = Vec::new();
        if !text.is_empty() {
            data.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            data.extend(text.as_bytes());
        }
        Self::new(error::CEASE, subcode, data)
    }

    /// This one, so wrapped that a peer which keeps routes over a NOTIFICATION does not keep them over this (RFC 8538 §3.1).
    #[must_use]
    pub fn hard_reset(&self) -> Self {
        // RFC 8538 §3.1: the data of a hard reset is the code, the subcode and the data of what it stands for.
        let mut data = vec![self.code, self.subcode];
        data.extend(&self.data);
        Self::new(error::CEASE, cease::HARD_RESET, data)
    }

    /// Does it ask the peer to forget the routes although both keep them over a NOTIFICATION?
    #[must_use]
    pub const fn is_hard_reset(&self) -> bool {
        self.code == error::CEASE && self.subcode == cease::HARD_RESET
    }

    /// What a hard reset holds; itself if it is none.
    #[must_use]
    pub fn inner(&self) -> Self {
        match (self.is_hard_reset(), self.data.as_slice()) {
            (true, [code, subcode, data @ ..]) => Self::new(*code, *subcode, data.to_vec()),
            _ => self.clone(),
        }
    }

    /// The text of RFC 9003, if there is one: what is not UTF-8 is replaced, control characters are left out.
    #[must_use]
    pub fn shutdown_text(&self) -> Option<String> {
        let inner = self.inner();
        if inner.code != error::CEASE
            || !matches!(inner.subcode, cease::ADMINISTRATIVE_SHUTDOWN | cease::ADMINISTRATIVE_RESET)
        {
            return None;
        }
        let text = Reader::new(&inner.data).counted().filter(|text| !text.is_empty())?;
        //= https://www.rfc-editor.org/rfc/rfc9003#section-2
        //# A receiving BGP speaker MUST NOT interpret invalid UTF-8 sequences.
        Some(String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect())
    }

    /// From what follows the header.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        match body {
            [code, subcode, data @ ..] => Some(Self::new(*code, *subcode, data.to_vec())),
            _ => None,
        }
    }

    /// The whole message, header included, of at most `limit` bytes: data that does not fit is left out at its end.
    #[must_use]
    pub fn encode(&self, limit: u16) -> Vec<u8> {
        //= https://www.rfc-editor.org/rfc/rfc8654#section-5
        //# if a NOTIFICATION is to be sent to a BGP speaker that has not advertised the
        //# BGP Extended Message Capability, the size of the message MUST NOT exceed
        //# 4,096 octets.
        let room = usize::from(limit).saturating_sub(21);
        let mut body = vec![self.code, self.subcode];
        body.extend(self.data.iter().take(room));
        emit(MessageKind::Notification, &body)
    }

    /// Code and subcode in the words of the registry; numbers for those it does not know.
    #[must_use]
    pub fn words(&self) -> String {
        let code = match self.code {
            error::HEADER => "Message Header Error",
            error::OPEN => "OPEN Message Error",
            error::UPDATE => "UPDATE Message Error",
            error::HOLD_TIMER => "Hold Timer Expired",
            error::FSM => "Finite State Machine Error",
            error::CEASE => "Cease",
            error::ROUTE_REFRESH => "ROUTE-REFRESH Message Error",
            error::SEND_HOLD_TIMER => "Send Hold Timer Expired",
            other => return format!("error {other}/{}", self.subcode),
        };
        match subcode_words(self.code, self.subcode) {
            Some(words) => format!("{code}/{words}"),
            None if self.subcode == 0 => code.to_owned(),
            None => format!("{code}/{}", self.subcode),
        }
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())?;
        if self.is_hard_reset() {
            write!(f, " ({})", self.inner().words())?;
        }
        match self.shutdown_text() {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notification({}/{} {:02x?})", self.code, self.subcode, self.data)
    }
}

/// At most 255 bytes, and no half a character.
fn cut(text: &str) -> &str {
    //= https://www.rfc-editor.org/rfc/rfc9003#section-2
    //# To support international characters, the Shutdown Communication field MUST
    //# be encoded using UTF-8.
    text.get(..text.floor_char_boundary(MAX_SHUTDOWN_TEXT)).unwrap_or_default()
}

const fn subcode_words(code: u8, subcode: u8) -> Option<&'static str> {
    Some(match (code, subcode) {
        (error::HEADER, header::NOT_SYNCHRONIZED) => "Connection Not Synchronized",
        (error::HEADER, header::BAD_LENGTH) => "Bad Message Length",
        (error::HEADER, header::BAD_TYPE) => "Bad Message Type",
        (error::OPEN, open::UNSUPPORTED_VERSION) => "Unsupported Version Number",
        (error::OPEN, open::BAD_PEER_AS) => "Bad Peer AS",
        (error::OPEN, open::BAD_IDENTIFIER) => "Bad BGP Identifier",
        (error::OPEN, open::UNSUPPORTED_PARAMETER) => "Unsupported Optional Parameter",
        (error::OPEN, open::UNACCEPTABLE_HOLD_TIME) => "Unacceptable Hold Time",
        (error::OPEN, open::UNSUPPORTED_CAPABILITY) => "Unsupported Capability",
        (error::OPEN, 11) => "Role Mismatch",
        (error::UPDATE, update::MALFORMED_ATTRIBUTE_LIST) => "Malformed Attribute List",
        (error::UPDATE, update::UNRECOGNIZED_WELL_KNOWN) => "Unrecognized Well-known Attribute",
        (error::UPDATE, 3) => "Missing Well-known Attribute",
        (error::UPDATE, 4) => "Attribute Flags Error",
        (error::UPDATE, 5) => "Attribute Length Error",
        (error::UPDATE, 6) => "Invalid ORIGIN Attribute",
        (error::UPDATE, 8) => "Invalid NEXT_HOP Attribute",
        (error::UPDATE, update::OPTIONAL_ATTRIBUTE) => "Optional Attribute Error",
        (error::UPDATE, update::INVALID_NETWORK_FIELD) => "Invalid Network Field",
        (error::UPDATE, 11) => "Malformed AS_PATH",
        (error::FSM, fsm::OPEN_SENT) => "Receive Unexpected Message in OpenSent State",
        (error::FSM, fsm::OPEN_CONFIRM) => "Receive Unexpected Message in OpenConfirm State",
        (error::FSM, fsm::ESTABLISHED) => "Receive Unexpected Message in Established State",
        (error::CEASE, cease::MAXIMUM_PREFIXES) => "Maximum Number of Prefixes Reached",
        (error::CEASE, cease::ADMINISTRATIVE_SHUTDOWN) => "Administrative Shutdown",
        (error::CEASE, cease::PEER_DECONFIGURED) => "Peer De-configured",
        (error::CEASE, cease::ADMINISTRATIVE_RESET) => "Administrative Reset",
        (error::CEASE, cease::CONNECTION_REJECTED) => "Connection Rejected",
        (error::CEASE, cease::OTHER_CONFIGURATION_CHANGE) => "Other Configuration Change",
        (error::CEASE, cease::COLLISION_RESOLUTION) => "Connection Collision Resolution",
        (error::CEASE, cease::OUT_OF_RESOURCES) => "Out of Resources",
        (error::CEASE, cease::HARD_RESET) => "Hard Reset",
        (error::CEASE, cease::BFD_DOWN) => "BFD Down",
        (error::ROUTE_REFRESH, refresh::INVALID_LENGTH) => "Invalid Message Length",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
