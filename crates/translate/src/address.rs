//! The grammar of `spec.address` and of `spec.exclude`: what OpenELB accepts, and lists of it.
//!
//! ```text
//! list  = part *( "," part )            at most 512 parts and 4096 characters
//! part  = address | prefix | range      blanks around a part and around the dash are ignored
//! prefix = address "/" length           host bits are ignored
//! range = address "-" address           one family, the smaller one first
//! ```

use std::net::{IpAddr, Ipv4Addr};

use ironlb_model::{AddressRange, IpFamily, Prefix};

use crate::quote::quoted;

/// The longest list that is read, in characters: the CRD's own limit.
pub const MAX_CHARACTERS: usize = ironlb_api::rules::MAX_ADDRESS_CHARACTERS;

/// The most parts a list may have: the CRD's own limit.
pub const MAX_PARTS: usize = ironlb_api::rules::MAX_ADDRESS_PARTS;

/// What is wrong with a list of addresses, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// More than [`MAX_CHARACTERS`].
    #[error("the text is {0} characters long and {MAX_CHARACTERS} are the most: use shorter forms or several Eips")]
    TooLong(usize),
    /// More than [`MAX_PARTS`].
    #[error("the list has {0} parts and {MAX_PARTS} are the most: use prefixes and ranges, or several Eips")]
    TooManyParts(usize),
    /// Nothing at all.
    #[error("it is empty: write an address, a prefix such as 192.0.2.0/24, or a range such as 192.0.2.10-192.0.2.20")]
    Empty,
    /// A comma too many.
    #[error("part {0} of the list is empty: remove the extra comma")]
    EmptyPart(usize),
    /// Not an address.
    #[error("{} is not an IP address", quoted(.0))]
    NotAnAddress(String),
    /// An address with a zone.
    #[error("{} has a zone, which means nothing on another machine: leave out everything from the '%'", quoted(.0))]
    Zone(String),
    /// `::ffff:192.0.2.1`.
    #[error("{} is an IPv4 address in IPv6 form: write {plain}", quoted(text))]
    Mapped {
        /// As written.
        text: String,
        /// The IPv4 address it stands for.
        plain: Ipv4Addr,
    },
    /// The text behind the slash is no prefix length of the family.
    #[error("{} has no valid prefix length: 0 to {most} are possible", quoted(text))]
    PrefixLength {
        /// As written.
        text: String,
        /// The family's longest.
        most: u8,
    },
    /// `192.0.2.0/255.255.255.0`.
    #[error("{} has a mask where the prefix length belongs: write {prefix}", quoted(text))]
    Mask {
        /// As written.
        text: String,
        /// The same with a length.
        prefix: Prefix,
    },
    /// `a-b-c`.
    #[error("{} has more than one dash: a range is first-last", quoted(.0))]
    ManyDashes(String),
    /// The ends of a range differ in family.
    #[error("{} mixes IPv4 and IPv6: both ends of a range are of one family", quoted(.0))]
    MixedFamilies(String),
    /// The larger end of a range comes first.
    #[error("the range {first}-{last} is reversed: write {last}-{first}")]
    Reversed {
        /// The end written first.
        first: IpAddr,
        /// The end written last.
        last: IpAddr,
    },
}

/// Reads a list; what can be read is returned beside what cannot.
#[must_use]
pub fn parse_list(text: &str) -> (Vec<AddressRange>, Vec<AddressFault>) {
    let characters = text.chars().count();
    if characters > MAX_CHARACTERS {
        return (Vec::new(), vec![AddressFault::TooLong(characters)]);
    }
    if text.trim().is_empty() {
        return (Vec::new(), vec![AddressFault::Empty]);
    }
    let parts = text.split(',').count();
    if parts > MAX_PARTS {
        return (Vec::new(), vec![AddressFault::TooManyParts(parts)]);
    }
    let (mut ranges, mut faults) = (Vec::new(), Vec::new());
    for (index, part) in text.split(',').enumerate() {
        let read =
            if part.trim().is_empty() { Err(AddressFault::EmptyPart(index + 1)) } else { parse_part(part.trim()) };
        match read {
            Ok(range) => ranges.push(range),
            Err(fault) => faults.push(fault),
        }
    }
    (ranges, faults)
}

/// One address, prefix or range.
fn parse_part(text: &str) -> Result<AddressRange, AddressFault> {
    if text.contains('/') {
        return parse_prefix(text).map(AddressRange::prefix);
    }
    match text.split_once('-') {
        None => parse_address(text).map(AddressRange::single),
        Some((_, rest)) if rest.contains('-') => Err(AddressFault::ManyDashes(text.to_owned())),
        Some((first, last)) => {
            let (first, last) = (parse_address(first.trim())?, parse_address(last.trim())?);
            if IpFamily::of(first) != IpFamily::of(last) {
                return Err(AddressFault::MixedFamilies(text.to_owned()));
            }
            AddressRange::new(first, last).ok_or(AddressFault::Reversed { first, last })
        }
    }
}

/// `address/length`, host bits kept for the caller to ignore.
fn parse_prefix(text: &str) -> Result<Prefix, AddressFault> {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address = parse_address(address)?;
    let most = match IpFamily::of(address) {
        IpFamily::V4 => 32,
        IpFamily::V6 => 128,
    };
    // `+8` is a number for Rust and none for OpenELB.
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(mask(text, address, length).unwrap_or(AddressFault::PrefixLength { text: text.to_owned(), most }));
    }
    let prefix = length.parse().ok().and_then(|length| Prefix::new(address, length).ok());
    prefix.ok_or(AddressFault::PrefixLength { text: text.to_owned(), most })
}

/// The fault of a dotted mask, if that is what stands where the length belongs.
fn mask(text: &str, address: IpAddr, length: &str) -> Option<AddressFault> {
    let bits = u32::from(length.parse::<Ipv4Addr>().ok()?);
    let ones = u8::try_from(bits.leading_ones()).ok()?;
    let prefix =
        Prefix::new(address, ones).ok().filter(|_| bits.leading_ones() + bits.trailing_zeros() == 32 || bits == 0)?;
    address.is_ipv4().then(|| AddressFault::Mask { text: text.to_owned(), prefix: prefix.trunc() })
}

/// One address, in the forms the CRD's own rule accepts.
///
/// # Errors
/// [`AddressFault`], for the user to mend.
pub fn parse_address(text: &str) -> Result<IpAddr, AddressFault> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(plain) => Err(AddressFault::Mapped { text: text.to_owned(), plain }),
            None => Ok(IpAddr::V6(v6)),
        },
        Ok(v4) => Ok(v4),
        Err(_) if text.contains('%') => Err(AddressFault::Zone(text.to_owned())),
        Err(_) => Err(AddressFault::NotAnAddress(text.to_owned())),
    }
}

#[cfg(test)]
mod tests;
