//! Filling an empty archive.
//!
//! Rows come in the order of the ledger, in which keys are as good as random; whoever inserts them one after the other pays for
//! every index a search, a comparison with some twenty keys, and soon a page to be read and written. Here nothing is
//! searched and no page is touched twice:
//!
//! 1. SQLite makes the tables and indexes, empty, and closes the file.
//! 2. Rows become records, records become the pages of the tables ([`record`], [`tree`], [`pages`]), written behind those
//!    that are there. Of every row the keys for its indexes are put aside and sorted, in a temporary file ([`key`],
//!    [`sort`]).
//! 3. From the sorted keys the pages of the indexes are made, on all cores ([`indexes`]).
//! 4. SQLite opens the file again and does the rest: rows that repeat a key ([`repeated`]), sessions, state.
//!
//! The file format is stable and documented (<https://sqlite.org/fileformat2.html>). What is written here is what SQLite would
//! write: tests have it check the structure of the file, and compare all rows with those of an archive that SQLite has
//! filled row by row.
//!
//! What rows that repeat a key come to is what applying them one after the other would have come to: a repeated turn keeps
//! the place of the first and has all else, calls included, from the last; of repeated events and compactions only the last
//! is left. To tell the calls of the last apart, turns and calls share one sequence of rowids: the calls of a turn follow it
//! and precede the next turn.

mod indexes;
mod key;
mod loader;
mod pages;
mod record;
mod repeated;
mod sort;
mod tree;

use std::sync::mpsc;
use std::thread;

use ledger_fs::File;
use rusqlite::Connection;

pub(super) use repeated::settle_repeated;

use self::loader::BulkLoader;
use self::pages::Pages;
use self::sort::{Run, Sorters, Spill, sort_arenas};
use super::build::{Failure, Progress, Source, apply_lines, apply_stamps};
use super::fold::Folder;
use super::layout::Layout;
use super::load::Totals;
use super::schema::LARGE;

/// Arenas that wait to be sorted.
const WAITING: usize = 2;

/// What came of the lines.
pub(super) struct Filled {
    pub(super) totals: Totals,
    /// The end of the last whole line.
    pub(super) cursor: u64,
    /// The tables that have rows which repeat a key.
    pub(super) repeated: [bool; LARGE.len()],
}

/// Puts the stamps into their table, and all other lines into pages behind it.
pub(super) fn fill(
    db: Connection,
    file: &dyn File,
    keys: Box<dyn File>,
    source: &Source,
    progress: Progress<'_>,
) -> Result<Filled, Failure> {
    let keys = Spill::new(keys);
    let end = source.metadata.len;
    let mut totals = Totals::default();
    db.execute_batch("BEGIN")?;
    apply_stamps(&db, source, 0, end, &mut totals, progress)?;
    db.execute_batch("COMMIT")?;
    let layout = Layout::of(&db)?;
    let pages = Pages::behind(layout.pages, file);
    let (full, to_sort) = mpsc::sync_channel(WAITING);
    // Besides those that wait, one is being sorted and one is about to wait.
    let (used, empty) = mpsc::sync_channel(WAITING + 2);
    let (filled, sorted) = thread::scope(|scope| {
        let sorting = scope.spawn(|| sort_arenas(layout.indexes, to_sort, &used, &keys));
        let fill = || {
            let sorters = Sorters::new(layout.indexes, full, empty);
            let mut loader = BulkLoader::new(Folder::new(&db)?, &layout, &pages, sorters, totals);
            let cursor = apply_lines(source, 0, end, progress, |batch| loader.apply(batch))?;
            Ok::<_, Failure>((loader.finish()?, cursor))
        };
        (fill(), sorting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // When the thread that sorts fails the other one fails for want of it.
    let runs: Vec<Vec<Run>> = sorted?;
    let (totals, cursor) = filled?;
    let repeated = indexes::build(&layout, &runs, &keys, &pages)?;
    pages.finish()?;
    // It knows nothing of the new pages, and has nothing to write.
    db.close().map_err(|(_, error)| error)?;
    Ok(Filled { totals, cursor, repeated })
}
