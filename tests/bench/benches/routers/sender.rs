//! Our driver in a process of its own, so that its memory can be told from the rest: this executable once more.

use std::fs;
use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ironlb_bgp::{Bgp, Session, Setup};
use ironlb_bgp_proto::{Asn, Config, RouterId};
use ironlb_lab::Netns;
use ironlb_model::Neighbor;

use crate::{plain, routes};

/// Set where the process is a sender: to the address of its router.
const ROUTER: &str = "IRONLB_BENCH_ROUTER";
const SESSION: &str = "router";
/// The sender's, and its router's.
pub(crate) const ASN: [u32; 2] = [65001, 65010];

/// Is this process one?
pub(crate) fn is_meant() -> bool {
    std::env::var_os(ROUTER).is_some()
}

/// Reads from its input how many routes there are to be, until that ends.
pub(crate) fn play() -> Result<()> {
    let router: Ipv4Addr = std::env::var(ROUTER)?.parse()?;
    let [own, peer] = ASN.map(Asn::new);
    let id = RouterId::new([192, 168, 0, 1].into()).context("no identifier")?;
    let mut config = Config::new(own.context("AS 0")?, peer.context("AS 0")?, id);
    config.timing.connect_retry = Duration::from_secs(1);
    let session = Session::new(config, Neighbor::Address(router.into()));
    let runtime = tokio::runtime::Runtime::new()?;
    let bgp = runtime.block_on(async { Bgp::start(1, false) });
    bgp.configure(Setup { listener: None, sessions: [(SESSION.to_owned(), session)].into() });
    for line in std::io::stdin().lock().lines() {
        bgp.advertise(SESSION, Arc::new(routes(line?.parse()?, plain())?));
        println!("told");
    }
    Ok(())
}

/// Such a process, from outside. It is killed when this is dropped.
pub(crate) struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sender {
    pub(crate) fn start(host: &Netns, router: Ipv4Addr) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(ROUTER, router.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(host.run(|| command.spawn())??))
    }

    /// Has so many routes from now on.
    pub(crate) fn advertise(&mut self, count: u32) -> Result<()> {
        let input = self.0.stdin.as_mut().context("its input")?;
        writeln!(input, "{count}")?;
        let mut answer = [0; 5];
        std::io::Read::read_exact(self.0.stdout.as_mut().context("its output")?, &mut answer)?;
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

/// The resident memory of a process in MiB.
pub(crate) fn memory(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
