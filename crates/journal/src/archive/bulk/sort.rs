//! Sorting more keys than memory should hold.
//!
//! Keys are collected in arenas of a fixed size. A full arena is sorted on another thread and becomes a *run* in one
//! temporary file; in the end the runs of each sorter are merged. A run is, for each key in order, its length in 4 bytes
//! (little end first) and its bytes.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use ledger_fs::{File, read_exact_at, write_all_at};

/// Bytes of an arena.
const ARENA_BYTES: usize = 512 << 10;
/// A short key, and what is noted of it.
const MIN_KEY_BYTES: usize = 16 + size_of::<Key>();
/// Bytes that a merge holds of all its runs.
const MERGE_BYTES: usize = 4 << 20;
/// Runs that are merged at once. More of them are merged to fewer first.
const MAX_RUNS: usize = 512;
/// Bytes of a merged run that are written at once.
const WRITE_BYTES: usize = 256 << 10;

/// The temporary file.
pub(super) struct Spill {
    file: Box<dyn File>,
    end: AtomicU64,
}

/// A part of the file: keys in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    start: u64,
    end: u64,
}

impl Spill {
    pub(super) fn new(file: Box<dyn File>) -> Self {
        Self { file, end: AtomicU64::new(0) }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<Run> {
        let len = bytes.len() as u64;
        let start = self.end.fetch_add(len, Ordering::Relaxed);
        write_all_at(&*self.file, bytes, start)?;
        Ok(Run { start, end: start + len })
    }
}

/// Keys in memory.
pub(super) struct Arena {
    bytes: Vec<u8>,
    keys: Vec<Key>,
}

/// Where a key is, and how it begins.
#[derive(Clone, Copy)]
struct Key {
    head: u64,
    start: u32,
    len: u32,
}

impl Key {
    fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        bytes.get(start..start + self.len as usize).unwrap_or_default()
    }
}

impl Arena {
    /// With the memory that it will need, so that none is let go before the end.
    fn new() -> Self {
        Self { bytes: Vec::with_capacity(ARENA_BYTES), keys: Vec::with_capacity(ARENA_BYTES / MIN_KEY_BYTES) }
    }

    /// Adds a key and returns whether the arena is full. Longer keys than 4 GB do not come from lines.
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let key = self.bytes.get(start..).unwrap_or_default();
        let mut head = [0; 8];
        head.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let [start, len] = [start, key.len()].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        self.keys.push(Key { head: u64::from_be_bytes(head), start, len });
        self.bytes.len() + size_of_val(&*self.keys) >= ARENA_BYTES
    }

    /// Leaves the keys in `out` in order, as a run, and nothing in the arena.
    fn sort(&mut self, out: &mut Vec<u8>) {
        let bytes = &self.bytes;
        self.keys.sort_unstable_by(|a, b| a.head.cmp(&b.head).then_with(|| a.of(bytes).cmp(b.of(bytes))));
        out.clear();
        for key in &self.keys {
            put_key(out, key.of(bytes));
        }
        self.keys.clear();
        self.bytes.clear();
        // One very long key does not cost memory for ever.
        self.bytes.shrink_to(2 * ARENA_BYTES);
    }
}

/// The arenas that are being filled, one for each index.
pub(super) struct Sorters {
    arenas: Vec<Arena>,
    full: SyncSender<(usize, Arena)>,
    empty: Receiver<Arena>,
}

impl Sorters {
    /// Sorters that hand full arenas to a thread that runs [`sort_arenas`], and get them back.
    pub(super) fn new(count: usize, full: SyncSender<(usize, Arena)>, empty: Receiver<Arena>) -> Self {
        Self { arenas: (0..count).map(|_| Arena::new()).collect(), full, empty }
    }

    /// Adds a key to a sorter.
    pub(super) fn add(&mut self, sorter: usize, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let Some(arena) = self.arenas.get_mut(sorter) else { return Ok(()) };
        if arena.add(write) {
            let fresh = self.empty.try_recv().unwrap_or_else(|_| Arena::new());
            let full = std::mem::replace(arena, fresh);
            send(&self.full, sorter, full)?;
        }
        Ok(())
    }

    /// Hands over what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        (0..).zip(self.arenas).try_for_each(|(sorter, arena)| send(&self.full, sorter, arena))
    }
}

fn send(to: &SyncSender<(usize, Arena)>, sorter: usize, arena: Arena) -> io::Result<()> {
    // The other end is gone when it has failed; what it says is what counts.
    to.send((sorter, arena)).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Sorts arenas as they come. Returns the runs of each sorter.
pub(super) fn sort_arenas(
    count: usize,
    full: Receiver<(usize, Arena)>,
    empty: &SyncSender<Arena>,
    spill: &Spill,
) -> io::Result<Vec<Vec<Run>>> {
    let mut runs = vec![Vec::new(); count];
    let mut sorted = Vec::new();
    for (sorter, mut arena) in full {
        arena.sort(&mut sorted);
        if let Some(runs) = runs.get_mut(sorter) {
            runs.push(spill.write(&sorted)?);
        }
        // There is room for all, unless the other end is gone.
        let _ = empty.try_send(arena);
    }
    Ok(runs)
}

/// Calls `each` for every key of all runs, in order.
pub(super) fn merge(
    spill: &Spill,
    runs: &[Run],
    each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut runs = VecDeque::from(runs.to_vec());
    while runs.len() > MAX_RUNS {
        let some: Vec<Run> = runs.drain(..MAX_RUNS).collect();
        runs.push_back(merge_to_run(spill, &some)?);
    }
    merge_at_once(spill, runs.make_contiguous(), each)
}

fn merge_to_run(spill: &Spill, runs: &[Run]) -> io::Result<Run> {
    let len = runs.iter().map(|run| run.end - run.start).sum();
    let start = spill.end.fetch_add(len, Ordering::Relaxed);
    let (mut waiting, mut at) = (Vec::with_capacity(2 * WRITE_BYTES), start);
    let mut write = |waiting: &mut Vec<u8>| {
        write_all_at(&*spill.file, waiting, at)?;
        at += waiting.len() as u64;
        waiting.clear();
        Ok::<(), io::Error>(())
    };
    merge_at_once(spill, runs, |key| {
        put_key(&mut waiting, key);
        if waiting.len() >= WRITE_BYTES { write(&mut waiting) } else { Ok(()) }
    })?;
    write(&mut waiting)?;
    Ok(Run { start, end: start + len })
}

/// Appends a key as it stands in a run.
fn put_key(run: &mut Vec<u8>, key: &[u8]) {
    let len = u32::try_from(key.len()).unwrap_or(u32::MAX);
    run.extend_from_slice(&len.to_le_bytes());
    run.extend_from_slice(key);
}

fn merge_at_once(
    spill: &Spill,
    runs: &[Run],
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let bytes = MERGE_BYTES / runs.len().max(1);
    let mut readers = Vec::with_capacity(runs.len());
    for run in runs {
        let mut reader = Reader::new(&*spill.file, *run, bytes);
        if reader.next()? {
            readers.push(reader);
        }
    }
    // A heap: each reader's key is not above those of the two below it.
    for place in (0..readers.len() / 2).rev() {
        sink(&mut readers, place);
    }
    while let Some(first) = readers.first_mut() {
        each(first.key())?;
        if !first.next()? {
            readers.swap_remove(0);
        }
        sink(&mut readers, 0);
    }
    Ok(())
}

/// Lets a reader sink below those with smaller keys.
fn sink(readers: &mut [Reader<'_>], mut place: usize) {
    loop {
        let [left, right] = [2 * place + 1, 2 * place + 2];
        let Some(mut least) = readers.get(left).map(Reader::key) else { return };
        let mut below = left;
        if let Some(other) = readers.get(right).map(Reader::key)
            && other < least
        {
            (least, below) = (other, right);
        }
        if readers.get(place).is_none_or(|reader| reader.key() <= least) {
            return;
        }
        readers.swap(place, below);
        place = below;
    }
}

/// Reads the keys of a run.
struct Reader<'s> {
    file: &'s dyn File,
    /// What of the run is not in the buffer yet.
    rest: Run,
    buffer: Vec<u8>,
    /// Where in the buffer the key is, and where it ends.
    start: usize,
    end: usize,
}

impl<'s> Reader<'s> {
    fn new(file: &'s dyn File, rest: Run, bytes: usize) -> Self {
        Self { file, rest, buffer: Vec::with_capacity(bytes), start: 0, end: 0 }
    }

    fn key(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Goes to the next key; `false` at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.start = self.end;
        if !self.fill(4)? {
            return Ok(false);
        }
        let len = self.buffer.get(self.start..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
        let len = u32::from_le_bytes(len) as usize;
        self.fill(4 + len)?;
        self.start += 4;
        self.end = self.start + len;
        Ok(true)
    }

    /// Makes so many bytes from `start` on available; `false` at the end.
    fn fill(&mut self, count: usize) -> io::Result<bool> {
        if self.buffer.len() - self.start >= count {
            return Ok(true);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let kept = self.buffer.len();
        let left = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let more = left.min(self.buffer.capacity().max(count) - kept);
        self.buffer.resize(kept + more, 0);
        read_exact_at(self.file, self.buffer.get_mut(kept..).unwrap_or_default(), self.rest.start)?;
        self.rest.start += more as u64;
        Ok(self.buffer.len() >= count)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::sync_channel;

    use ledger_fs::{Dir, Open, RealDir};

    use super::*;

    /// Numbers from 0 to `count`, in an order of no order.
    fn shuffled(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(move |number| number.wrapping_mul(7919) % count)
    }

    #[test]
    fn more_keys_than_an_arena_and_more_runs_than_a_merge_takes_come_out_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RealDir::open(folder.path()).unwrap();
        let spill = Spill::new(dir.open(Path::new("keys"), Open::WRITE.create_new()).unwrap());
        // Arenas, one of them with a key that is longer than an arena.
        let (full, to_sort) = sync_channel(1);
        let (used, empty) = sync_channel(3);
        const KEYS: u32 = 100_000;
        let runs = std::thread::scope(|scope| {
            let sorting = scope.spawn(|| sort_arenas(2, to_sort, &used, &spill));
            let mut sorters = Sorters::new(2, full, empty);
            for number in shuffled(KEYS) {
                let key = format!("{number:08} {}", "x".repeat((number % 50) as usize));
                sorters.add(1, |out| out.extend_from_slice(key.as_bytes())).unwrap();
            }
            sorters.add(1, |out| out.extend(vec![b'y'; 3 * ARENA_BYTES])).unwrap();
            sorters.finish().unwrap();
            sorting.join().unwrap().unwrap()
        });
        let [_, runs] = &runs[..] else { panic!("two sorters") };
        assert!(runs.len() > 4, "{}", runs.len());
        let mut keys = 0;
        merge(&spill, runs, |key| {
            if keys < KEYS {
                assert!(key.starts_with(format!("{keys:08} ").as_bytes()));
                assert_eq!(key.len(), 9 + (keys % 50) as usize);
            } else {
                assert_eq!(key.len(), 3 * ARENA_BYTES);
            }
            keys += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(keys, KEYS + 1);
        // One key to a run.
        let count = 3 * u32::try_from(MAX_RUNS).unwrap();
        let runs: Vec<Run> = shuffled(count)
            .map(|number| {
                let mut run = Vec::new();
                put_key(&mut run, &number.to_be_bytes());
                spill.write(&run).unwrap()
            })
            .collect();
        let mut next = 0_u32;
        merge(&spill, &runs, |key| {
            assert_eq!(key, next.to_be_bytes());
            next += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(next, count);
    }
}
