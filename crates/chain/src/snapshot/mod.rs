//! Snapshots: the state of all maps at a signature, proved by the ledger itself.
//!
//! A ledger of which the first chunks are gone can still be opened, verified and recovered from a snapshot and the chunks after
//! it; an index that is missing begins with one instead of the whole history.
//!
//! # Life
//!
//! | step | on disk |
//! |---|---|
//! | a signature at S is due; the chunk ends there, and S is committed | |
//! | the state after S is written: the newest snapshot before, and the entries since | `snapshot_<S>.….tmp` |
//! | an entry V records its SHA-256, as a value and as its claims digest | `snapshot_<S>_<V>` |
//! | a signature behind V is synced: the receipt of V is appended, the file synced and renamed, the folder synced | `snapshot_<S>_<V>.committed` |
//! | found damaged by a writer | `snapshot_<S>_<V>.ignored` |
//!
//! Only a committed one is ever read. What a crash leaves of the others is removed at the next start; the snapshot is then due
//! again.
//!
//! # Bytes
//!
//! One [entry](crate::format) and, behind it, the receipt up to the end of the file: JSON, or COSE in ledgers without raw
//! signatures. The IV of the entry is S with the top bit of the view set. Encrypted is with the ledger secret in force at S.
//!
//! | field of the public domain | content |
//! |---|---|
//! | `u8` | 1 |
//! | `u64` | S |
//! | `u64` | 0 |
//! | bytes | leaf of the signature entry S, 32 bytes |
//! | bytes | first sequence number of every view from 1 on, `u64` each; a view without entries has that of the next |
//! | … | maps by name |
//!
//! A map is its name, the `u64` number of the last entry that wrote to it, and bytes holding its rows. A row:
//!
//! ```text
//! u64 length of the key | key | zeros up to a multiple of 8
//! u64 length of the value + 8 | u64 entry that wrote it | value | zeros up to a multiple of 8
//! ```
//!
//! Rows are sorted by the low 32 bits of the SipHash-2-4 of their key (k0 `0x7720796f726c694b`, k1 `0x2165726568207361`), then by
//! key; readers take any order. Removed keys do not appear, maps without rows do. The private domain holds the private maps in
//! the same form. The state of genuine ledgers is encoded here to the bytes that genuine nodes wrote.
//!
//! The beginning of a snapshot at 14 and its last map, checked by a test:
//!
//! ```text
//! 0000  01 00 3d 1b 00 00 00 00                          version 1, flags 0, size 0x1b3d
//! 0008  …                                                tag
//! 0018  0e 00 00 00 00 00 00 00 00 00 00 80              IV: seqno 14, snapshot
//! 0024  82 1a 00 00 00 00 00 00                          public domain: 0x1a82 bytes
//! 002c  01 0e 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
//! 003d  20 00 00 00 00 00 00 00 8a fc 8b 19 …            leaf
//! 0065  10 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00  views 1 and 2 begin at 1
//! 0075  01 00 00 00 00 00 00 00
//! 197c  0c 00 00 00 00 00 00 00 "public:index"           map name
//! 1990  0d 00 00 00 00 00 00 00                          last written by entry 13
//! 1998  28 00 00 00 00 00 00 00                          rows: 40 bytes
//! 19a0  08 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00  key, 8 bytes
//! 19b0  0d 00 00 00 00 00 00 00 0d 00 00 00 00 00 00 00  8 + 5 bytes, written by entry 13
//! 19c0  73 65 76 65 6e 00 00 00                          "seven"
//! ```

mod error;
mod file;
mod format;
mod name;
mod rows;
mod state;
mod take;

pub use error::SnapshotError;
pub use file::{SnapshotFile, Snapshots, list};
pub use format::{Snapshot, SnapshotMap, SnapshotMaps, SnapshotRow, SnapshotRows};
pub use name::SnapshotName;
pub use take::{Built, SnapshotJob};

pub(crate) use file::{Base, base_of, newest, set_aside_behind};
pub(crate) use rows::check_rows;
pub(crate) use take::{ReceiptForm, commit, evidence, remove_unfinished};
