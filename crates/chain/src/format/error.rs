use thiserror::Error;

/// Bytes that are not what the format says. Offsets count from the start of the entry or value that was parsed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes end inside a field.
    #[error("{what} at byte {offset} needs {needed} bytes, only {available} are there")]
    Short {
        /// The field.
        what: &'static str,
        /// Where the field begins.
        offset: u64,
        /// How many bytes it needs.
        needed: u64,
        /// How many there are.
        available: u64,
    },
    /// An entry of a format version other than 1.
    #[error("entry format version {found}, only 1 is known")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// Header flags that no version defines.
    #[error("entry flags {found:#04x} contain unknown bits")]
    Flags {
        /// The flags byte.
        found: u8,
    },
    /// An entry whose size field is out of bounds.
    #[error("entry size {found} is outside {min} to {max} bytes")]
    EntrySize {
        /// The size field.
        found: u64,
        /// The smallest possible.
        min: u64,
        /// The largest accepted.
        max: u64,
    },
    /// An unknown entry type.
    #[error("entry type {found} is unknown")]
    EntryType {
        /// The type byte.
        found: u8,
    },
    /// A snapshot where a ledger entry is expected, or the other way round.
    #[error("{found}, where {expected} is expected")]
    Kind {
        /// What was found.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A map name that is not UTF-8.
    #[error("map name at byte {offset} is not UTF-8")]
    MapName {
        /// Where the name begins.
        offset: u64,
    },
    /// A map that records reads; ledgers never hold any.
    #[error("map {map:?} records {found} reads, ledgers hold none")]
    Reads {
        /// The map.
        map: String,
        /// The read count.
        found: u64,
    },
    /// A map appears twice in one entry.
    #[error("map {map:?} appears twice")]
    DuplicateMap {
        /// The map.
        map: String,
    },
    /// Bytes are left over.
    #[error("{available} bytes are left over at byte {offset}, after {what}")]
    Trailing {
        /// After what.
        what: &'static str,
        /// Where they begin.
        offset: u64,
        /// How many.
        available: u64,
    },
    /// A value in a map of the ledger's own is not what it should be.
    #[error("value of {map}: {reason}")]
    Value {
        /// The map.
        map: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An entry would begin at or beyond 4 GiB of a chunk, or a field would not fit.
    #[error("{what} of {found} exceeds the limit of {max}")]
    Limit {
        /// What.
        what: &'static str,
        /// How much.
        found: u64,
        /// The limit.
        max: u64,
    },
}
