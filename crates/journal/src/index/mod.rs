//! The index sidecars: which records the ledger has (specification §5).
//!
//! `ledger.idx` has the id hash of every record, one per line, in the order of the appends. `ledger.content.idx` has the
//! fingerprints of the latest turns, oldest first; only its last 10 000 lines count.
//!
//! ```text
//! 00000000  62 64 65 36 66 32 37 66  31 34 36 33 31 34 66 65  |bde6f27f146314fe|
//! 00000010  0a                                                |.|
//! ```
//!
//! Other programs append to both files, so nothing read from them is trusted for longer than one lock is held. A process
//! that appends once does not load them: it looks for the few ids it has in one sweep over the bytes. A process that
//! appends often keeps the ids, and reads only what was added.
//!
//! A crash between the append to the ledger and the append to the index leaves records that the index does not know. Every
//! append therefore looks at the ledger's last lines first, and adds what is missing.

mod cover;
mod known;
mod rebuild;
mod scan;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ledger_fs::{Dir, read_all};

pub(crate) use cover::{last_ids, uncovered};
pub(crate) use known::{KnownIds, Lookup};
pub use rebuild::Rebuilt;
pub(crate) use rebuild::{Identity, rebuild};

use crate::hash::Hash64;
use crate::home::{CONTENT_INDEX, ID_INDEX, if_found};
use crate::jsonl::{Durability, JournalFile};

/// How many fingerprints count.
const FINGERPRINT_WINDOW: usize = 10_000;
/// So many lines the file may have before it is cut back to the window: not at every append.
const FINGERPRINT_LINES: usize = FINGERPRINT_WINDOW + FINGERPRINT_WINDOW / 10;

/// Both files hold a line of 17 bytes per entry; more than this in the smaller one means that it is something else.
const MAX_FINGERPRINT_BYTES: usize = 16 << 20;

/// The fingerprints that count now.
pub(crate) fn fingerprints(dir: &dyn Dir) -> io::Result<HashSet<Hash64>> {
    Ok(fingerprint_lines(dir)?.into_iter().collect())
}

fn fingerprint_lines(dir: &dyn Dir) -> io::Result<Vec<Hash64>> {
    let bytes = if_found(read_all(dir, Path::new(CONTENT_INDEX), MAX_FINGERPRINT_BYTES))?.unwrap_or_default();
    let lines: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    let start = lines.len().saturating_sub(FINGERPRINT_WINDOW);
    Ok(lines.iter().skip(start).filter_map(|line| Hash64::parse(line)).collect())
}

/// Adds entries to both files. The caller holds `ledger-index`.
pub(crate) fn append(dir: &Arc<dyn Dir>, ids: &[Hash64], fingerprints: &[Hash64]) -> io::Result<()> {
    if !ids.is_empty() {
        // Not synced: what a power cut takes from the index is found again in the ledger.
        JournalFile::new(Arc::clone(dir), ID_INDEX).append(hash_lines(ids).as_bytes(), Durability::Os)?;
    }
    if !fingerprints.is_empty() {
        let file = JournalFile::new(Arc::clone(dir), CONTENT_INDEX);
        let end = file.append(hash_lines(fingerprints).as_bytes(), Durability::Os)?.end;
        if end > (FINGERPRINT_LINES * 17) as u64 {
            let kept = fingerprint_lines(&**dir)?;
            ledger_fs::replace(&**dir, Path::new(CONTENT_INDEX), hash_lines(&kept).as_bytes())?;
        }
    }
    Ok(())
}

fn hash_lines(hashes: &[Hash64]) -> String {
    let mut text = String::with_capacity(hashes.len() * 17);
    for hash in hashes {
        // Many times faster than formatting, which counts with millions of them.
        let nibbles = hash.0.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        text.extend(nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)));
        text.push('\n');
    }
    text
}
