//! Why a datagram was not taken.

/// Why a datagram was not taken; each that is not taken has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Shorter than the shortest packet.
    Truncated,
    /// A version other than 1.
    Version,
    /// Its length field leaves no room for what it must hold.
    LengthTooShort,
    /// Its length field goes beyond what arrived.
    LengthBeyondPayload,
    /// Its detection multiplier is zero.
    DetectMultZero,
    /// Its multipoint bit is set.
    Multipoint,
    /// Its sender's discriminator is zero.
    MyDiscriminatorZero,
    /// It names a session of ours that does not exist.
    UnknownDiscriminator,
    /// It names no session, yet says that it hears us.
    StateWithoutDiscriminator,
    /// It names no session, and comes from where no session of ours leads.
    NoSession,
    /// It names a session that uses the other UDP port.
    WrongPort,
    /// It came farther than it may.
    Ttl,
    /// It is signed, and the session is not.
    UnexpectedAuthentication,
    /// It is not signed, and the session is.
    MissingAuthentication,
    /// It is signed in another way, or its signature is not as long as it must be.
    AuthenticationType,
    /// It is signed with a key of another number.
    AuthenticationKey,
    /// It is old, or far ahead.
    AuthenticationSequence,
    /// Its hash is wrong: another key, or somebody changed it.
    AuthenticationHash,
    /// The session is held down on our side.
    AdminDown,
}

impl DropReason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 19] = [
        Self::Truncated,
        Self::Version,
        Self::LengthTooShort,
        Self::LengthBeyondPayload,
        Self::DetectMultZero,
        Self::Multipoint,
        Self::MyDiscriminatorZero,
        Self::UnknownDiscriminator,
        Self::StateWithoutDiscriminator,
        Self::NoSession,
        Self::WrongPort,
        Self::Ttl,
        Self::UnexpectedAuthentication,
        Self::MissingAuthentication,
        Self::AuthenticationType,
        Self::AuthenticationKey,
        Self::AuthenticationSequence,
        Self::AuthenticationHash,
        Self::AdminDown,
    ];

    /// Its name as a metric label.
    #[must_use]
    pub const fn category(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Version => "version",
            Self::LengthTooShort => "length_too_short",
            Self::LengthBeyondPayload => "length_beyond_payload",
            Self::DetectMultZero => "detect_mult_zero",
            Self::Multipoint => "multipoint",
            Self::MyDiscriminatorZero => "my_discriminator_zero",
            Self::UnknownDiscriminator => "unknown_discriminator",
            Self::StateWithoutDiscriminator => "state_without_discriminator",
            Self::NoSession => "no_session",
            Self::WrongPort => "wrong_port",
            Self::Ttl => "ttl",
            Self::UnexpectedAuthentication => "unexpected_authentication",
            Self::MissingAuthentication => "missing_authentication",
            Self::AuthenticationType => "authentication_type",
            Self::AuthenticationKey => "authentication_key",
            Self::AuthenticationSequence => "authentication_sequence",
            Self::AuthenticationHash => "authentication_hash",
            Self::AdminDown => "admin_down",
        }
    }

    /// Its place in [`DropReason::ALL`], for a counter per reason.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_a_name_of_its_own() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
        let names: std::collections::BTreeSet<_> = DropReason::ALL.map(DropReason::category).into();
        assert_eq!(names.len(), DropReason::ALL.len());
    }
}
