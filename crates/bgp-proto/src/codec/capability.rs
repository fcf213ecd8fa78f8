//! What a speaker can do, as it says in its OPEN (RFC 5492).

use std::collections::BTreeSet;

use super::iana::capability as code;
use super::reader::Reader;
use crate::Family;

/// What the flags and times of graceful restart say (RFC 4724 §3, RFC 8538 §2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// The speaker has restarted: do not wait for its End-of-RIB (the R bit).
    pub restarted: bool,
    /// A NOTIFICATION is survived as well (the N bit).
    pub notification: bool,
    /// How long the session may be away, in seconds; 12 bits.
    pub restart_time: u16,
    /// The families, by number, and whether forwarding went on meanwhile (the F bit).
    pub families: Vec<(u16, u8, bool)>,
}

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capability {
    /// Routes of this family (RFC 4760 §8).
    Multiprotocol {
        /// The address family.
        afi: u16,
        /// The subsequent address family.
        safi: u8,
    },
    /// It sends all routes again when asked (RFC 2918).
    RouteRefresh,
    /// It marks where such a second sending begins and ends (RFC 7313).
    EnhancedRouteRefresh,
    /// Its autonomous system in four octets (RFC 6793); zero is possible here, and refused later.
    FourOctetAs(u32),
    /// It takes messages of up to 65,535 bytes (RFC 8654).
    ExtendedMessage,
    /// It survives a restart (RFC 4724).
    GracefulRestart(GracefulRestart),
    /// It takes routes of `(afi, safi)` with a next hop of the third number's family (RFC 8950).
    ExtendedNextHop(Vec<(u16, u16, u16)>),
    /// It takes (1), sends (2) or does both (3) with several paths of one prefix (RFC 7911).
    AddPath(Vec<(u16, u8, u8)>),
    /// Any other, and any of the above whose value is not what its RFC says.
    Unknown {
        /// Its code.
        code: u8,
        /// Its value.
        value: Vec<u8>,
    },
}

impl Capability {
    /// Its code and value, as they stand on the wire.
    #[must_use]
    pub fn to_wire(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Multiprotocol { afi, safi } => {
                let [high, low] = afi.to_be_bytes();
                (code::MULTIPROTOCOL, vec![high, low, 0, *safi])
            }
            Self::RouteRefresh => (code::ROUTE_REFRESH, Vec::new()),
            Self::EnhancedRouteRefresh => (code::ENHANCED_ROUTE_REFRESH, Vec::new()),
            Self::FourOctetAs(number) => (code::FOUR_OCTET_AS, number.to_be_bytes().to_vec()),
            Self::ExtendedMessage => (code::EXTENDED_MESSAGE, Vec::new()),
            Self::GracefulRestart(restart) => {
                let flags = u16::from(restart.restarted) << 15 | u16::from(restart.notification) << 14;
                let mut value = (flags | (restart.restart_time & 0x0fff)).to_be_bytes().to_vec();
                for (afi, safi, forwarding) in &restart.families {
                    value.extend(afi.to_be_bytes());
                    value.extend([*safi, u8::from(*forwarding) << 7]);
                }
                (code::GRACEFUL_RESTART, value)
            }
            Self::ExtendedNextHop(entries) => {
                let value = entries.iter().flat_map(|(afi, safi, next_hop)| {
                    [afi.to_be_bytes(), safi.to_be_bytes(), next_hop.to_be_bytes()].concat()
                });
                (code::EXTENDED_NEXT_HOP, value.collect())
            }
            Self::AddPath(entries) => {
                let value = entries.iter().flat_map(|(afi, safi, mode)| {
                    let [high, low] = afi.to_be_bytes();
                    [high, low, *safi, *mode]
                });
                (code::ADD_PATH, value.collect())
            }
            Self::Unknown { code, value } => (*code, value.clone()),
        }
    }

    /// From its code and value.
    ///
    /// A value that is not what the RFC says makes the capability an unknown one: it is then ignored, as RFC 5492 §5 asks for what
    /// a speaker does not understand.
    #[must_use]
    pub fn from_wire(number: u8, value: &[u8]) -> Self {
        Self::understood(number, value).unwrap_or_else(|| Self::Unknown { code: number, value: value.to_vec() })
    }

    fn understood(number: u8, value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let capability = match number {
            code::MULTIPROTOCOL => {
                let (afi, _reserved, safi) = (reader.short()?, reader.byte()?, reader.byte()?);
                Self::Multiprotocol { afi, safi }
            }
            code::ROUTE_REFRESH => Self::RouteRefresh,
            code::ENHANCED_ROUTE_REFRESH => Self::EnhancedRouteRefresh,
            code::FOUR_OCTET_AS => Self::FourOctetAs(reader.long()?),
            code::EXTENDED_MESSAGE => Self::ExtendedMessage,
            code::GRACEFUL_RESTART => {
                let head = reader.short()?;
                let mut families = Vec::new();
                while !reader.is_empty() {
                    let (afi, safi, flags) = (reader.short()?, reader.byte()?, reader.byte()?);
                    families.push((afi, safi, flags & 0x80 != 0));
                }
                Self::GracefulRestart(GracefulRestart {
                    restarted: head & 0x8000 != 0,
                    notification: head & 0x4000 != 0,
                    restart_time: head & 0x0fff,
                    families,
                })
            }
            code::EXTENDED_NEXT_HOP => {
                let mut entries = Vec::new();
                while !reader.is_empty() {
                    entries.push((reader.short()?, reader.short()?, reader.short()?));
                }
                Self::ExtendedNextHop(entries)
            }
            code::ADD_PATH => {
                let mut entries = Vec::new();
                while !reader.is_empty() {
                    entries.push((reader.short()?, reader.byte()?, reader.byte()?));
                }
                Self::AddPath(entries)
            }
            _ => return None,
        };
        reader.is_empty().then_some(capability)
    }
}

/// What an OPEN says in its capabilities, gathered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Families named by capability 1; empty when there is none at all.
    pub families: BTreeSet<(u16, u8)>,
    /// RFC 2918.
    pub route_refresh: bool,
    /// RFC 7313.
    pub enhanced_route_refresh: bool,
    /// RFC 6793.
    pub four_octet_as: Option<u32>,
    /// RFC 8654.
    pub extended_message: bool,
    /// RFC 4724.
    pub graceful_restart: Option<GracefulRestart>,
    /// Families of IPv4 that may have an IPv6 next hop (RFC 8950).
    pub extended_next_hop: BTreeSet<(u16, u16, u16)>,
    /// Families of which it takes several paths (RFC 7911).
    pub add_path_receive: BTreeSet<(u16, u8)>,
}

impl Abilities {
    /// What these capabilities say together.
    #[must_use]
    pub fn gather(capabilities: &[Capability]) -> Self {
        let mut all = Self::default();
        for capability in capabilities {
            match capability {
                Capability::Multiprotocol { afi, safi } => {
                    all.families.insert((*afi, *safi));
                }
                Capability::RouteRefresh => all.route_refresh = true,
                Capability::EnhancedRouteRefresh => all.enhanced_route_refresh = true,
                Capability::FourOctetAs(number) => all.four_octet_as = Some(*number),
                Capability::ExtendedMessage => all.extended_message = true,
                //= https://www.rfc-editor.org/rfc/rfc4724#section-3
                //# If more than one instance of the Graceful Restart Capability is
                //# carried in the capability advertisement, the receiver of the
                //# advertisement MUST ignore all but the last instance
                Capability::GracefulRestart(restart) => all.graceful_restart = Some(restart.clone()),
                Capability::ExtendedNextHop(entries) => all.extended_next_hop.extend(entries),
                Capability::AddPath(entries) => {
                    //= https://www.rfc-editor.org/rfc/rfc7911#section-4
                    //# If any other value is received, then the capability SHOULD be
                    //# treated as not understood and ignored
                    let takes = entries.iter().filter(|(_, _, mode)| matches!(mode, 1 | 3));
                    all.add_path_receive.extend(takes.map(|(afi, safi, _)| (*afi, *safi)));
                }
                //= https://www.rfc-editor.org/rfc/rfc5492#section-3
                //# the Unsupported Capability NOTIFICATION message MUST NOT be generated and
                //# the BGP session MUST NOT be terminated in response to reception of a
                //# capability that is not supported by the local speaker.
                Capability::Unknown { .. } => {}
            }
        }
        all
    }

    /// Does it take routes of this family?
    #[must_use]
    pub fn takes(&self, family: Family) -> bool {
        // Without capability 1 a speaker is one of RFC 4271 alone, which carries IPv4 unicast.
        self.families.contains(&family.numbers()) || (self.families.is_empty() && family == Family::Ipv4Unicast)
    }
}
