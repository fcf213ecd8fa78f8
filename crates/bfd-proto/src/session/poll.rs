//! Poll Sequences: how one side is sure that the other knows of a change (RFC 5880 §6.5).

/// Where a Poll Sequence of ours stands.
///
/// ```text
///            request          packet with P sent         packet with F received       packet without F received
///   Quiet -------------> Asked ---------------> Sent --------------------------> Settling -----------------> Quiet
///                          ^                      | request: again                  | request: again            or
///                          +----------------------+---------------------------------+------------------------> Asked
/// ```
///
/// A change that is asked for while an answer to the one before may still be on its way starts a sequence of its own: the answer
/// could not be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Poll {
    /// None under way.
    #[default]
    Quiet,
    /// Wanted; no packet with P has been sent yet, so further changes join it.
    Asked,
    /// Under way.
    Sent {
        /// Something changed since.
        again: bool,
    },
    /// Answered; another answer may be on its way.
    Settling {
        /// Something changed since.
        again: bool,
    },
}

impl Poll {
    //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.3
    //# Therefore, if multiple changes are made that
    //# require the use of a Poll Sequence, there are three choices: 1) they
    //# MUST be communicated in a single BFD Control packet (so the semantics
    //# of the Final reply are clear), or 2) sufficient time must have
    //# transpired since the Poll Sequence was completed to disambiguate the
    //# situation (at least a round trip time since the last Poll was
    //# transmitted) prior to the initiation of another Poll Sequence, or 3)
    //# an additional BFD Control packet with the Final (F) bit *clear* MUST
    //# be received after the Poll Sequence has completed prior to the
    //# initiation of another Poll Sequence (this option is not available
    //# when Demand mode is active).
    //
    // 1 before the first packet with P, 3 after it. Demand mode of our own, which would take 3 away, does not exist here.
    pub(super) fn request(&mut self) {
        *self = match *self {
            Self::Quiet | Self::Asked => Self::Asked,
            Self::Sent { .. } => Self::Sent { again: true },
            Self::Settling { .. } => Self::Settling { again: true },
        };
    }

    /// Shall packets carry P?
    pub(super) const fn is_active(self) -> bool {
        matches!(self, Self::Asked | Self::Sent { .. })
    }

    /// A packet with P was sent.
    pub(super) fn sent(&mut self) {
        if *self == Self::Asked {
            *self = Self::Sent { again: false };
        }
    }

    /// A packet was received. Has a sequence ended that told the peer of all that changed?
    pub(super) fn received(&mut self, is_final: bool) -> bool {
        match (*self, is_final) {
            //= https://www.rfc-editor.org/rfc/rfc5880#section-6.8.6
            //# If a Poll Sequence is being transmitted by the local system and
            //# the Final (F) bit in the received packet is set, the Poll Sequence
            //# MUST be terminated.
            (Self::Sent { again }, true) => {
                *self = Self::Settling { again };
                !again
            }
            (Self::Settling { again }, false) => {
                *self = if again { Self::Asked } else { Self::Quiet };
                false
            }
            _ => false,
        }
    }
}
