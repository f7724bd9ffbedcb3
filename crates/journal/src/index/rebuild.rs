//! Making both index files anew from the ledger (specification §5.4).

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::path::Path;

use ledger_fs::{Dir, Open, replace};

use super::{FINGERPRINT_WINDOW, hash_lines};
use crate::fields::{Picked, pick_record};
use crate::hash::{Hash64, fingerprint_of, id_of, parts};
use crate::home::{CONTENT_INDEX, ID_INDEX, LEDGER, if_found};
use crate::jsonl::ChunkReader;
use crate::line::Kind;
use crate::parallel::{Piece, cores, in_order};

/// What an index rebuild wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Id hashes.
    pub ids: usize,
    /// Fingerprints.
    pub content: usize,
    /// Lines of a known kind without a record, and turns that have no fingerprint because `usage` or `toolCalls` is
    /// missing. The original gives up at such a line; here they are passed over.
    pub skipped: usize,
}

/// What makes a record known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Hash64,
    pub(crate) fingerprint: Option<Hash64>,
}

/// What a line adds to the index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Identified {
    pub(crate) record: Option<Identity>,
    pub(crate) skipped: bool,
}

/// What a line adds to the index; nothing when it is no record.
pub(crate) fn identify(text: &str) -> Identified {
    match pick_record(text, parts) {
        Ok(Picked::Record(kind, members)) => {
            let fingerprint = if kind == Kind::Turn { fingerprint_of(&members) } else { None };
            let skipped = kind == Kind::Turn && fingerprint.is_none();
            let record = id_of(kind, &members).map(|id| Identity { id, fingerprint });
            Identified { record, skipped }
        }
        Ok(Picked::NoRecord(_)) => Identified { record: None, skipped: true },
        _ => Identified::default(),
    }
}

/// Replaces both files. The caller holds `ledger` ▸ `ledger-index`, so nothing is appended meanwhile.
pub(crate) fn rebuild(dir: &dyn Dir) -> io::Result<Rebuilt> {
    let mut ids = Distinct::default();
    let mut fingerprints = Distinct::default();
    let mut skipped = 0;
    if let Some(file) = if_found(dir.open(Path::new(LEDGER), Open::READ))? {
        // A last line without LF counts too (the walk of §2.4 includes it).
        let len = file.metadata()?.len;
        let mut take = |piece: &mut Piece<Vec<Identified>>| {
            for line in &piece.result {
                skipped += usize::from(line.skipped);
                if let Some(record) = line.record {
                    ids.add(record.id);
                    record.fingerprint.into_iter().for_each(|fingerprint| fingerprints.add(fingerprint));
                }
            }
            Ok::<(), io::Error>(())
        };
        in_order(ChunkReader::new(file, 0, len), cores(), identify_all, &mut take)?;
        let mut last = last_line(dir, len)?;
        identify_all(&mut last);
        take(&mut last)?;
    }
    let start = fingerprints.order.len().saturating_sub(FINGERPRINT_WINDOW);
    fingerprints.order.drain(..start);
    replace(dir, Path::new(ID_INDEX), hash_lines(&ids.order).as_bytes())?;
    replace(dir, Path::new(CONTENT_INDEX), hash_lines(&fingerprints.order).as_bytes())?;
    Ok(Rebuilt { ids: ids.order.len(), content: fingerprints.order.len(), skipped })
}

fn last_line(dir: &dyn Dir, len: u64) -> io::Result<Piece<Vec<Identified>>> {
    let mut start = len;
    let mut bytes = Vec::new();
    let file = dir.open(Path::new(LEDGER), Open::READ)?;
    while start > 0 && !bytes.contains(&b'\n') {
        let step = start.min(1 << 16);
        start -= step;
        let mut block = vec![0; usize::try_from(step).unwrap_or(0)];
        ledger_fs::read_exact_at(&*file, &mut block, start)?;
        block.append(&mut bytes);
        bytes = block;
    }
    let line = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
    Ok(Piece { offset: start + line as u64, bytes: bytes.split_off(line), result: Vec::new() })
}

fn identify_all(piece: &mut Piece<Vec<Identified>>) {
    // Unlike the archive, the walk also ends lines at a lone CR.
    // Checking whole is many times faster than replacing what is wrong.
    let text = std::str::from_utf8(&piece.bytes)
        .map_or_else(|_| String::from_utf8_lossy(&piece.bytes), Cow::Borrowed);
    let ends = memchr::memchr2_iter(b'\n', b'\r', text.as_bytes()).chain(std::iter::once(text.len()));
    let mut start = 0;
    piece.result.clear();
    for end in ends {
        let line = text.get(start..end).unwrap_or_default();
        start = end + 1;
        if !line.is_empty() {
            piece.result.push(identify(line));
        }
    }
}

/// Distinct hashes in the order of their first appearance.
#[derive(Default)]
struct Distinct {
    seen: HashSet<Hash64, BuildHasherDefault<Taken>>,
    order: Vec<Hash64>,
}

impl Distinct {
    fn add(&mut self, hash: Hash64) {
        if self.seen.insert(hash) {
            self.order.push(hash);
        }
    }
}

/// Takes what is hashed, a part of a SHA-256, for its own hash.
#[derive(Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| (sum << 8) | u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
