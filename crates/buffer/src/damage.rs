//! What can be wrong with a file (holes H5 and H11).

use std::fmt;
use std::io;

/// Where a file stops making sense, and why. Everything before it is intact and is sent; what is behind it is not looked
/// at by a reader, but by [`Salvage`](crate::Salvage).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Offset in bytes of the first byte that belongs to no intact record.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
    /// Bytes from there to the end of the file.
    pub bytes_behind: u64,
    /// It is what an interrupted append or a power cut leaves at the end of a file: the beginning of one record, or
    /// zeros. No intact record is behind it, so removing the file loses nothing; a file with any other damage is moved to
    /// the quarantine.
    pub is_torn_tail: bool,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// Fewer bytes than a header has.
    TornHeader,
    /// The payload goes on behind the end of the file.
    TornPayload {
        /// Its length in bytes, as the header has it.
        length: u32,
    },
    /// A length of 0.
    ZeroLength,
    /// A length over `max_record_size`.
    TooLong {
        /// The length in bytes.
        length: u32,
        /// The limit in bytes.
        limit: u32,
    },
    /// The payload is not what the checksum was made of.
    Checksum {
        /// Its length in bytes, as the header has it.
        length: u32,
    },
    /// The disk does not give it out.
    Unreadable {
        /// The kind of the error.
        error: io::ErrorKind,
    },
}

impl DamageKind {
    pub(crate) fn unreadable(error: &io::Error) -> Self {
        Self::Unreadable { error: error.kind() }
    }
}

impl fmt::Display for DamageKind {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornHeader => text.write_str("the file ends inside a record's header"),
            Self::TornPayload { length } => {
                write!(text, "the file ends before the {length} bytes of the record's payload do")
            }
            Self::ZeroLength => text.write_str("the record's length is 0"),
            Self::TooLong { length, limit } => {
                write!(text, "the record's length of {length} is over the limit of {limit} bytes")
            }
            Self::Checksum { length } => write!(text, "the checksum of a payload of {length} bytes is wrong"),
            Self::Unreadable { error } => write!(text, "it cannot be read: {error}"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, kind, bytes_behind, is_torn_tail } = self;
        let tail = if *is_torn_tail { "torn tail" } else { "damage" };
        write!(text, "{tail} at offset {offset}, {bytes_behind} bytes to the end: {kind}")
    }
}
