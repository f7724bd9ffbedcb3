//! Whether the index knows the ledger's last lines.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use ledger_fs::{Dir, Open};

use super::known::{KnownIds, Lookup};
use super::rebuild::{Identity, identify};
use crate::hash::Hash64;
use crate::home::{LEDGER, if_found};
use crate::jsonl::{ChunkReader, lines};

const FIRST_WINDOW: u64 = 64 << 10;

/// The ids of the last records: to be looked up together with others before [`uncovered`] is asked.
pub(crate) fn last_ids(dir: &dyn Dir) -> io::Result<Vec<Hash64>> {
    let records = last_records(dir, FIRST_WINDOW)?.map_or(Vec::new(), |(records, _)| records);
    Ok(records.into_iter().map(|record| record.id).collect())
}

/// The records at the end of the ledger that the index does not know, oldest first. The caller holds `ledger`.
///
/// Writers append to the ledger first, then to the index, so what a crash left out stands at the end. The look goes back
/// until it meets a record that is known. What an `earlier` lookup has found is not looked up again.
pub(crate) fn uncovered(
    dir: &dyn Dir,
    known: &mut KnownIds,
    earlier: Option<&Lookup>,
) -> io::Result<Vec<Identity>> {
    let mut window = FIRST_WINDOW;
    let mut earlier = earlier;
    loop {
        let Some((records, whole)) = last_records(dir, window)? else { return Ok(Vec::new()) };
        let ids: Vec<Hash64> = records.iter().map(|record| record.id).collect();
        let mut found = HashSet::new();
        if !ids.is_empty() {
            found = known.lookup(dir, &ids, earlier.and_then(|earlier| earlier.position))?.known;
            found.extend(earlier.iter().flat_map(|earlier| &earlier.known));
        }
        let reached = records.first().is_some_and(|record| found.contains(&record.id));
        if whole || reached {
            return Ok(records.into_iter().filter(|record| found.insert(record.id)).collect());
        }
        // Further back are ids that nobody has looked up yet.
        earlier = None;
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
