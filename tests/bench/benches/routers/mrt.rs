//! Routes as a file of RFC 6396 (TABLE_DUMP_V2), which is how GoBGP takes many at once.

use std::net::Ipv4Addr;

use anyhow::Result;

const TABLE_DUMP_V2: u16 = 13;
const PEER_INDEX_TABLE: u16 = 1;
const RIB_IPV4_UNICAST: u16 = 2;

/// All prefixes as /32, learned from one peer of this autonomous system.
pub(crate) fn dump(prefixes: impl Iterator<Item = Ipv4Addr>, asn: u32, next_hop: Ipv4Addr) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    // The collector, a view without a name, and one peer with an IPv4 address and an AS number of four octets (§4.3.1).
    let mut peers = [&next_hop.octets()[..], &[0, 0, 0, 1, 2], &next_hop.octets(), &next_hop.octets()].concat();
    peers.extend(asn.to_be_bytes());
    record(&mut file, PEER_INDEX_TABLE, &peers)?;
    // ORIGIN, AS_PATH with one sequence of one, NEXT_HOP.
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1];
    attributes.extend(asn.to_be_bytes());
    attributes.extend([0x40, 3, 4]);
    attributes.extend(next_hop.octets());
    for (number, prefix) in (0_u32..).zip(prefixes) {
        let mut entry = number.to_be_bytes().to_vec();
        entry.push(32);
        entry.extend(prefix.octets());
        // One entry, of the first peer, originated at 0 (§4.3.4).
        entry.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        entry.extend(u16::try_from(attributes.len())?.to_be_bytes());
        entry.extend(&attributes);
        record(&mut file, RIB_IPV4_UNICAST, &entry)?;
    }
    Ok(file)
}

fn record(file: &mut Vec<u8>, subtype: u16, body: &[u8]) -> Result<()> {
    file.extend([0; 4]);
    file.extend(TABLE_DUMP_V2.to_be_bytes());
    file.extend(subtype.to_be_bytes());
    file.extend(u32::try_from(body.len())?.to_be_bytes());
    file.extend(body);
    Ok(())
}
