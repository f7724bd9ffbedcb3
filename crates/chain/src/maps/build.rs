//! Brings the index up to date: a run for closed chunks that have none, merged with others when there are many.

use std::{
    panic::resume_unwind,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use ledger_fs::Dir;

use super::{
    MapsError, base,
    collect::{Collector, PART, Part},
    cursor::MergedRecords,
    run::Run,
    write::{RunHead, write_parts, write_run},
};
use crate::{
    crypto::{LedgerSecret, sha256},
    format::{Entry, Maps, PublicDomain},
    store::Reader,
    verify::Secrets,
};

/// So many runs of one size class become one of the next.
const FAN_IN: usize = 8;

/// Entries that a thread takes at once.
const PIECE_ENTRIES: u64 = 1 << 17;

/// So many pieces become a run, and need not be read again should the power fail.
const PIECES_PER_RUN: usize = 64;

/// Gives the map and the key of everything that an entry touches.
pub(super) fn index_entry(
    bytes: &[u8],
    secret: Option<&LedgerSecret>,
    key: &mut impl FnMut(&str, &[u8]),
) -> Result<(), MapsError> {
    let (entry, _) = Entry::parse(bytes)?;
    let mut add = |maps: Maps<'_>| -> Result<(), MapsError> {
        for map in maps {
            let map = map?;
            map.iter().for_each(|(name, _)| key(map.name, name));
        }
        Ok(())
    };
    add(PublicDomain::parse(entry.public)?.maps())?;
    if let Some(secret) = secret.filter(|_| !entry.private.is_empty()) {
        let clear = secret.open(entry.iv, entry.public, entry.tag, entry.private)?;
        add(Maps::of_private(&clear))?;
    }
    Ok(())
}

/// The runs of a ledger, newest first, covering all closed chunks.
pub(super) fn catch_up(
    reader: &Reader,
    index: &Arc<dyn Dir>,
    secrets: &Secrets,
    snapshots: Option<&dyn Dir>,
) -> Result<Vec<Run>, MapsError> {
    let mut runs = existing(reader, &**index, snapshots)?;
    if let Some(snapshots) = snapshots.filter(|_| runs.is_empty()) {
        runs.extend(base::build(reader, index, snapshots, secrets)?);
    }
    let covered = runs.last().map_or(0, Run::last);
    for group in pieces(reader.closed(), covered).chunks(PIECES_PER_RUN) {
        let (Some((first, _)), Some((_, last))) = (group.first(), group.last()) else { continue };
        let parts = collect(reader, &**index, secrets, group)?;
        let digest = sha256(&reader.read(*last)?);
        let head = RunHead { name: Run::file_name(*first, *last), first: *first, last: *last, digest };
        runs.push(write_parts(&**index, &head, &parts)?);
        merge_small(&**index, &mut runs)?;
    }
    runs.reverse();
    Ok(runs)
}

/// Sequence numbers of closed chunks without a run, in pieces of about the same size, whatever the size of the chunks.
fn pieces(chunks: impl Iterator<Item = (u64, u64)>, covered: u64) -> Vec<(u64, u64)> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for (first, last) in chunks.filter(|(_, last)| *last > covered) {
        let mut first = first.max(covered.saturating_add(1));
        if let Some((begin, end)) = pieces.last_mut() {
            *end = last.min(begin.saturating_add(PIECE_ENTRIES - 1));
            first = end.saturating_add(1);
        }
        while first <= last {
            let end = last.min(first.saturating_add(PIECE_ENTRIES - 1));
            pieces.push((first, end));
            first = end.saturating_add(1);
        }
    }
    pieces
}

/// The records of some pieces, read by all processors.
fn collect(
    reader: &Reader,
    index: &dyn Dir,
    secrets: &Secrets,
    pieces: &[(u64, u64)],
) -> Result<Vec<Part>, MapsError> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Part>, MapsError> {
        let mut collector = Collector::new(index);
        while let Some((first, last)) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            reader.scan(*first, |seqno, bytes| {
                index_entry(bytes, secrets.at(seqno), &mut |map, key| collector.add(map, key, seqno))?;
                collector.relieve()?;
                Ok::<_, MapsError>(seqno < *last)
            })?;
        }
        Ok(collector.finish()?)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(pieces.len());
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = work()?;
        for other in others {
            parts.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(parts)
    })
}

/// The runs in the folder that fit together and fit the ledger; everything else is removed.
fn existing(reader: &Reader, index: &dyn Dir, snapshots: Option<&dyn Dir>) -> Result<Vec<Run>, MapsError> {
    let mut found = Vec::new();
    for entry in index.entries(Path::new(""))? {
        let name = entry?.name.to_string_lossy().into_owned();
        if name.starts_with("run_") || name.starts_with("base_") {
            match Run::open(index, &name)? {
                Some(run) => found.push(run),
                None => index.remove(Path::new(&name))?,
            }
        } else if name.starts_with(PART) {
            // A crash came before it lost its name.
            index.remove(Path::new(&name))?;
        }
    }
    // The longer of two runs that begin alike is a merge whose parts were not removed yet.
    found.sort_by_key(|run| (run.first(), std::cmp::Reverse(run.last())));
    let mut runs: Vec<Run> = Vec::new();
    for run in found {
        let follows = run.first() == runs.last().map_or(0, Run::last).saturating_add(1);
        let fits = follows
            && match run.is_base() {
                true => base::fits(&run, reader, snapshots)?,
                // What reaches back to chunks that are gone gives way to a snapshot.
                false if run.first() < reader.first() => false,
                false => reader.read(run.last()).is_ok_and(|bytes| sha256(&bytes) == *run.digest()),
            };
        if fits {
            runs.push(run);
        } else {
            index.remove(Path::new(&run.name))?;
        }
    }
    Ok(runs)
}

/// Merges the newest runs as long as there are enough of similar size.
fn merge_small(index: &dyn Dir, runs: &mut Vec<Run>) -> Result<(), MapsError> {
    while let Some(at) = runs.len().checked_sub(FAN_IN) {
        let group = runs.get(at..).unwrap_or_default();
        let class = |run: &Run| run.records().max(1).ilog2() / 3;
        let newest = group.last().map(class);
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        // The run of a snapshot lacks what was before; it stays alone.
        if Some(class(first)) > newest || first.is_base() {
            return Ok(());
        }
        let head = RunHead {
            name: Run::file_name(first.first(), last.last()),
            first: first.first(),
            last: last.last(),
            digest: *last.digest(),
        };
        let bytes = group.iter().map(Run::record_bytes).sum();
        let merged = write_run(index, &head, MergedRecords::of_runs(group.iter(), b"")?, bytes)?;
        let parts: Vec<_> = group.iter().map(|run| run.name.clone()).collect();
        runs.truncate(at);
        runs.push(merged);
        for part in parts {
            index.remove(Path::new(&part))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_cover_everything_once_and_none_is_too_large(
            sizes in prop::collection::vec(prop::sample::select(vec![1, 700, PIECE_ENTRIES, 5 * PIECE_ENTRIES + 3]), 0..30),
            covered in 0..3 * PIECE_ENTRIES,
        ) {
            let mut last = 0;
            let chunks: Vec<_> = sizes
                .into_iter()
                .map(|size| {
                    let first = last + 1;
                    last += size;
                    (first, last)
                })
                .collect();
            let mut next = covered + 1;
            let pieces = pieces(chunks.into_iter(), covered);
            for (first, end) in &pieces {
                prop_assert_eq!(*first, next);
                prop_assert!(first <= end && end - first < PIECE_ENTRIES);
                next = end + 1;
            }
            prop_assert!(pieces.is_empty() && last <= covered || next == last + 1);
            // Small chunks share a piece.
            prop_assert!(pieces.len() as u64 <= last / PIECE_ENTRIES + 1);
        }
    }
}
