//! A whole [`Bgp`] in a host's network.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_bgp::{Bgp, SessionStatus, Setup};
use ironlb_bgp_proto::Routes;
use ironlb_lab::{Netns, wait_for};
use tokio::runtime::Runtime;

/// The driver, on a runtime of its own: every thread of that lives in the host's network, and so does every socket.
#[derive(Debug)]
pub struct Speaker {
    bgp: Bgp,
    runtime: Option<Runtime>,
}

impl Speaker {
    /// Starts it, with nothing to do yet.
    ///
    /// # Errors
    /// The network is gone, or no thread is left.
    pub fn start(host: &Netns, restarted: bool) -> Result<Self> {
        let runtime = host.run(Runtime::new)??;
        let bgp = {
            let _inside = runtime.enter();
            Bgp::start(crate::seed(), restarted)
        };
        Ok(Self { bgp, runtime: Some(runtime) })
    }

    /// The driver.
    pub fn bgp(&self) -> &Bgp {
        &self.bgp
    }

    /// Configures it.
    pub fn configure(&self, setup: &Setup) {
        self.bgp.configure(setup.clone());
    }

    /// What one session's peer is to know.
    pub fn advertise(&self, session: &str, routes: Routes) {
        self.bgp.advertise(session, Arc::new(routes));
    }

    /// One session as it stands.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn session(&self, name: &str) -> Result<SessionStatus> {
        self.bgp.status().sessions.get(name).cloned().with_context(|| format!("no session {name}"))
    }

    /// Waits until a session stands as wanted.
    ///
    /// # Errors
    /// Time is up; the status is in the message.
    pub async fn reaches(
        &self,
        name: &str,
        what: &str,
        within: Duration,
        is_so: impl Fn(&SessionStatus) -> bool,
    ) -> Result<SessionStatus> {
        wait_for(within, &format!("session {name} to be {what}"), || async {
            let status = self.session(name)?;
            ensure!(is_so(&status), "{status:?}");
            Ok(Some(status))
        })
        .await
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not by waiting, which is forbidden inside another runtime.
            runtime.shutdown_background();
        }
    }
}
