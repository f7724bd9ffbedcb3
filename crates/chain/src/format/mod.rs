//! The bytes of a ledger: entries, their public and private domains, chunk files and their names.
//!
//! All integers are little-endian. "Bytes" below means a `u64` length and that many bytes. Digests are SHA-256, 32 bytes.
//!
//! ```text
//! chunk   u64 offset of the position table (0 while the chunk is open) | entries | table: u32 offset of every entry
//! entry   u8 version (1) | u8 flags | u48 size of the rest | 16 GCM tag | 12 IV (u64 seqno, u32 view)
//!         | u64 length of the public domain | public domain | private domain (encrypted, may be empty)
//! domain  u8 type | u64 seqno | [32 claims digest] | [32 commit-evidence digest] | u64 0 | maps
//! map     bytes name | u64 read version (0) | u64 reads (0) | u64 writes, each: bytes key, bytes value
//!         | u64 removes, each: bytes key
//! ```
//!
//! Every part is read by a borrowing parser that checks all lengths against what is there before it allocates, and
//! written by an encoder that produces the canonical order (maps by name, keys ascending), so that parsing and
//! re-encoding an entry gives identical bytes.

mod bytes;
mod chunk;
mod domain;
mod entry;
mod error;
mod name;
mod txid;
mod writes;

pub use chunk::{ChunkHeader, FILE_HEADER_BYTES, MAX_ENTRY_OFFSET, POSITION_BYTES, encode_table};
pub use domain::{EntryType, MapWrites, Maps, NO_CLAIMS, PublicDomain, Writes};
pub use entry::{
    Entry, EntryHeader, Flags, GCM_TAG_BYTES, HEADER_BYTES, Iv, MAX_ENTRY_BYTES, MIN_ENTRY_SIZE, encode_entry,
};
pub use error::FormatError;
pub use name::{ChunkName, ChunkState, FileName};
pub use txid::{ParseTxIdError, TxId};
pub use writes::{PublicHeader, WriteSet};

pub(crate) use bytes::{Cursor, put_bytes};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The key of a map that has one value only: eight zero bytes.
pub const SINGLE_KEY: [u8; 8] = [0; 8];

/// Names of maps with this prefix are public; all others are private (encrypted).
pub const PUBLIC_PREFIX: &str = "public:";
