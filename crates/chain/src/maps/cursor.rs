//! Reads sorted records, of one file and of several as one.

use std::{collections::btree_map, io, iter::Peekable};

use ledger_fs::{File, read_exact_at};

use super::run::{RECORD_BYTES, Record, Run};

const BUFFER_BYTES: u64 = 64 << 10;

/// Goes through the records between two offsets of a file. The current one stays in the buffer; nothing is copied.
#[derive(Debug)]
pub(super) struct RecordCursor<'a> {
    file: &'a dyn File,
    /// Where the file goes on behind the buffer.
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
    current: Option<Current>,
    /// Where the next record begins in the buffer.
    next: usize,
}

/// Where the current record is in the buffer.
#[derive(Debug, Clone, Copy)]
struct Current {
    key: usize,
    key_end: usize,
    seqno: u64,
}

impl<'a> RecordCursor<'a> {
    /// At the record that begins at `offset`.
    pub(super) fn new(file: &'a dyn File, offset: u64, end: u64) -> io::Result<Self> {
        let mut cursor = Self { file, offset, end, buffer: Vec::new(), current: None, next: 0 };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The current record; `None` behind the last one.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        let Current { key, key_end, seqno } = self.current?;
        Some(Record { key: self.buffer.get(key..key_end)?, seqno })
    }

    pub(super) fn advance(&mut self) -> io::Result<()> {
        self.current = None;
        loop {
            let rest = self.buffer.get(self.next..).unwrap_or_default();
            let left = self.end.saturating_sub(self.offset).saturating_add(rest.len() as u64);
            if left == 0 {
                return Ok(());
            }
            let needed = match rest.split_first_chunk::<4>() {
                None => RECORD_BYTES,
                Some((length, rest)) => {
                    let length = u32::from_le_bytes(*length);
                    let record = rest.split_at_checked(length as usize);
                    if let Some((_, [a, b, c, d, e, f, g, h, ..])) = record {
                        let key = self.next.saturating_add(4);
                        let key_end = key.saturating_add(length as usize);
                        let seqno = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                        self.current = Some(Current { key, key_end, seqno });
                        self.next = key_end.saturating_add(8);
                        return Ok(());
                    }
                    u64::from(length).saturating_add(RECORD_BYTES)
                }
            };
            if needed > left {
                let reason = format!("{} is damaged; remove it", self.file.path().display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            self.fill(needed.max(BUFFER_BYTES).min(left))?;
        }
    }

    /// Moves what is left in the buffer to its beginning, and fills it up to `count` bytes.
    fn fill(&mut self, count: u64) -> io::Result<()> {
        self.buffer.drain(..self.next);
        self.next = 0;
        let kept = self.buffer.len();
        self.buffer.resize(usize::try_from(count).unwrap_or(usize::MAX), 0);
        read_exact_at(self.file, self.buffer.get_mut(kept..).unwrap_or_default(), self.offset)?;
        self.offset = self.offset.saturating_add(count.saturating_sub(kept as u64));
        Ok(())
    }
}

/// Several sorted files as one, in the order of keys, then sequence numbers.
#[derive(Debug)]
pub(super) struct MergedRecords<'a> {
    cursors: Vec<RecordCursor<'a>>,
    /// Those that are not at their end, by their records: the least comes last.
    order: Vec<usize>,
}

impl<'a> MergedRecords<'a> {
    pub(super) fn new(cursors: Vec<RecordCursor<'a>>) -> Self {
        let order = Vec::with_capacity(cursors.len());
        let mut merged = Self { cursors, order };
        (0..merged.cursors.len()).for_each(|index| merged.put(index));
        merged
    }

    /// Records of runs, from the first one on whose key is not below `from`.
    pub(super) fn of_runs(runs: impl Iterator<Item = &'a Run>, from: &[u8]) -> io::Result<Self> {
        let cursors = runs.map(|run| run.cursor(run.lower_bound(from, 0)?));
        Ok(Self::new(cursors.collect::<io::Result<_>>()?))
    }

    /// The least record.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        self.record_of(*self.order.last()?)
    }

    pub(super) fn advance(&mut self) -> io::Result<()> {
        if let Some(least) = self.order.pop() {
            if let Some(cursor) = self.cursors.get_mut(least) {
                cursor.advance()?;
            }
            self.put(least);
        }
        Ok(())
    }

    fn record_of(&self, index: usize) -> Option<Record<'_>> {
        self.cursors.get(index)?.record()
    }

    fn put(&mut self, index: usize) {
        let Some(record) = self.record_of(index) else { return };
        let above = |other: &usize| self.record_of(*other).is_some_and(|other| other > record);
        // Often it is the least again.
        let at = match self.order.last().is_none_or(above) {
            true => self.order.len(),
            false => self.order.partition_point(above),
        };
        self.order.insert(at, index);
    }
}

/// Runs and recent entries together, key by key.
pub(super) struct Merge<'a> {
    runs: MergedRecords<'a>,
    recent: Peekable<btree_map::Range<'a, Vec<u8>, Vec<u64>>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        runs: &'a [Run],
        from: &[u8],
        recent: btree_map::Range<'a, Vec<u8>, Vec<u64>>,
    ) -> io::Result<Self> {
        Ok(Self { runs: MergedRecords::of_runs(runs.iter(), from)?, recent: recent.peekable() })
    }

    /// The next key that begins with `scope`, and the last entry up to `seqno` that touched it, if any did.
    pub(super) fn next_key(
        &mut self,
        scope: &[u8],
        seqno: u64,
    ) -> io::Result<Option<(Vec<u8>, Option<u64>)>> {
        let in_runs = self.runs.record().map(|record| record.key);
        let in_recent = self.recent.peek().map(|(key, _)| key.as_slice());
        let Some(key) = in_runs.into_iter().chain(in_recent).min() else { return Ok(None) };
        if !key.starts_with(scope) {
            return Ok(None);
        }
        let key = key.to_vec();
        let mut latest = None;
        while let Some(record) = self.runs.record().filter(|record| record.key == key) {
            latest = latest.max(Some(record.seqno).filter(|found| *found <= seqno));
            self.runs.advance()?;
        }
        if let Some((_, seqnos)) = self.recent.next_if(|(recent, _)| **recent == key) {
            latest = latest.max(seqnos.iter().copied().filter(|found| *found <= seqno).max());
        }
        Ok(Some((key, latest)))
    }
}
