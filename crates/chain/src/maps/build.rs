//! Brings the index up to date: runs for closed chunks that have none, merged when there are many.

use std::{io, path::Path, sync::Arc, thread};

use ledger_fs::{Dir, Open, Replacement, temporary_name};

use super::{
    MapsError, base,
    cursor::MergedRuns,
    run::{HEADER_BYTES, MAGIC, Record, Run, composite},
};
use crate::{
    crypto::{LedgerSecret, sha256},
    directory::write_all_at,
    format::{Digest, Entry, Maps, PublicDomain},
    store::Reader,
    verify::Secrets,
};

/// So many runs of one size class become one of the next.
const FAN_IN: usize = 8;

/// Chunks whose entries go into one new run: so many records are sorted in memory.
const MAX_RECORDS_IN_MEMORY: usize = 1 << 18;

const WRITE_BYTES: usize = 1 << 20;

/// Gives the keys that an entry touches.
pub(super) fn index_entry(
    bytes: &[u8],
    secret: Option<&LedgerSecret>,
    key: &mut impl FnMut(Vec<u8>),
) -> Result<(), MapsError> {
    let (entry, _) = Entry::parse(bytes)?;
    let mut add = |maps: Maps<'_>| -> Result<(), MapsError> {
        for map in maps {
            let map = map?;
            map.iter().for_each(|(name, _)| key(composite(map.name, name)));
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
    let pieces = pieces(reader, covered);
    // Pieces are built in parallel, but added in order.
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for group in pieces.chunks(threads) {
        let built: Vec<Result<Run, MapsError>> = thread::scope(|scope| {
            let workers: Vec<_> = group
                .iter()
                .map(|(first, last)| scope.spawn(|| build(reader, &**index, secrets, *first, *last)))
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or(Err(MapsError::Busy))).collect()
        });
        for run in built {
            runs.push(run?);
            merge_small(&**index, &mut runs)?;
        }
    }
    runs.reverse();
    Ok(runs)
}

/// Sequence numbers of closed chunks without a run, in pieces.
fn pieces(reader: &Reader, covered: u64) -> Vec<(u64, u64)> {
    let mut pieces: Vec<(u64, u64)> = Vec::new();
    for (first, last) in reader.closed().filter(|(_, last)| *last > covered) {
        let first = first.max(covered.saturating_add(1));
        // Chunks are small by default; several make a piece.
        match pieces.last_mut() {
            Some(piece) if last.saturating_sub(piece.0) < (MAX_RECORDS_IN_MEMORY as u64) / 4 => {
                piece.1 = last;
            }
            _ => pieces.push((first, last)),
        }
    }
    pieces
}

/// The runs in the folder that fit together and fit the ledger; everything else is removed.
fn existing(reader: &Reader, index: &dyn Dir, snapshots: Option<&dyn Dir>) -> Result<Vec<Run>, MapsError> {
    let mut found = Vec::new();
    for entry in index.entries(Path::new(""))? {
        let name = entry?.name.to_string_lossy().into_owned();
        if !name.starts_with("run_") && !name.starts_with("base_") {
            continue;
        }
        match Run::open(index, &name)? {
            Some(run) => found.push(run),
            None => index.remove(Path::new(&name))?,
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

fn build(
    reader: &Reader,
    index: &dyn Dir,
    secrets: &Secrets,
    first: u64,
    last: u64,
) -> Result<Run, MapsError> {
    let mut records = Vec::new();
    let mut digest = Digest::default();
    reader.scan(first, |seqno, bytes| {
        if seqno == last {
            digest = sha256(bytes);
        }
        index_entry(bytes, secrets.at(seqno), &mut |key| records.push(Record { key, seqno }))?;
        Ok::<_, MapsError>(seqno < last)
    })?;
    records.sort_unstable();
    let mut writer = RunWriter::begin(index, Run::file_name(first, last), first, last)?;
    for record in records {
        writer.add(&record)?;
    }
    writer.finish(&digest)
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
        let mut merged = MergedRuns::new(group.iter(), b"")?;
        let (from, to) = (first.first(), last.last());
        let mut writer = RunWriter::begin(index, Run::file_name(from, to), from, to)?;
        while let Some(record) = merged.next()? {
            writer.add(&record)?;
        }
        let run = writer.finish(last.digest())?;
        let parts: Vec<_> = group.iter().map(|run| run.name.clone()).collect();
        runs.truncate(at);
        runs.push(run);
        for part in parts {
            index.remove(Path::new(&part))?;
        }
    }
    Ok(())
}

/// Writes a run piece by piece; offsets are kept in memory, 8 bytes a record.
pub(super) struct RunWriter<'a> {
    name: String,
    index: &'a dyn Dir,
    replacement: Replacement<'a>,
    first: u64,
    last: u64,
    offsets: Vec<u8>,
    written: u64,
    pending: Vec<u8>,
}

impl<'a> RunWriter<'a> {
    pub(super) fn begin(index: &'a dyn Dir, name: String, first: u64, last: u64) -> io::Result<Self> {
        let replacement = Replacement::begin(index, temporary_name(Path::new(&name)), Open::WRITE.private())?;
        Ok(Self {
            name,
            index,
            replacement,
            first,
            last,
            offsets: Vec::new(),
            written: HEADER_BYTES,
            pending: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, record: &Record) -> io::Result<()> {
        let offset = self.written.saturating_add(self.pending.len() as u64);
        self.offsets.extend_from_slice(&offset.to_le_bytes());
        let length = u32::try_from(record.key.len()).unwrap_or(u32::MAX);
        self.pending.extend_from_slice(&length.to_le_bytes());
        self.pending.extend_from_slice(&record.key);
        self.pending.extend_from_slice(&record.seqno.to_le_bytes());
        if self.pending.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        write_all_at(self.replacement.file(), &self.pending, self.written)?;
        self.written = self.written.saturating_add(self.pending.len() as u64);
        self.pending.clear();
        Ok(())
    }

    pub(super) fn finish(mut self, digest: &Digest) -> Result<Run, MapsError> {
        self.write()?;
        write_all_at(self.replacement.file(), &self.offsets, self.written)?;
        let records = (self.offsets.len() / 8) as u64;
        let mut header = MAGIC.to_vec();
        for field in [self.first, self.last, records, self.written] {
            header.extend_from_slice(&field.to_le_bytes());
        }
        header.extend_from_slice(digest);
        write_all_at(self.replacement.file(), &header, 0)?;
        self.replacement.commit(Path::new(&self.name))?;
        Run::open(self.index, &self.name)?.ok_or(MapsError::Index { seqno: self.last })
    }
}
