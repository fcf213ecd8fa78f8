//! What BGP and BFD cost, on a wire with Debian's BIRD and GoBGP: 100,000 routes beside those two as senders, one change among them, and
//! fifty sessions of BFD.
//!
//! `cargo bench -p ironlb-bench --bench routers`, as root.

mod bfd;
mod mrt;
mod rib_out;
mod sender;
mod senders;

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use ironlb_bgp_proto::{Attributes, NextHop, RouteKey, Routes};
use ironlb_lab::{Capsule, Lifetime, Network, RouterSpec, Software, capsule};
use ironlb_model::Prefix;

/// Ten times what the largest clusters have.
const ROUTES: u32 = 100_000;

fn main() -> Result<ExitCode> {
    capsule::play_role()?;
    if sender::is_meant() {
        return sender::play().map(|()| ExitCode::SUCCESS);
    }
    let capsule = capsule::enter(Lifetime::OfTheCommand)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(measure(&capsule));
    // What of a part that failed is still under way shall not hold up the end.
    runtime.shutdown_background();
    Ok(if outcome? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(capsule: &Capsule) -> Result<bool> {
    println!("BGP and BFD beside other routers");
    let mut kept = rib_out::change(ROUTES)?;
    let routers =
        [Software::Bird, Software::GoBgp, Software::Bird].map(|software| RouterSpec { software, client: false });
    let network = Network::up(capsule, 3, &routers).await?;
    kept &= senders::compare(&network).await.inspect_err(|_| network.dump_logs())?;
    kept &= bfd::fifty(&network).await?;
    Ok(kept)
}

/// The prefixes that are sent: /32, as Services have them.
fn prefixes(count: u32) -> impl Iterator<Item = Ipv4Addr> {
    (0..count).map(|number| Ipv4Addr::from(0x0a40_0000 + number))
}

/// So many routes through this node, with these attributes.
fn routes(count: u32, attributes: Attributes) -> Result<Routes> {
    let attributes = Arc::new(attributes);
    let prefix = |address| Prefix::new(IpAddr::V4(address), 32).context("a host's prefix");
    prefixes(count).map(|address| Ok((RouteKey::own(prefix(address)?), Arc::clone(&attributes)))).collect()
}

fn plain() -> Attributes {
    Attributes::new(NextHop::Own)
}
