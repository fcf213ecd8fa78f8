//! The last snapshot as bytes, for the next speaker of this node on this boot. Pure.
//!
//! ```text
//! "ironlb snapshot\n" | format, version of ironlb | contents | checksum of all before, 8 bytes, little endian
//! ```
//!
//! Between is `postcard`, which has no names of fields: only the version that wrote a file can read it, and any other ignores it. It is
//! there for a restart while the API server is away, and no upgrade is rolled out without one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

use ironlb_model::{
    BgpConf, BgpPeer, Eip, EipName, Endpoints, Node, NodeName, Password, Policy, Service, ServiceId, Settings,
    Snapshot, SpeakerReport,
};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8] = b"ironlb snapshot\n";

/// Raised when the layout around the contents changes.
const FORMAT: u32 = 1;

/// A file that is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is none of ours, or cut off, or changed since it was written.
    #[error("it is damaged")]
    Damaged,
    /// Another version wrote it.
    #[error("ironlb {0} wrote it")]
    OtherVersion(String),
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    format: u32,
    version: &'a str,
}

/// What is kept of a snapshot: all but what the command line says and what only the controller needs.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct KeptSnapshot {
    services: BTreeMap<ServiceId, Arc<Service>>,
    eips: BTreeMap<EipName, Arc<Eip>>,
    nodes: BTreeMap<NodeName, Arc<Node>>,
    endpoints: BTreeMap<ServiceId, Arc<Endpoints>>,
    speakers: BTreeMap<NodeName, Arc<SpeakerReport>>,
    bgp_confs: BTreeMap<String, Arc<BgpConf>>,
    bgp_peers: BTreeMap<String, Arc<BgpPeer>>,
    policies: BTreeMap<String, Arc<Policy>>,
    openelb: Vec<String>,
    /// The passwords that BgpPeers name, by name of the Secret and key.
    passwords: BTreeMap<(String, String), String>,
    /// What was answered for in Layer 2.
    answering: BTreeSet<IpAddr>,
}

impl std::fmt::Debug for KeptSnapshot {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptSnapshot").field("services", &self.services.len()).finish_non_exhaustive()
    }
}

impl KeptSnapshot {
    /// Of a snapshot; `password` knows what stands in a Secret under a key. The values are shared, not copied.
    pub(crate) fn of(snapshot: &Snapshot, password: impl Fn(&str, &str) -> Option<Arc<str>>) -> Self {
        let named = snapshot.bgp_peers.values().filter_map(|peer| match peer.peering.as_ref()?.password.as_ref()? {
            Password::Secret { name, key } => {
                Some(((name.clone(), key.clone()), password(name, key)?.as_ref().to_owned()))
            }
            Password::Plain(_) => None,
        });
        Self {
            services: snapshot.services.clone(),
            eips: snapshot.eips.clone(),
            nodes: snapshot.nodes.clone(),
            endpoints: snapshot.endpoints.clone(),
            speakers: snapshot.speakers.clone(),
            bgp_confs: snapshot.bgp_confs.clone(),
            bgp_peers: snapshot.bgp_peers.clone(),
            policies: snapshot.policies.clone(),
            openelb: snapshot.openelb.clone(),
            passwords: named.collect(),
            answering: BTreeSet::new(),
        }
    }

    /// The same, with what is answered for in Layer 2.
    pub(crate) fn answering(self, answering: BTreeSet<IpAddr>) -> Self {
        Self { answering, ..self }
    }

    /// What was answered for in Layer 2.
    pub(crate) fn answered(&self) -> &BTreeSet<IpAddr> {
        &self.answering
    }

    /// The snapshot, under what the command line says now.
    pub(crate) fn snapshot(&self, settings: &Settings) -> Snapshot {
        Snapshot {
            settings: settings.clone(),
            services: self.services.clone(),
            eips: self.eips.clone(),
            namespaces: BTreeMap::new(),
            nodes: self.nodes.clone(),
            endpoints: self.endpoints.clone(),
            speakers: self.speakers.clone(),
            bgp_confs: self.bgp_confs.clone(),
            bgp_peers: self.bgp_peers.clone(),
            policies: self.policies.clone(),
            issues: Vec::new(),
            openelb: self.openelb.clone(),
        }
    }

    /// What stood in a Secret under a key.
    pub(crate) fn password(&self, secret: &str, key: &str) -> Option<Arc<str>> {
        self.passwords.get(&(secret.to_owned(), key.to_owned())).map(|password| password.as_str().into())
    }

    /// Writes it, as `version` of ironlb does.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn write(&self, version: &str, out: &mut impl Write) -> io::Result<()> {
        let mut out = Summing { out, sum: Sum::new() };
        out.write_all(MAGIC)?;
        postcard::to_io(&Header { format: FORMAT, version }, &mut out).map_err(io::Error::other)?;
        postcard::to_io(self, &mut out).map_err(io::Error::other)?;
        let sum = out.sum;
        out.write_all(&sum.0.to_le_bytes())
    }

    /// Reads it.
    ///
    /// # Errors
    /// Why it is not used. No bytes make it panic.
    pub(crate) fn read(version: &str, bytes: &[u8]) -> Result<Self, Unusable> {
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or(Unusable::Damaged)?;
        let rest = body.strip_prefix(MAGIC).ok_or(Unusable::Damaged)?;
        if Sum::new().over(body).0 != u64::from_le_bytes(*sum) {
            return Err(Unusable::Damaged);
        }
        let (header, contents) = postcard::take_from_bytes::<Header<'_>>(rest).map_err(|_| Unusable::Damaged)?;
        if (header.format, header.version) != (FORMAT, version) {
            return Err(Unusable::OtherVersion(header.version.to_owned()));
        }
        match postcard::take_from_bytes(contents) {
            Ok((kept, [])) => Ok(kept),
            _ => Err(Unusable::Damaged),
        }
    }
}

/// FNV-1a, 64 bits (<https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>): it is to notice damage, not malice, which would need the
/// rights of this process.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn over(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
    }
}

struct Summing<'w, W> {
    out: &'w mut W,
    sum: Sum,
}

impl<W: Write> Write for Summing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum = self.sum.over(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
