//! ROUTE-REFRESH: send me everything again, and where such a sending begins and ends (RFC 2918, RFC 7313).

use super::frame::{MessageKind, emit};
use super::iana::{error, refresh};
use super::notification::Notification;
use super::reader::Reader;

/// What a ROUTE-REFRESH is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshKind {
    /// Send everything again.
    Request,
    /// Here a second sending begins (BoRR).
    Begin,
    /// Here it ends (EoRR).
    End,
    /// Of a number that means nothing to us.
    Other(u8),
}

/// One ROUTE-REFRESH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRefresh {
    /// The address family.
    pub afi: u16,
    /// The subsequent address family.
    pub safi: u8,
    /// What it is about.
    pub kind: RefreshKind,
}

/// Its length is not the one its kind has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a ROUTE-REFRESH of {} bytes", message.len())]
pub struct RefreshError {
    message: Vec<u8>,
}

impl RefreshError {
    /// What the peer is told.
    #[must_use]
    pub fn notification(&self) -> Notification {
        //= https://www.rfc-editor.org/rfc/rfc7313#section-5
        //# then the BGP speaker MUST send a NOTIFICATION message with the Error
        //# Code of "ROUTE-REFRESH Message Error" and the subcode of "Invalid
        //# Message Length".  The Data field of the NOTIFICATION message MUST
        //# contain the complete ROUTE-REFRESH message.
        Notification::new(error::ROUTE_REFRESH, refresh::INVALID_LENGTH, self.message.clone())
    }
}

impl RouteRefresh {
    /// From what follows the header. What stands behind a plain request is an outbound route filter (RFC 5291), which nobody asked
    /// for: it is left alone.
    ///
    /// # Errors
    /// [`RefreshError`] for a begin or an end of the wrong length.
    pub fn decode(body: &[u8]) -> Result<Self, RefreshError> {
        let wrong = || RefreshError { message: emit(MessageKind::RouteRefresh, body) };
        let mut reader = Reader::new(body);
        let (Some(afi), Some(kind), Some(safi)) = (reader.short(), reader.byte(), reader.byte()) else {
            return Err(wrong());
        };
        let kind = match kind {
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            //= https://www.rfc-editor.org/rfc/rfc7313#section-5
            //# When the BGP speaker receives a ROUTE-REFRESH message with a "Message
            //# Subtype" field other than 0, 1, or 2, it MUST ignore the received
            //# ROUTE-REFRESH message.
            other => RefreshKind::Other(other),
        };
        if matches!(kind, RefreshKind::Begin | RefreshKind::End) && !reader.is_empty() {
            return Err(wrong());
        }
        Ok(Self { afi, safi, kind })
    }

    /// The whole message, header included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            RefreshKind::Request => 0,
            RefreshKind::Begin => 1,
            RefreshKind::End => 2,
            RefreshKind::Other(number) => number,
        };
        let [high, low] = self.afi.to_be_bytes();
        emit(MessageKind::RouteRefresh, &[high, low, kind, self.safi])
    }
}
