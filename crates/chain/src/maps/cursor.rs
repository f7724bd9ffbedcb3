//! Reads runs in the order of their keys.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, btree_map},
    io,
    iter::Peekable,
};

use super::run::{Record, Run};
use crate::directory::read_at;

const BUFFER_BYTES: u64 = 64 << 10;

/// Goes through the records of one run.
#[derive(Debug)]
pub(super) struct RunCursor<'a> {
    run: &'a Run,
    offset: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> RunCursor<'a> {
    pub(super) fn new(run: &'a Run, record: u64) -> io::Result<Self> {
        let offset = if record < run.records() { run.offset(record)? } else { run.table() };
        Ok(Self { run, offset, buffer: Vec::new(), at: 0 })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            if let Some((record, length)) = parse(rest) {
                self.at = self.at.saturating_add(length);
                return Ok(Some(record));
            }
            let begin = self.offset.saturating_sub(rest.len() as u64);
            let left = self.run.table().saturating_sub(begin);
            if left == 0 {
                return Ok(None);
            }
            // A record that is larger than the buffer asks for a larger one.
            let wanted = BUFFER_BYTES.max((rest.len() as u64).saturating_mul(2)).min(left);
            if wanted <= rest.len() as u64 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is damaged; remove it", self.run.name),
                ));
            }
            self.buffer = read_at(self.run.file(), begin, usize::try_from(wanted).unwrap_or(usize::MAX))?;
            self.offset = begin.saturating_add(wanted);
            self.at = 0;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (key, rest) = rest.split_at_checked(length)?;
    let seqno = u64::from_le_bytes(*rest.first_chunk()?);
    Some((Record { key: key.to_vec(), seqno }, length.checked_add(12)?))
}

/// Several runs as one, in the order of keys, then sequence numbers.
pub(super) struct MergedRuns<'a> {
    cursors: Vec<RunCursor<'a>>,
    heads: BinaryHeap<Reverse<(Record, usize)>>,
}

impl<'a> MergedRuns<'a> {
    pub(super) fn new(runs: impl Iterator<Item = &'a Run>, from: &[u8]) -> io::Result<Self> {
        let mut merged = Self { cursors: Vec::new(), heads: BinaryHeap::new() };
        for run in runs {
            let first = if from.is_empty() { 0 } else { run.lower_bound(from, 0)? };
            let mut cursor = RunCursor::new(run, first)?;
            if let Some(record) = cursor.next()? {
                merged.heads.push(Reverse((record, merged.cursors.len())));
            }
            merged.cursors.push(cursor);
        }
        Ok(merged)
    }

    pub(super) fn peek(&self) -> Option<&Record> {
        self.heads.peek().map(|Reverse((record, _))| record)
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(Reverse((record, at))) = self.heads.pop() else { return Ok(None) };
        if let Some(next) = self.cursors.get_mut(at).map(RunCursor::next).transpose()?.flatten() {
            self.heads.push(Reverse((next, at)));
        }
        Ok(Some(record))
    }
}

/// Runs and recent entries together, key by key.
pub(super) struct Merge<'a> {
    runs: MergedRuns<'a>,
    recent: Peekable<btree_map::Range<'a, Vec<u8>, Vec<u64>>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        runs: &'a [Run],
        from: &[u8],
        recent: btree_map::Range<'a, Vec<u8>, Vec<u64>>,
    ) -> io::Result<Self> {
        Ok(Self { runs: MergedRuns::new(runs.iter(), from)?, recent: recent.peekable() })
    }

    /// The next key that begins with `scope`, and the last entry up to `seqno` that touched it, if any did.
    pub(super) fn next_key(
        &mut self,
        scope: &[u8],
        seqno: u64,
    ) -> io::Result<Option<(Vec<u8>, Option<u64>)>> {
        let in_runs = self.runs.peek().map(|record| &record.key);
        let in_recent = self.recent.peek().map(|(key, _)| *key);
        let key = match (in_runs, in_recent) {
            (Some(left), Some(right)) => left.min(right).clone(),
            (Some(key), None) | (None, Some(key)) => key.clone(),
            (None, None) => return Ok(None),
        };
        if !key.starts_with(scope) {
            return Ok(None);
        }
        let mut latest = None;
        while self.runs.peek().is_some_and(|record| record.key == key) {
            let record = self.runs.next()?;
            latest = latest.max(record.map(|record| record.seqno).filter(|found| *found <= seqno));
        }
        if let Some((_, seqnos)) = self.recent.next_if(|(recent, _)| **recent == key) {
            latest = latest.max(seqnos.iter().copied().filter(|found| *found <= seqno).max());
        }
        Ok(Some((key, latest)))
    }
}
