//! Reading from a capture who answered for a vip, in turn, and whether two ever did at once.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use ironlb_lab::capture::Recording;
use ironlb_model::MacAddr;

/// A time in which one station, and no other, told the LAN to be at a vip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// Which.
    pub mac: MacAddr,
    /// Its first packet.
    pub first: SystemTime,
    /// Its last one before another's.
    pub last: SystemTime,
}

/// Who told the LAN to be at `vip`, in turn, by the kernel's time stamps.
#[must_use]
pub fn tenures(recording: &Recording, vip: Ipv4Addr) -> Vec<Tenure> {
    let claims = recording.arp.iter().filter(|seen| seen.frame.claims(vip));
    in_turn(claims.map(|seen| (seen.at, seen.frame.sender_mac)).collect())
}

fn in_turn(mut claims: Vec<(SystemTime, MacAddr)>) -> Vec<Tenure> {
    // Frames of several ports may be handed over in another order than they were stamped.
    claims.sort_unstable();
    let mut tenures: Vec<Tenure> = Vec::new();
    for (at, mac) in claims {
        match tenures.last_mut() {
            Some(tenure) if tenure.mac == mac => tenure.last = at,
            _ => tenures.push(Tenure { mac, first: at, last: at }),
        }
    }
    tenures
}

/// Checks that at each moment one station at most held the vip: none comes back after another has spoken, and `expected` is who
/// held it, in turn.
///
/// # Errors
/// It was otherwise, or the capture lost frames and therefore proves nothing.
pub fn check_turns(recording: &Recording, vip: Ipv4Addr, expected: &[MacAddr]) -> Result<()> {
    check_complete(recording)?;
    let tenures = tenures(recording, vip);
    let seen: Vec<MacAddr> = tenures.iter().map(|tenure| tenure.mac).collect();
    ensure!(
        seen == expected,
        "{vip} was held by {expected:?} in turn, it was to be; the wire shows {}; capture {}",
        told(&tenures, recording.started),
        recording.file.display()
    );
    Ok(())
}

/// Checks that no station came back to the vip after another had spoken for it.
///
/// # Errors
/// Two answered in the same time, or the capture lost frames.
pub fn check_no_overlap(recording: &Recording, vip: Ipv4Addr) -> Result<()> {
    check_complete(recording)?;
    let tenures = tenures(recording, vip);
    let mut seen: Vec<MacAddr> = tenures.iter().map(|tenure| tenure.mac).collect();
    let turns = seen.len();
    seen.sort_unstable();
    seen.dedup();
    ensure!(
        seen.len() == turns,
        "two stations held {vip} in the same time: {}; capture {}",
        told(&tenures, recording.started),
        recording.file.display()
    );
    Ok(())
}

/// For how long, at most, a station went on speaking for the vip after another had spoken for it.
///
/// # Errors
/// The capture lost frames and therefore proves nothing.
pub fn overlap(recording: &Recording, vip: Ipv4Addr) -> Result<Duration> {
    check_complete(recording)?;
    let claims = recording.macs_claiming(vip);
    let late = claims.values().flat_map(|old| {
        let after = claims.values().filter(|new| new.first > old.first);
        after.filter_map(|new| old.last.duration_since(new.first).ok())
    });
    Ok(late.max().unwrap_or_default())
}

fn check_complete(recording: &Recording) -> Result<()> {
    ensure!(recording.lost == 0, "the capture {} lost {} frames", recording.file.display(), recording.lost);
    Ok(())
}

fn told(tenures: &[Tenure], since: SystemTime) -> String {
    let seconds = |at: SystemTime| at.duration_since(since).unwrap_or(Duration::ZERO).as_secs_f64();
    let each = tenures.iter().map(|t| format!("{} from {:.3} s to {:.3} s", t.mac, seconds(t.first), seconds(t.last)));
    let all = each.collect::<Vec<_>>().join(", then ");
    if all.is_empty() { "nobody".to_owned() } else { all }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ironlb_lab::capture::{ArpFrame, ArpOperation, CapturedArp};

    use super::*;

    const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);

    fn recording(claims: &[(u64, MacAddr)]) -> Recording {
        let started = SystemTime::UNIX_EPOCH;
        let seen = |&(at, mac): &(u64, MacAddr)| CapturedArp {
            at: started + Duration::from_millis(at),
            frame: ArpFrame {
                ethernet_source: mac,
                ethernet_destination: MacAddr::BROADCAST,
                operation: ArpOperation::Reply,
                sender_mac: mac,
                sender_ip: VIP,
                target_mac: MacAddr::ZERO,
                target_ip: VIP,
            },
        };
        let arp = claims.iter().map(seen).collect();
        Recording { file: PathBuf::from("none"), started, arp, frames: Vec::new(), lost: 0 }
    }

    #[test]
    fn one_holder_after_another_is_no_overlap() {
        let moved = recording(&[(1, A), (2, A), (9, B), (10, B)]);
        assert!(check_no_overlap(&moved, VIP).is_ok());
        assert!(check_turns(&moved, VIP, &[A, B]).is_ok());
        assert!(check_turns(&moved, VIP, &[A]).is_err());
        assert!(check_turns(&moved, VIP, &[B, A]).is_err());
    }

    #[test]
    fn an_old_holder_that_speaks_again_is_an_overlap() {
        assert!(check_no_overlap(&recording(&[(1, A), (9, B), (10, A)]), VIP).is_err());
        // Handed over late, stamped early.
        assert!(check_no_overlap(&recording(&[(1, A), (9, B), (2, A)]), VIP).is_ok());
    }

    #[test]
    fn an_overlap_lasts_from_the_new_holders_first_word_to_the_old_ones_last() {
        assert_eq!(overlap(&recording(&[(1, A), (9, B), (10, B)]), VIP).unwrap(), Duration::ZERO);
        assert_eq!(overlap(&recording(&[(1, A), (9, B), (12, A), (20, B)]), VIP).unwrap(), Duration::from_millis(3));
        assert_eq!(overlap(&recording(&[(1, A), (9, B), (12, A)]), VIP).unwrap(), Duration::from_millis(3));
    }

    #[test]
    fn a_capture_with_holes_proves_nothing() {
        let holed = Recording { lost: 1, ..recording(&[(1, A)]) };
        assert!(check_no_overlap(&holed, VIP).is_err());
        assert!(check_turns(&holed, VIP, &[A]).is_err());
    }
}
