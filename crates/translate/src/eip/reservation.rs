//! `spec.reservations`: which addresses are kept, and for whom.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ironlb_api as api;
use ironlb_model::{AddressRange, Pool, Reservation, Reservee, ServiceId};

use super::Faults;
use crate::{address, selector};

/// Reads the list, and whether something in it could not be read that keeps addresses from being given out.
pub(super) fn read(given: &[api::Reservation], pool: &Pool, faults: &mut Faults) -> (Vec<Reservation>, bool) {
    let mut claimed = Claimed::default();
    let mut unreadable = false;
    let mut read = Vec::with_capacity(given.len());
    for (index, given) in given.iter().enumerate() {
        let reservee = reservee(index, given, faults);
        let field = format!("spec.reservations[{index}].address");
        let (ranges, bad) = address::parse_list(given.address.as_deref().unwrap_or_default());
        unreadable |= !bad.is_empty();
        for fault in bad {
            faults.add(&field, format!("{fault}; until this is mended the Eip gives out no address"));
        }
        if !pool.is_empty()
            && let [outside, ..] = Pool::new(&ranges, pool.ranges()).ranges()
        {
            faults.add(
                &field,
                format!("{outside} is not given out by this Eip: add it to spec.address, take it out of spec.exclude, or leave it out here"),
            );
        }
        let mut addresses = Vec::new();
        for range in Pool::new(&ranges, &[]).ranges() {
            if let Some((shared, first)) = claimed.overlapping(*range).first().copied() {
                faults.add(
                    &field,
                    format!(
                        "{shared} is in spec.reservations[{first}] as well, which counts: take it out of one of the two"
                    ),
                );
            }
            addresses.extend(claimed.claim(*range, index));
        }
        read.push(Reservation { index, addresses: Pool::new(&addresses, &[]), reservee });
    }
    (read, unreadable)
}

/// For whom an entry is; for nobody where that is not clear, so that nobody gets what was meant for somebody.
fn reservee(index: usize, given: &api::Reservation, faults: &mut Faults) -> Reservee {
    let text =
        |field: &Option<String>| field.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut fault = |message: &str| {
        faults.add(
            &format!("spec.reservations[{index}]"),
            format!("{message}; until this is mended nobody gets the address"),
        );
        Reservee::Nobody
    };
    match (text(&given.namespace), text(&given.name), &given.service_selector) {
        (Some(namespace), Some(name), None) => Reservee::Service(ServiceId::new(&namespace, &name)),
        (None, Some(_), None) => fault("a name without a namespace names no Service: add namespace"),
        (_, Some(_), Some(_)) => fault("it has both name and serviceSelector: leave one of them out"),
        (_, None, None) => fault("it does not say for whom: add namespace and name, or serviceSelector"),
        (namespace, None, Some(given)) => match selector::read(given) {
            Ok(selector) => Reservee::Selected { namespace: namespace.map(Into::into), selector },
            Err(said) => fault(&said),
        },
    }
}

/// The addresses of the entries read so far: disjoint ranges by their first address, with the entry's place.
#[derive(Default)]
struct Claimed(BTreeMap<IpAddr, (AddressRange, usize)>);

impl Claimed {
    /// The claimed ranges that have an address in common with this one.
    fn overlapping(&self, range: AddressRange) -> Vec<(AddressRange, usize)> {
        // Disjoint and sorted, so those that overlap are the last ones that begin within it or before it.
        let before = self.0.range(..=range.last()).rev();
        before.map(|(_, claim)| *claim).take_while(|(claim, _)| claim.overlaps(&range)).collect()
    }

    /// Claims what nobody has claimed of this range, and says what that is.
    fn claim(&mut self, range: AddressRange, index: usize) -> Vec<AddressRange> {
        let claimed: Vec<AddressRange> = self.overlapping(range).into_iter().map(|(claim, _)| claim).collect();
        let free = Pool::new(&[range], &claimed).ranges().to_vec();
        self.0.extend(free.iter().map(|range| (range.first(), (*range, index))));
        free
    }
}
