//! The Adj-RIB-Out alone: what a change of one route costs among many, in time and in bytes.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ironlb_bench::{report, row};
use ironlb_bgp_proto::{Asn, Attributes, Config, OwnAddresses, RibOut, RouterId, Spelling, negotiate};

use crate::{plain, routes};

/// As one decision over 10,000 Services may take, which comes before it.
const BAR: Duration = Duration::from_millis(25);
/// The longest of the two UPDATEs, with room for no second prefix: header 19, lengths 4, ORIGIN 4, AS_PATH 9, NEXT_HOP 7, MED 7 and a
/// prefix of 5.
const BYTES: usize = 55;
/// A prefix of /32 takes 5 octets; headers and attributes of packed UPDATEs a hundredth more.
const BYTES_PER_ROUTE: f64 = 5.1;
const RUNS: usize = 21;

/// One route of so many is another one, and back.
pub(crate) fn change(count: u32) -> Result<bool> {
    let asn = |number| Asn::new(number).context("AS 0");
    let id = |last| RouterId::new(Ipv4Addr::new(192, 0, 2, last)).context("no identifier");
    let own = Config::new(asn(64512)?, asn(64513)?, id(1)?);
    let theirs = Config::new(asn(64513)?, asn(64512)?, id(2)?).open(false);
    let spelling = Spelling {
        own: OwnAddresses { ipv4: Some([192, 0, 2, 1].into()), ..OwnAddresses::default() },
        ..Spelling::default()
    };
    let before = Arc::new(routes(count, plain())?);
    let mut after = (*before).clone();
    let (key, _) = before.iter().nth(before.len() / 2).context("a route in the middle")?;
    after.insert(*key, Arc::new(Attributes { med: Some(5), ..plain() }));
    let mut gone = (*before).clone();
    gone.remove(key);

    let mut rib = RibOut::new();
    rib.set_desired(before.clone());
    rib.start(Arc::new(negotiate(&own, &theirs)?), spelling);
    let all = said(&mut rib);
    let bytes: usize = all.iter().map(Vec::len).sum();
    let per_route = bytes as f64 / f64::from(count);
    let told = format!("{per_route:.2} ({} messages)", all.len());
    let mut kept = row(
        "100,000 routes to a new peer: octets a route",
        &told,
        &BYTES_PER_ROUTE.to_string(),
        per_route <= BYTES_PER_ROUTE,
    );

    for (what, other) in [("changed", Arc::new(after)), ("comes or goes", Arc::new(gone))] {
        let mut most = 0;
        let mut sides = [&other, &before].into_iter().cycle();
        let mut messages = 0;
        kept &= report(&format!("one route of 100,000 {what}: to its UPDATE"), RUNS, BAR, || {
            rib.set_desired(Arc::clone(sides.next().unwrap_or(&before)));
            let all = said(&mut rib);
            messages = messages.max(all.len());
            most = most.max(all.iter().map(Vec::len).sum::<usize>());
        });
        ensure!(messages == 1, "{messages} messages for one route");
        kept &=
            row(&format!("one route of 100,000 {what}: octets"), &most.to_string(), &BYTES.to_string(), most <= BYTES);
    }
    Ok(kept)
}

fn said(rib: &mut RibOut) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| rib.next_message()).map(|(bytes, _)| bytes).collect()
}
