//! What tests of this crate share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ironlb_model::{Asn, Neighbor, Peering};

/// Values to decide on.
#[expect(dead_code, reason = "other crates' tests use the rest")]
#[path = "../../announce/tests/site/mod.rs"]
pub(crate) mod site;

/// The spec of a BgpPeer with nothing out of the ordinary.
pub(crate) fn peering() -> Peering {
    Peering::new(Neighbor::Address(site::ip("192.0.2.254")), Asn::new(65_000).expect("a literal"))
}

/// A folder of its own for one test, gone with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("ironlb-speaker-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the machine's folder for such things");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody can be helped by an error here.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
