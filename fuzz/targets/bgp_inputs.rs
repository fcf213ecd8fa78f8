//! Any inputs in any order, as a driver could hand them in: no panic, at most two connections, none used after its end, and a peer that is
//! wanted always has something under way.
#![no_main]

#[path = "../../crates/bgp-proto/src/peer/properties/driver.rs"]
mod driver;

use std::sync::Arc;
use std::time::Duration;

use driver::Driver;
use ironlb_bgp_proto::codec::{Notification, RefreshKind, RouteRefresh, keepalive, split};
use ironlb_bgp_proto::{
    Asn, Attributes, BfdState, BfdUse, Config, ConnectionId, Input, NextHop, Output, OwnAddresses, Peer, RestartConfig,
    RouteKey, RouterId, Routes, State, Stop,
};
use ironlb_model::{Prefix, Timestamp};
use libfuzzer_sys::fuzz_target;

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("not zero")
}

fn id(last: u8) -> RouterId {
    RouterId::new([192, 0, 2, last].into()).expect("not zero")
}

fn config(bits: u8) -> Config {
    let own = OwnAddresses { ipv4: Some([192, 0, 2, 10].into()), ..OwnAddresses::default() };
    let mut config = Config { own, ..Config::new(asn(64_512), asn(64_513), id(10)) };
    config.passive = bits & 1 != 0;
    config.bfd = if bits & 2 != 0 { BfdUse::Strict } else { BfdUse::Watch };
    config.graceful_restart = if bits & 4 != 0 { RestartConfig::new(30, bits & 8 != 0) } else { None };
    config.timing.delay_open = (bits & 16 != 0).then_some(Duration::from_secs(2));
    config.extended_messages = bits & 32 == 0;
    config
}

fn routes(count: u8) -> Arc<Routes> {
    let attributes = Arc::new(Attributes::new(NextHop::Own));
    let keys = (0..count).map(|n| RouteKey::own(Prefix::new([198, 51, 100, n].into(), 32).expect("a prefix")));
    Arc::new(keys.map(|key| (key, Arc::clone(&attributes))).collect())
}

fn message(number: u8) -> Vec<u8> {
    let open = |last| Config::new(asn(64_513), asn(64_512), id(last)).open(false).encode();
    match number % 8 {
        0 | 1 => open(1),
        2 => open(200),
        3 | 4 => keepalive(),
        5 => RouteRefresh { afi: 1, safi: 1, kind: RefreshKind::Request }.encode(),
        6 => Notification::cease(2).encode(4096),
        _ => [vec![0xff; 16], vec![0, 23, 2, 0, 0, 0, 0]].concat(),
    }
}

fn step(driver: &mut Driver, step: u8, value: u8, rest: &mut &[u8]) -> Result<(), String> {
    let connection = driver.connection(usize::from(value & 3));
    let input = match step % 16 {
        0 | 1 => {
            let wait = if step & 16 == 0 { u64::from(value) * 40 } else { u64::from(value) * 400 };
            return driver.wait(Duration::from_millis(wait));
        }
        2 | 3 => Input::Connected(connection),
        4 => return driver.accept(),
        5 => Input::Closed(connection),
        6 => Input::Sent(connection),
        7..=9 => Input::Received(connection, message(value >> 2)),
        10 => {
            let bytes;
            (bytes, *rest) = rest.split_at(rest.len().min(usize::from(value)));
            Input::Received(connection, bytes.to_vec())
        }
        11 => return driver.fetch(),
        12 => Input::Desired(routes(value)),
        13 => match value % 5 {
            0 => Input::Reset("x".into()),
            1 => Input::GracefulShutdown(value & 16 != 0),
            2 => Input::Stop(if value & 16 == 0 { Stop::Quiet } else { Stop::Shutdown("x".into()) }),
            3 => Input::Stop(Stop::Deconfigured),
            _ => Input::LinkDown(connection),
        },
        14 => Input::Bfd([BfdState::Unknown, BfdState::Up, BfdState::Down][usize::from(value % 3)]),
        _ => Input::Configure(Box::new(config(value))),
    };
    driver.put(input)
}

fn run(data: &[u8]) -> Result<(), String> {
    let Some((bits, mut rest)) = data.split_first() else { return Ok(()) };
    let mut driver = Driver::new(Peer::new(config(*bits), 5, bits & 64 != 0));
    driver.put(Input::Desired(routes(3)))?;
    driver.put(Input::Start)?;
    while let [kind, value, after @ ..] = rest {
        rest = after;
        step(&mut driver, *kind, *value, &mut rest)?;
    }
    Ok(())
}

fuzz_target!(|data: &[u8]| run(data).expect("what holds everywhere"));
