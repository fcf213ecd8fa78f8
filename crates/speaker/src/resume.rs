//! Going on with what this node answered for in Layer 2, after a restart while the API server is away.
//!
//! [`Resumed`] holds the rule; here is what is asked of the LAN, and for what.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use ironlb_layer2::ask;
use ironlb_membership::{Resumed, Timing};
use ironlb_model::{InterfaceName, Interfaces, Timestamp};
use ironlb_telemetry::fields;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// The LAN's answer: what was asked for, and who of it is taken.
#[derive(Debug)]
pub(crate) struct Heard {
    vips: BTreeSet<IpAddr>,
    taken: io::Result<BTreeSet<IpAddr>>,
}

/// What is gone on with.
#[derive(Debug, Default)]
pub(crate) struct Resumption {
    resumed: Resumed,
    /// What the speaker before this one answered for, and the LAN has not been asked about yet.
    open: BTreeSet<IpAddr>,
}

impl Resumption {
    /// Of a speaker before which another one answered for these.
    pub(crate) fn of(before: BTreeSet<IpAddr>) -> Self {
        Self { resumed: Resumed::default(), open: before }
    }

    /// Asks the LAN for those of the vips wanted here that were answered for, once each; the answers come as `wrap` makes them.
    pub(crate) fn ask<A: Send + 'static>(
        &mut self,
        wanted: impl Iterator<Item = (IpAddr, InterfaceName)>,
        interfaces: &Interfaces,
        answers: &mut JoinSet<A>,
        wrap: fn(Heard) -> A,
    ) {
        let mut by_index: BTreeMap<u32, BTreeSet<IpAddr>> = BTreeMap::new();
        for (vip, interface) in wanted {
            if let Some(interface) = interfaces.by_name.get(&interface).filter(|interface| interface.up)
                && self.open.remove(&vip)
            {
                by_index.entry(interface.index).or_default().insert(vip);
            }
        }
        for (index, vips) in by_index {
            answers.spawn(async move {
                let taken = ask(index, vips.clone()).await;
                wrap(Heard { vips, taken })
            });
        }
    }

    /// Goes on with what nobody has.
    pub(crate) fn hear(&mut self, heard: Heard, now: Timestamp) {
        let Heard { vips, taken } = heard;
        match taken {
            Ok(taken) => {
                for vip in &taken {
                    info!({ fields::VIP } = %vip, "somebody else answers for it by now");
                }
                let free: BTreeSet<IpAddr> = vips.difference(&taken).copied().collect();
                for vip in &free {
                    info!({ fields::VIP } = %vip, "nobody else answers for it: going on until the API server answers");
                }
                self.resumed.hold(now, free);
            }
            Err(error) => {
                warn!({ fields::ERROR } = %error, "the LAN cannot be asked who has our vips: answering for none of them");
            }
        }
    }

    /// Called at every turn.
    pub(crate) fn pass(&mut self, now: Timestamp, timing: &Timing) {
        if self.resumed.pass(now, timing) {
            warn!("this process was stopped: answering for nothing until the API server answers");
        }
    }

    /// Somebody else says that he has it.
    pub(crate) fn lose(&mut self, vip: IpAddr) -> bool {
        self.open.remove(&vip);
        self.resumed.lose(vip)
    }

    /// The Leases say what is whose. Returns what was held.
    pub(crate) fn end(&mut self) -> BTreeSet<IpAddr> {
        self.open.clear();
        self.resumed.end()
    }

    /// What may be answered for.
    pub(crate) fn resumed(&self) -> &Resumed {
        &self.resumed
    }
}
