//! The pcap file format (draft-ietf-opsawg-pcap, "PCAP Capture File Format"), written with nanoseconds.

use std::io::{self, Write};
use std::time::SystemTime;

/// Magic number of a file whose second time field counts nanoseconds; its byte order tells that of all other fields.
const NANOSECOND_MAGIC: u32 = 0xA1B2_3C4D;

/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;

/// Writes frames into a pcap file.
#[derive(Debug)]
pub(crate) struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Writes the file's header.
    pub(crate) fn new(mut output: W, snap: usize) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend(NANOSECOND_MAGIC.to_le_bytes());
        // Version 2.4.
        header.extend(2_u16.to_le_bytes());
        header.extend(4_u16.to_le_bytes());
        // Two reserved fields.
        header.extend([0; 8]);
        header.extend(field(snap).to_le_bytes());
        header.extend(ETHERNET.to_le_bytes());
        output.write_all(&header)?;
        Ok(Self(output))
    }

    /// Adds one frame, of which `bytes` may be only the beginning.
    pub(crate) fn write(&mut self, at: SystemTime, bytes: &[u8], original_length: usize) -> io::Result<()> {
        // Nothing here is captured before 1970; the seconds wrap in 2106, as the format's do.
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        let mut header = Vec::with_capacity(16);
        for value in [seconds, since.subsec_nanos(), field(bytes.len()), field(original_length)] {
            header.extend(value.to_le_bytes());
        }
        self.0.write_all(&header)?;
        self.0.write_all(bytes)
    }

    /// Hands all frames to the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn field(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut bytes = Vec::new();
        let mut file = Writer::new(&mut bytes, 256).expect("memory takes everything");
        file.write(SystemTime::UNIX_EPOCH + Duration::new(1, 2), &[9; 3], 77).expect("memory takes everything");
        let expected = [
            &[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0][..],
            &[0; 8],
            &[0, 1, 0, 0, 1, 0, 0, 0],
            &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 77, 0, 0, 0],
            &[9; 3],
        ]
        .concat();
        assert_eq!(bytes, expected);
    }
}
