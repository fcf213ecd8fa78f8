//! Registries and nothing else: numbers with reserved but lawful values stay numbers.

/// Message types. <https://www.iana.org/assignments/bgp-parameters/> "BGP Message Types".
pub mod message {
    /// RFC 4271 §4.2.
    pub const OPEN: u8 = 1;
    /// RFC 4271 §4.3.
    pub const UPDATE: u8 = 2;
    /// RFC 4271 §4.5.
    pub const NOTIFICATION: u8 = 3;
    /// RFC 4271 §4.4.
    pub const KEEPALIVE: u8 = 4;
    /// RFC 2918 §3.
    pub const ROUTE_REFRESH: u8 = 5;
}

/// Error codes of NOTIFICATION. Same page, "BGP Error (Notification) Codes".
pub mod error {
    /// RFC 4271 §6.1.
    pub const HEADER: u8 = 1;
    /// RFC 4271 §6.2.
    pub const OPEN: u8 = 2;
    /// RFC 4271 §6.3.
    pub const UPDATE: u8 = 3;
    /// RFC 4271 §6.5.
    pub const HOLD_TIMER: u8 = 4;
    /// RFC 4271 §6.6.
    pub const FSM: u8 = 5;
    /// RFC 4271 §6.7.
    pub const CEASE: u8 = 6;
    /// RFC 7313 §5.
    pub const ROUTE_REFRESH: u8 = 7;
    /// RFC 9687 §4.
    pub const SEND_HOLD_TIMER: u8 = 8;
}

/// Subcodes of "Message Header Error".
pub mod header {
    /// RFC 4271 §6.1.
    pub const NOT_SYNCHRONIZED: u8 = 1;
    /// RFC 4271 §6.1.
    pub const BAD_LENGTH: u8 = 2;
    /// RFC 4271 §6.1.
    pub const BAD_TYPE: u8 = 3;
}

/// Subcodes of "OPEN Message Error".
pub mod open {
    /// RFC 4271 §6.2: none of the others fits.
    pub const UNSPECIFIC: u8 = 0;
    /// RFC 4271 §6.2.
    pub const UNSUPPORTED_VERSION: u8 = 1;
    /// RFC 4271 §6.2.
    pub const BAD_PEER_AS: u8 = 2;
    /// RFC 4271 §6.2, RFC 6286 §2.2.
    pub const BAD_IDENTIFIER: u8 = 3;
    /// RFC 4271 §6.2.
    pub const UNSUPPORTED_PARAMETER: u8 = 4;
    /// RFC 4271 §6.2.
    pub const UNACCEPTABLE_HOLD_TIME: u8 = 6;
    /// RFC 5492 §5.
    pub const UNSUPPORTED_CAPABILITY: u8 = 7;
}

/// Subcodes of "UPDATE Message Error" that are still sent after RFC 7606.
pub mod update {
    /// RFC 4271 §6.3.
    pub const MALFORMED_ATTRIBUTE_LIST: u8 = 1;
    /// RFC 4271 §6.3.
    pub const UNRECOGNIZED_WELL_KNOWN: u8 = 2;
    /// RFC 4271 §6.3; RFC 7606 §7.11 for MP_REACH_NLRI.
    pub const OPTIONAL_ATTRIBUTE: u8 = 9;
    /// RFC 4271 §6.3.
    pub const INVALID_NETWORK_FIELD: u8 = 10;
}

/// Subcodes of "Finite State Machine Error" (RFC 6608 §3).
pub mod fsm {
    /// Without a reason; for the states that RFC 6608 does not name.
    pub const UNSPECIFIED: u8 = 0;
    /// Unexpected message in OpenSent.
    pub const OPEN_SENT: u8 = 1;
    /// Unexpected message in OpenConfirm.
    pub const OPEN_CONFIRM: u8 = 2;
    /// Unexpected message in Established.
    pub const ESTABLISHED: u8 = 3;
}

/// Subcodes of "Cease".
pub mod cease {
    /// RFC 4486 §3.
    pub const MAXIMUM_PREFIXES: u8 = 1;
    /// RFC 4486 §3.
    pub const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
    /// RFC 4486 §3.
    pub const PEER_DECONFIGURED: u8 = 3;
    /// RFC 4486 §3.
    pub const ADMINISTRATIVE_RESET: u8 = 4;
    /// RFC 4486 §3.
    pub const CONNECTION_REJECTED: u8 = 5;
    /// RFC 4486 §3.
    pub const OTHER_CONFIGURATION_CHANGE: u8 = 6;
    /// RFC 4486 §3.
    pub const COLLISION_RESOLUTION: u8 = 7;
    /// RFC 4486 §3.
    pub const OUT_OF_RESOURCES: u8 = 8;
    /// RFC 8538 §3.
    pub const HARD_RESET: u8 = 9;
    /// RFC 9384 §3.
    pub const BFD_DOWN: u8 = 10;
}

/// Subcodes of "ROUTE-REFRESH Message Error".
pub mod refresh {
    /// RFC 7313 §5.
    pub const INVALID_LENGTH: u8 = 1;
}

/// Capability codes. <https://www.iana.org/assignments/capability-codes/>
pub mod capability {
    /// RFC 4760 §8.
    pub const MULTIPROTOCOL: u8 = 1;
    /// RFC 2918 §2.
    pub const ROUTE_REFRESH: u8 = 2;
    /// RFC 8950 §4.
    pub const EXTENDED_NEXT_HOP: u8 = 5;
    /// RFC 8654 §3.
    pub const EXTENDED_MESSAGE: u8 = 6;
    /// RFC 4724 §3.
    pub const GRACEFUL_RESTART: u8 = 64;
    /// RFC 6793 §3.
    pub const FOUR_OCTET_AS: u8 = 65;
    /// RFC 7911 §4.
    pub const ADD_PATH: u8 = 69;
    /// RFC 7313 §3.1.
    pub const ENHANCED_ROUTE_REFRESH: u8 = 70;
}

/// Path attribute types. <https://www.iana.org/assignments/bgp-parameters/> "BGP Path Attributes".
pub mod attribute {
    /// RFC 4271 §5.1.1.
    pub const ORIGIN: u8 = 1;
    /// RFC 4271 §5.1.2.
    pub const AS_PATH: u8 = 2;
    /// RFC 4271 §5.1.3.
    pub const NEXT_HOP: u8 = 3;
    /// RFC 4271 §5.1.4.
    pub const MULTI_EXIT_DISC: u8 = 4;
    /// RFC 4271 §5.1.5.
    pub const LOCAL_PREF: u8 = 5;
    /// RFC 4271 §5.1.6.
    pub const ATOMIC_AGGREGATE: u8 = 6;
    /// RFC 4271 §5.1.7.
    pub const AGGREGATOR: u8 = 7;
    /// RFC 1997.
    pub const COMMUNITIES: u8 = 8;
    /// RFC 4456.
    pub const ORIGINATOR_ID: u8 = 9;
    /// RFC 4456.
    pub const CLUSTER_LIST: u8 = 10;
    /// RFC 4760 §3.
    pub const MP_REACH_NLRI: u8 = 14;
    /// RFC 4760 §4.
    pub const MP_UNREACH_NLRI: u8 = 15;
    /// RFC 4360.
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    /// RFC 6793 §3.
    pub const AS4_PATH: u8 = 17;
    /// RFC 6793 §3.
    pub const AS4_AGGREGATOR: u8 = 18;
    /// RFC 8092 §3.
    pub const LARGE_COMMUNITY: u8 = 32;
}

/// Kinds of AS_PATH segments (RFC 4271 §4.3, RFC 5065 §3).
pub mod segment {
    /// Unordered.
    pub const AS_SET: u8 = 1;
    /// Ordered.
    pub const AS_SEQUENCE: u8 = 2;
    /// Ordered, within a confederation.
    pub const AS_CONFED_SEQUENCE: u8 = 3;
    /// Unordered, within a confederation.
    pub const AS_CONFED_SET: u8 = 4;
}
