//! Append-only files of JSON Lines: the generic layer, which knows nothing of turns and stamps.
//!
//! | type | subject |
//! |---|---|
//! | [`JournalFile`] | appends lines, durably if wanted, and heals what a crash left |
//! | [`ChunkReader`] | reads whole lines with their raw byte offsets, in bounded memory |
//! | [`Follower`] | what was added since the last look, and whether the file was rewritten |
//!
//! # The format
//!
//! ```text
//! 00000000  7b 22 61 22 3a 31 7d 0a  7b 22 61 22 3a 32 7d 0a  |{"a":1}.{"a":2}.|
//! 00000010  7b 22 61 22                                       |{"a"|
//! ```
//!
//! Lines end with LF; what follows the last LF is *torn*: a write that has not ended, or never will. Readers leave it
//! alone. The next append ends it with an LF of its own, so that it becomes one bad line and takes no neighbour with it.
//! Positions are offsets in raw bytes, whatever the bytes decode to.
//!
//! Appends by several processes need a lock around them (see [`lock`](crate::lock)); reading needs none.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use std::sync::Arc;
//! use ledger_fs::RealDir;
//! use relayburn_ledger::jsonl::{Durability, Follower, JournalFile};
//!
//! let dir = Arc::new(RealDir::open(folder.path())?);
//! let file = JournalFile::new(dir.clone(), "events.jsonl");
//! file.append(b"{\"a\":1}\n", Durability::Synced)?;
//!
//! let mut follower = Follower::new(dir, "events.jsonl");
//! let mut lines = Vec::new();
//! follower.poll(&mut |offset, line| lines.push((offset, line.to_vec())))?;
//! assert_eq!(lines, [(0, b"{\"a\":1}".to_vec())]);
//! # Ok::<(), std::io::Error>(())
//! ```

mod append;
mod chunks;
mod follow;

pub use append::{Appended, Durability, JournalFile};
pub use chunks::{ChunkReader, MAX_LINE_BYTES, lines};
pub use follow::{Follower, News};
