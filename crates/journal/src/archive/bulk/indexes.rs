//! From sorted keys to the trees of the indexes.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::layout::{IndexLayout, Layout};
use super::key;
use super::pages::Pages;
use super::record::Record;
use super::sort::{Run, Spill, merge};
use super::tree::IndexTree;
use crate::parallel::cores;

/// Makes all indexes. Returns whether keys of a table's rows are repeated, for each table.
pub(super) fn build(
    layout: &Layout,
    runs: &[Vec<Run>],
    spill: &Spill,
    pages: &Pages<'_>,
) -> io::Result<[bool; 4]> {
    let next = AtomicUsize::new(0);
    let indexes: Vec<&IndexLayout> = layout.tables.iter().flat_map(|table| &table.indexes).collect();
    let work = || {
        let mut repeated = Vec::new();
        while let Some(index) = indexes.get(next.fetch_add(1, Ordering::Relaxed)) {
            let runs = runs.get(index.number).map_or(&[][..], Vec::as_slice);
            if make(index, runs, spill, pages)? {
                repeated.push(index.number);
            }
        }
        Ok::<_, io::Error>(repeated)
    };
    let repeated = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(work)).collect();
        let results =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        results.collect::<io::Result<Vec<_>>>()
    })?;
    let repeated = repeated.concat();
    Ok(layout
        .tables
        .each_ref()
        .map(|table| table.indexes.iter().any(|index| index.is_key && repeated.contains(&index.number))))
}

/// Makes an index. Returns whether some of its entries differ by nothing but the row they lead to.
fn make(index: &IndexLayout, runs: &[Run], spill: &Spill, pages: &Pages<'_>) -> io::Result<bool> {
    let mut tree = IndexTree::new(index.root, pages);
    let (mut record, mut bytes) = (Record::default(), Vec::new());
    let (mut last, mut repeated) = (Vec::new(), false);
    merge(spill, runs, |entry| {
        if index.is_key && !repeated {
            let values = key::without_rowid(entry);
            repeated = last == values;
            last.clear();
            last.extend_from_slice(values);
        }
        key::to_record(entry, &mut record);
        bytes.clear();
        record.write(&mut bytes);
        tree.push(&bytes)
    })?;
    tree.finish()?;
    Ok(repeated)
}
