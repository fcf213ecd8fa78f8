//! Another codec reads what we write, and judges what we receive.

use proptest::prelude::*;
use rustbgpd_wire::validate::ErrorDisposition;
use rustbgpd_wire::{Capability as Theirs, Message, RouteRefreshSubtype, decode_message};

use super::properties::{opens, updates};
use super::*;

fn read(bytes: Vec<u8>) -> Message {
    decode_message(&mut bytes.into(), 4096).expect("another codec reads it")
}

/// What an UPDATE does to its routes; an attribute passed over does nothing to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Fine,
    Withdraw,
    Reset,
}

fn ours(body: &[u8], context: UpdateContext) -> Verdict {
    match inspect(body, context) {
        // It leaves it to its caller to look whether there is anything to withdraw.
        Err(UpdateError::NothingToWithdraw(_)) => Verdict::Withdraw,
        Err(_) => Verdict::Reset,
        Ok(update) if update.treated_as_withdraw.is_some() => Verdict::Withdraw,
        Ok(_) => Verdict::Fine,
    }
}

fn theirs(body: &[u8], context: UpdateContext) -> Option<Verdict> {
    let update = rustbgpd_wire::UpdateMessage::decode(&mut &*body, body.len()).ok()?;
    let parsed = update.parse_revised(context.four_octet_as, context.internal, false, &[]).ok()?;
    let worst = parsed.malformed.iter().map(|wrong| match wrong.disposition {
        ErrorDisposition::AttributeDiscard => Verdict::Fine,
        ErrorDisposition::TreatAsWithdraw => Verdict::Withdraw,
        _ => Verdict::Reset,
    });
    Some(worst.max().unwrap_or(Verdict::Fine))
}

/// Where the other codec stops short of RFC 7606, or goes beyond it.
fn reads_otherwise(body: &[u8], context: UpdateContext) -> bool {
    let is_missing = match inspect(body, context) {
        // It does not look at what claims to be known to everybody, nor for what is missing.
        Err(UpdateError::WellKnown { .. }) => true,
        Err(UpdateError::NothingToWithdraw(fault)) => fault.fault == AttributeFault::Missing,
        Err(_) => false,
        Ok(update) => update.treated_as_withdraw.is_some_and(|fault| fault.fault == AttributeFault::Missing),
    };
    // It ends the session where it does not know a family.
    let known = [0x80_u8, 15, 8, 0, 2, 1];
    let families = body.windows(2).filter(|bytes| *bytes == &known[..2]).count();
    // And it withdraws what came by a path with an AS_SET (RFC 9774), which is nothing to us, who take no route anyway.
    let has_set = body.windows(4).any(|bytes| matches!(bytes, [0x40, 2, _, 1 | 3 | 4]));
    is_missing || has_set || families != body.windows(6).filter(|bytes| *bytes == known).count()
}

proptest! {
    #[test]
    fn another_codec_reads_our_open(open in opens()) {
        // It refuses values that are lawful on the wire and that no speaker sends.
        if open.encode().len() > 4096 || matches!(open.hold_time, 1 | 2) {
            return Ok(());
        }
        let Message::Open(read) = read(open.encode()) else { panic!("not an OPEN") };
        prop_assert_eq!((read.my_as, read.hold_time, u32::from(read.bgp_identifier)), (open.my_as, open.hold_time, open.identifier));
        prop_assert_eq!(read.capabilities.len(), open.capabilities.len());
        for (theirs, ours) in read.capabilities.iter().zip(&open.capabilities) {
            prop_assert_eq!(theirs.code(), ours.to_wire().0);
            match (theirs, ours) {
                (Theirs::FourOctetAs { asn }, Capability::FourOctetAs(number)) => prop_assert_eq!(asn, number),
                (Theirs::GracefulRestart { restart_state, notification, restart_time, .. }, Capability::GracefulRestart(ours)) => {
                    prop_assert_eq!((*restart_state, *notification, *restart_time), (ours.restarted, ours.notification, ours.restart_time));
                }
                (Theirs::Unknown { data, .. }, Capability::Unknown { value, .. }) => prop_assert_eq!(&data[..], &value[..]),
                _ => {}
            }
        }
    }

    #[test]
    fn we_read_anothers_open(mut open in opens()) {
        if open.encode().len() > 4096 || matches!(open.hold_time, 1 | 2) {
            return Ok(());
        }
        // It drops families that it does not know.
        let known = |afi: u16, safi: u8| matches!(afi, 1 | 2) && safi == 1;
        open.capabilities.retain(|capability| match capability {
            Capability::GracefulRestart(restart) => restart.families.iter().all(|(afi, safi, _)| known(*afi, *safi)),
            Capability::AddPath(all) => all.iter().all(|(afi, safi, mode)| known(*afi, *safi) && matches!(mode, 1..=3)),
            _ => true,
        });
        let message = read(open.encode());
        // What it writes again, we read as what we wrote.
        if let Ok(bytes) = rustbgpd_wire::encode_message(&message) {
            prop_assert_eq!(Open::decode(&bytes[19..]), Ok(open));
        }
    }

    /// An UPDATE with a byte or two changed: both come to one treatment.
    #[test]
    fn another_codec_treats_errors_as_we_do(
        update in updates(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        internal in any::<bool>(),
    ) {
        let mut body = update[19..].to_vec();
        for (at, to) in changes {
            let at = at.index(body.len());
            // Not the bit that says "partial", at which it looks and RFC 7606 does not, and no attribute that it alone knows.
            body[at] = to % 19;
        }
        let context = UpdateContext { internal, four_octet_as: true };
        if reads_otherwise(&body, context) {
            return Ok(());
        }
        let (ours, theirs) = (ours(&body, context), theirs(&body, context));
        prop_assert_eq!(ours, theirs.unwrap_or(Verdict::Reset), "{:02x?}", body);
    }
}

#[test]
fn another_codec_reads_our_notifications_and_refreshes() {
    for notification in
        [Notification::shutdown(2, "bye"), Notification::new(1, 2, vec![0, 18]), Notification::new(8, 0, vec![])]
    {
        let Message::Notification(read) = read(notification.encode(4096)) else { panic!("not a NOTIFICATION") };
        assert_eq!(
            (read.code.as_u8(), read.subcode, read.data.to_vec()),
            (notification.code, notification.subcode, notification.data)
        );
    }
    for (kind, theirs) in [
        (RefreshKind::Request, RouteRefreshSubtype::Normal),
        (RefreshKind::Begin, RouteRefreshSubtype::BoRR),
        (RefreshKind::End, RouteRefreshSubtype::EoRR),
    ] {
        let Message::RouteRefresh(read) = read(RouteRefresh { afi: 2, safi: 1, kind }.encode()) else {
            panic!("not one")
        };
        assert_eq!((read.afi_raw, read.safi_raw, read.subtype()), (2, 1, theirs));
    }
    assert_eq!(read(keepalive()), Message::Keepalive);
}
