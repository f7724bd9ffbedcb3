//! Whether the index knows the ledger's last lines.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use ledger_fs::{Dir, Open};

use super::known::KnownIds;
use super::rebuild::{Identity, identify};
use crate::hash::Hash64;
use crate::home::{LEDGER, if_found};
use crate::jsonl::{ChunkReader, lines};

const FIRST_WINDOW: u64 = 64 << 10;

/// The records at the end of the ledger that the index does not know, oldest first. The caller holds `ledger`.
///
/// Writers append to the ledger first, then to the index, so what a crash left out stands at the end. The look goes back
/// until it meets a record that is known.
pub(crate) fn uncovered(dir: &dyn Dir, known: &mut KnownIds) -> io::Result<Vec<Identity>> {
    let mut window = FIRST_WINDOW;
    loop {
        let Some((records, whole)) = last_records(dir, window)? else { return Ok(Vec::new()) };
        let ids: Vec<Hash64> = records.iter().map(|record| record.id).collect();
        let found: HashSet<Hash64> =
            if ids.is_empty() { HashSet::new() } else { known.lookup(dir, &ids, None)?.known };
        let reached = records.first().is_some_and(|record| found.contains(&record.id));
        if whole || reached {
            let mut seen = found;
            return Ok(records.into_iter().filter(|record| seen.insert(record.id)).collect());
        }
        window = window.saturating_mul(16);
    }
}

/// The records of the last lines, and whether these are all the lines; `None` without a ledger.
fn last_records(dir: &dyn Dir, window: u64) -> io::Result<Option<(Vec<Identity>, bool)>> {
    let Some(file) = if_found(dir.open(Path::new(LEDGER), Open::READ))? else { return Ok(None) };
    let len = file.metadata()?.len;
    let start = len.saturating_sub(window);
    let mut reader = ChunkReader::new(file, start, len);
    let mut records = Vec::new();
    let mut chunk = Vec::new();
    let mut first = start > 0;
    while let Some(offset) = reader.next(&mut chunk)? {
        for (_, line) in lines(&chunk, offset) {
            // The first line of a window that begins in the middle of the file is mostly cut.
            if !std::mem::take(&mut first) {
                records.extend(identify(&String::from_utf8_lossy(line)).record);
            }
        }
    }
    // A last line that lacks nothing but its LF gets it with the next append, and is a record then.
    if !first {
        records.extend(identify(&String::from_utf8_lossy(reader.unterminated())).record);
    }
    Ok(Some((records, start == 0)))
}
