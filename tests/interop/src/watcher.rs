//! BFD's driver alone, in a host's network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ironlb_bfd_proto::{Config, Path};
use ironlb_bgp::bfd::{Driver, Setup, Status};
use ironlb_bgp_proto::BfdState;
use ironlb_lab::{Netns, wait_for};

/// BFD sessions with routers, and all that the driver told of them.
#[derive(Debug)]
pub struct Watcher {
    driver: Driver,
    seen: Arc<Mutex<BTreeMap<String, Vec<Seen>>>>,
}

/// One thing that the driver told of a session.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it came out of the driver.
    pub at: Instant,
    /// What BGP is to make of it.
    pub bfd: BfdState,
    /// The rest.
    pub status: Status,
}

impl Watcher {
    /// Starts the driver in this network, on a runtime.
    ///
    /// # Errors
    /// The network is gone.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(host: &Netns) -> Result<Self> {
        let (driver, mut changes) = host.run(|| Driver::start(crate::seed()))??;
        let seen = Arc::<Mutex<BTreeMap<String, Vec<Seen>>>>::default();
        let writer = seen.clone();
        // Ends with the driver.
        tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                let mut seen = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let told = Seen { at: Instant::now(), bfd: change.bfd, status: change.status };
                seen.entry(change.session.to_string()).or_default().push(told);
            }
        });
        Ok(Self { driver, seen })
    }

    /// Makes these the sessions.
    pub fn set(&self, sessions: impl IntoIterator<Item = (String, Path, Config)>) {
        let sessions = sessions.into_iter().map(|(name, path, config)| (name, (path, Setup { config })));
        self.driver.set(sessions.collect());
    }

    /// Takes all down on purpose.
    pub async fn admin_down(&self) {
        self.driver.admin_down().await;
    }

    /// All that was told of a session, in its order.
    pub fn seen(&self, session: &str) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned().unwrap_or_default()
    }

    /// Waits until the last that was told of a session is as wanted.
    ///
    /// # Errors
    /// Time is up.
    pub async fn reaches(
        &self,
        session: &str,
        what: &str,
        within: Duration,
        is_so: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        wait_for(within, &format!("BFD session {session} to be {what}"), || async {
            let last = self.seen(session).pop().context("nothing was told of it")?;
            anyhow::ensure!(is_so(&last), "{last:?}");
            Ok(Some(last))
        })
        .await
    }
}
