//! The format of a file.
//!
//! A file is zero or more records, one behind the other; it has no header, no footer and no padding. All integers are
//! little-endian.
//!
//! ```text
//! ┌────────────────┬────────────────┬─────────────────────────┐
//! │ payload_length │ crc32          │ payload                 │
//! │ u32, not 0     │ u32            │ payload_length bytes    │
//! └────────────────┴────────────────┴─────────────────────────┘
//! ```
//!
//! `crc32` is the checksum of ISO 3309 and ITU-T V.42 (reflected polynomial `0xEDB88320`, as in zlib, gzip and Ethernet)
//! over the payload alone. Payloads are opaque; by convention they are compact JSON.
//!
//! A file `0-events` of the two records `{"a":1}` and `{"b":22}`:
//!
//! ```text
//! 00000000  07 00 00 00 af ac 1b 56  7b 22 61 22 3a 31 7d 08  |.......V{"a":1}.|
//! 00000010  00 00 00 e4 d8 ba 49 7b  22 62 22 3a 32 32 7d     |......I{"b":22}|
//! 0000001f
//! ```
//!
//! # Names
//!
//! | name in the folder | what it is |
//! |---|---|
//! | `{index}-{base_filename}` | a file of records. `index` is a canonical decimal `u32`, `base_filename` is configured. Files are sent in the order of their indices |
//! | `{index}-{base_filename, its extension replaced}.temp` | a finished file of `transientdb`'s directory store: a batch of JSON, sent as it is, before all others |
//! | `quarantine/{index}-{base_filename}`, `quarantine/….{count}` | a file that was sent although it was damaged by more than a torn tail |
//! | `sending/{index}-{base_filename}` | the delivery id of that file ([`DeliveryId`](crate::DeliveryId)) |
//!
//! Whatever is called otherwise, or is no regular file, is left alone.
//!
//! # Who writes
//!
//! A file is created under the first free index behind the highest, and written by the one that created it, which holds
//! an exclusive advisory lock (`flock`) on it meanwhile. It is never written to again. Whoever fetches a file holds the
//! same lock until it is removed or given back. The kernel releases the locks of a process that ends.
//!
//! # What a crash leaves
//!
//! A killed process leaves whole records and at most the beginning of one more. After a power cut there may also be zeros
//! where unsynced bytes were to be. Both end the reading of a file at its last whole record; see [`crate::Damage`].

use crate::blocks::Blocks;
use crate::damage::DamageKind;

/// Bytes in front of every payload.
pub(crate) const HEADER_BYTES: usize = 8;

/// Length and checksum of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

impl Header {
    /// The header of a payload, whose length the caller has checked to be that.
    pub(crate) fn of(payload: &[u8], length: u32) -> Self {
        Self { length, crc: crc32fast::hash(payload) }
    }

    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let (mut bytes, [a, b, c, d], [e, f, g, h]) =
            ([0; HEADER_BYTES], self.length.to_le_bytes(), self.crc.to_le_bytes());
        bytes.copy_from_slice(&[a, b, c, d, e, f, g, h]);
        bytes
    }

    /// Reads a header off the beginning of some bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (crc, _) = rest.split_first_chunk()?;
        Some(Self { length: u32::from_le_bytes(*length), crc: u32::from_le_bytes(*crc) })
    }

    /// Bytes of the whole record.
    pub(crate) fn record_bytes(self) -> u64 {
        u64::from(self.length).saturating_add(HEADER_BYTES as u64)
    }

    /// Whether such a record can stand where this many bytes are left, header included.
    ///
    /// The order of the checks is that of the request ("Record Validation During Read"), and nothing has been allocated.
    pub(crate) fn check(self, left_bytes: u64, max_record_size: u32) -> Result<(), DamageKind> {
        let Self { length, .. } = self;
        if length == 0 {
            return Err(DamageKind::ZeroLength);
        }
        if length > max_record_size {
            return Err(DamageKind::TooLong { length, limit: max_record_size });
        }
        if self.record_bytes() > left_bytes {
            return Err(DamageKind::TornPayload { length });
        }
        Ok(())
    }
}

/// What is at the place where a record may stand.
pub(crate) enum Next<'b> {
    /// A whole record with the right checksum.
    Record(&'b [u8]),
    /// The end of the file.
    End,
    /// Something else.
    Damaged(DamageKind),
}

/// Reads the header at the current place, which stays where it is.
pub(crate) fn peek_header(blocks: &mut Blocks, max_record_size: u32) -> Result<Option<Header>, DamageKind> {
    let left_bytes = blocks.left_bytes();
    if left_bytes == 0 {
        return Ok(None);
    }
    let bytes = blocks.peek(HEADER_BYTES).map_err(|error| DamageKind::unreadable(&error))?;
    let header = Header::decode(bytes).ok_or(DamageKind::TornHeader)?;
    header.check(left_bytes, max_record_size)?;
    Ok(Some(header))
}

/// Reads the record at the current place and moves behind it; after [`Next::Damaged`] the place is unchanged.
pub(crate) fn next_record(blocks: &mut Blocks, max_record_size: u32) -> Next<'_> {
    let header = match peek_header(blocks, max_record_size) {
        Ok(Some(header)) => header,
        Ok(None) => return Next::End,
        Err(kind) => return Next::Damaged(kind),
    };
    let record_bytes = HEADER_BYTES.saturating_add(header.length as usize);
    let crc = match blocks.peek(record_bytes) {
        Ok(record) => record.get(HEADER_BYTES..).map(crc32fast::hash),
        Err(error) => return Next::Damaged(DamageKind::unreadable(&error)),
    };
    if crc != Some(header.crc) {
        return Next::Damaged(DamageKind::Checksum { length: header.length });
    }
    Next::Record(blocks.take(record_bytes).get(HEADER_BYTES..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of the hexdump in the module's documentation.
    fn documented_bytes() -> Vec<u8> {
        let lines = include_str!("format.rs").lines();
        let dump = lines.filter_map(|line| line.strip_prefix("//! 000000"));
        dump.flat_map(|line| {
            let hex = line.split('|').next().unwrap().split_whitespace().skip(1);
            hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<_>>()
        })
        .collect()
    }

    #[test]
    fn the_documented_example_is_what_is_written() {
        let mut bytes = Vec::new();
        for payload in [&br#"{"a":1}"#[..], br#"{"b":22}"#] {
            let length = u32::try_from(payload.len()).unwrap();
            bytes.extend(Header::of(payload, length).encode());
            bytes.extend(payload);
        }
        assert_eq!(documented_bytes(), bytes);
    }

    #[test]
    fn the_checksum_is_that_of_iso_3309() {
        // The check value of this polynomial in every catalogue of checksums.
        assert_eq!(Header::of(b"123456789", 9).crc, 0xcbf4_3926);
    }
}
