//! A test per sentence, named for it. Here is what they share.

mod collision;
mod connecting;
mod ending;
mod liveness;
mod opening;
mod receiving;
mod telling;

use std::time::Duration;

use super::rig::{asn, id};
use super::*;
use crate::RestartConfig;

const SECOND: Duration = Duration::from_secs(1);

fn restart(notification: bool) -> Option<RestartConfig> {
    RestartConfig::new(30, notification)
}

/// The router's OPEN with graceful restart.
fn restarting_open(notification: bool) -> crate::codec::Open {
    let config = Config { graceful_restart: restart(notification), ..Config::new(asn(64_513), asn(64_512), id(1)) };
    config.open(false)
}
