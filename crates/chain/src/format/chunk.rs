//! A chunk file: header, entries, position table.
//!
//! | offset | size | content |
//! |---|---|---|
//! | 0 | 8 | `u64` offset T of the position table, 0 while the chunk is open |
//! | 8 | … | entries, back to back |
//! | T | 4·n | `u32` offset of every entry in the order of their sequence numbers, up to the end of the file |
//!
//! Entry `k` of the file has the sequence number of the file's name plus `k`; the first is always at 8. A closed chunk with
//! two entries of 0x118 and 0xc5 bytes:
//!
//! ```text
//! 0000  e5 01 00 00 00 00 00 00   the table is at 0x1e5
//! 0008  01 00 10 01 00 00 …       entry 1
//! 0120  01 00 bd 00 00 00 …       entry 2
//! 01e5  08 00 00 00 20 01 00 00   positions 8 and 0x120
//! ```

use super::FormatError;

/// Length of the header of a chunk file.
pub const FILE_HEADER_BYTES: u64 = 8;
/// Length of one position.
pub const POSITION_BYTES: u64 = 4;
/// Entries begin below this offset, because positions have 32 bits.
pub const MAX_ENTRY_OFFSET: u64 = u32::MAX as u64;

/// What the first eight bytes of a chunk and its length say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeader {
    /// End of the entries: the offset of the table, or the length of an open chunk.
    pub entries_end: u64,
    /// Number of positions in the table, `None` while the chunk is open.
    pub positions: Option<u64>,
}

impl ChunkHeader {
    /// Interprets the header of a file of `length` bytes.
    ///
    /// # Errors
    /// [`FormatError::Short`] if the table lies outside the file, [`FormatError::Trailing`] if its length is not a multiple of
    /// four.
    pub fn parse(header: [u8; 8], length: u64) -> Result<Self, FormatError> {
        let table = u64::from_le_bytes(header);
        if table == 0 {
            return Ok(Self { entries_end: length, positions: None });
        }
        if table < FILE_HEADER_BYTES || table > length {
            return Err(FormatError::Short {
                what: "position table",
                offset: table,
                needed: 0,
                available: length,
            });
        }
        let bytes = length.saturating_sub(table);
        if !bytes.is_multiple_of(POSITION_BYTES) {
            let available = bytes % POSITION_BYTES;
            return Err(FormatError::Trailing {
                what: "position table",
                offset: length - available,
                available,
            });
        }
        Ok(Self { entries_end: table, positions: Some(bytes / POSITION_BYTES) })
    }
}

/// The bytes of a position table.
#[must_use]
pub fn encode_table(positions: &[u32]) -> Vec<u8> {
    positions.iter().flat_map(|position| position.to_le_bytes()).collect()
}
