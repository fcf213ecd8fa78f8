//! A site with ironlb on it: what scenarios and the demo stand on.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use ironlb_lab::capture::Capture;
use ironlb_lab::netns::SWITCH;
use ironlb_lab::probe::{Probe, Probing};
use ironlb_lab::{Capsule, Component, Metronome, Netns, Site, SiteSpec};

use crate::release;

/// How long anything that takes seconds may take. Chosen: ten times what a busy machine of two cores needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The client whose connections are measured.
pub const CLIENT: &str = "c1";
/// The client that asks by ARP: another one, because an answer would also refresh the measured client's memory of who has a vip.
pub const ASKER: &str = "c2";

/// How much is done: once with small numbers, or many times with large ones (`IRONLB_SOAK=1`).
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// How often the owner's power is cut.
    pub power_cuts: usize,
    /// How many Services come and go at once.
    pub services: usize,
    /// How often a process is killed or frozen.
    pub process_faults: usize,
    /// Every row of a matrix, not only those that differ most.
    pub everything: bool,
}

impl Scale {
    /// As the environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        if std::env::var_os("IRONLB_SOAK").is_some_and(|value| value == "1") {
            Self { power_cuts: 20, services: 200, process_faults: 10, everything: true }
        } else {
            Self { power_cuts: 1, services: 20, process_faults: 1, everything: false }
        }
    }
}

/// A site, with ironlb installed on it by Helm.
#[derive(Debug)]
pub struct Stage {
    /// The site.
    pub site: Site,
    /// How much is done on it.
    pub scale: Scale,
    /// Ticks beside all that happens here.
    pub(crate) metronome: Metronome,
    records: PathBuf,
    /// The chart's values that ironlb is installed with here, where they differ from its own.
    pub(crate) values: &'static [&'static str],
}

impl Stage {
    /// Brings the site up, without ironlb, which is to be installed with `values`. What instruments record goes to the folder `records`.
    ///
    /// # Errors
    /// The site does not come up; the logs that matter have been printed.
    pub async fn bare(
        capsule: &Capsule,
        spec: SiteSpec,
        values: &'static [&'static str],
        records: &Path,
    ) -> Result<Self> {
        std::fs::create_dir_all(records).with_context(|| records.display().to_string())?;
        let metronome = Metronome::start().context("a metronome")?;
        let site = Site::up(capsule, spec).await?;
        Ok(Self { site, scale: Scale::from_environment(), metronome, records: records.to_owned(), values })
    }

    /// Brings the site up and installs ironlb.
    ///
    /// # Errors
    /// As [`Stage::bare`], or the installation fails; the logs that matter have been printed.
    pub async fn raise(
        capsule: &Capsule,
        spec: SiteSpec,
        values: &'static [&'static str],
        records: &Path,
    ) -> Result<Self> {
        let stage = Self::bare(capsule, spec, values, records).await?;
        if let Err(error) = release::install(&stage).await {
            crate::evidence::print(&stage, None).await;
            stage.site.down().await?;
            return Err(error);
        }
        Ok(stage)
    }

    /// A file for a measurement.
    #[must_use]
    pub fn record(&self, name: &str) -> PathBuf {
        self.records.join(name)
    }

    /// Where measurements are kept.
    #[must_use]
    pub fn records(&self) -> &Path {
        &self.records
    }

    /// The namespace of a host.
    #[must_use]
    pub fn netns(&self, host: &str) -> Netns {
        self.site.netns(host)
    }

    /// An address of the LAN by its last number.
    #[must_use]
    pub fn lan_address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.site.node(1).ipv4().octets();
        Ipv4Addr::new(a, b, c, last)
    }

    /// Begins to record every frame on the LAN.
    ///
    /// # Errors
    /// The switch cannot be listened to.
    pub fn capture(&self, name: &str) -> Result<Capture> {
        let file = self.record(&format!("{name}.pcap"));
        Capture::start(&self.netns(SWITCH), "br0", &file).context("capture on the switch")
    }

    /// Begins to connect to port 80 of an address, 100 times a second.
    ///
    /// # Errors
    /// The client cannot start.
    pub fn probe(&self, name: &str, vip: Ipv4Addr) -> Result<Probe> {
        let file = self.record(&format!("{name}.log"));
        let target = SocketAddr::from((vip, 80));
        Probe::start(&self.netns(CLIENT), target, Probing::default(), &file).context("probe")
    }

    /// Puts back whatever a scenario that failed half-way has left broken, and waits until everything is well.
    ///
    /// # Errors
    /// It does not become well.
    pub async fn mend(&self) -> Result<()> {
        self.site.heal()?;
        self.site.api_server().start()?;
        self.site.api_ready(PATIENCE).await?;
        for node in self.site.nodes() {
            if node.has_power() {
                node.thaw_all()?;
                node.cable(true)?;
                node.component(Component::Kubelet)?.thaw()?;
                node.component(Component::Kubelet)?.start()?;
            } else {
                node.power_on().await?;
            }
            for process in node.processes()?.iter().filter(|process| release::is_ironlb(process)) {
                // One that has just ended needs no waking.
                let _ = node.thaw(process.lab_pid);
            }
        }
        self.site.nodes_ready(PATIENCE).await?;
        release::all_well(self, PATIENCE).await
    }
}
