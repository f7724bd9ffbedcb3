//! A place in a ledger that grows, from which reading goes on.

use std::{fmt::Display, io, path::Path};

use ledger_fs::Dir;

use crate::{
    directory::{ChunkFile, Listing, list},
    format::ChunkName,
    store::StoreError,
    verify::{Batch, ChunkReader, Problem},
};

/// How often a folder is listed again in which a chunk was renamed meanwhile.
const MAX_RETRIES: usize = 8;

/// Behind an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// First entry of the chunk.
    chunk: u64,
    /// Offset in it.
    offset: u64,
    /// Number of the entry that follows.
    pub(super) next: u64,
}

impl Place {
    pub(super) fn behind(batch: &Batch, index: usize) -> Self {
        let length = batch.entry(index).len() as u64;
        Self {
            chunk: batch.chunk.name.start,
            offset: batch.entry_offset(index).saturating_add(length),
            next: batch.seqno(index).saturating_add(1),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// The chunk that is being read; none if the next one is not there yet.
    reader: Option<ChunkReader>,
    next: u64,
    /// The name of the chunk was synced.
    named: bool,
    /// What follows could not be read as an entry.
    unreadable: bool,
}

impl Cursor {
    /// At the beginning of a chunk.
    pub(super) fn at_chunk(start: u64) -> Self {
        Self { reader: None, next: start, named: false, unreadable: false }
    }

    /// At or before the entry `seqno`: in a closed chunk at it, in an open one at the beginning of the chunk.
    pub(super) fn find(folder: &dyn Dir, seqno: u64) -> Result<Self, StoreError> {
        let listing = list(folder)?;
        let Some(chunk) = listing.chunks.iter().rfind(|chunk| chunk.name.start <= seqno) else {
            return match listing.chunks.first() {
                Some(first) => Err(StoreError::Gone { seqno, first: first.name.start }),
                // Nothing was written yet.
                None => Ok(Self::at_chunk(1)),
            };
        };
        let mut cursor = Self::at_chunk(chunk.name.start);
        cursor.reader = open(folder, chunk.name.start)?;
        if let Some(reader) = &mut cursor.reader {
            reader.skip_to(seqno, None).map_err(StoreError::from)?;
            cursor.next = reader.next_seqno();
        }
        Ok(cursor)
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The next whole entries, up to `until`; `None` if there are none yet.
    pub(super) fn next_batch(
        &mut self,
        folder: &dyn Dir,
        until: Option<Place>,
    ) -> Result<Option<Batch>, StoreError> {
        self.unreadable = false;
        loop {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => match open(folder, self.next)? {
                    Some(reader) => {
                        self.named = false;
                        self.reader.insert(reader)
                    }
                    None => return Ok(None),
                },
            };
            reader.refresh()?;
            let closed = reader.header.positions.is_some();
            let end = until.filter(|until| until.chunk == reader.chunk.name.start).map(|until| until.offset);
            match reader.next_until(end.unwrap_or(u64::MAX), &mut Vec::new()) {
                Ok(Some(batch)) => {
                    self.next = reader.next_seqno();
                    return Ok(Some(batch));
                }
                Ok(None) if closed && end.is_none() => {
                    // Otherwise the next chunk would not be the one that is meant, but this one for ever.
                    reader.end()?;
                    self.reader = None;
                }
                Ok(None) => return Ok(None),
                Err(problem) if closed => return Err(problem.into()),
                // It is being written.
                Err(_) => {
                    self.unreadable = true;
                    return Ok(None);
                }
            }
        }
    }

    /// Makes what was read survive a power cut.
    pub(super) fn sync(&mut self, folder: &dyn Dir) -> Result<(), StoreError> {
        let Some(reader) = self.reader.as_ref().filter(|reader| !reader.chunk.name.committed) else {
            return Ok(());
        };
        reader.file.sync_data()?;
        if !self.named {
            folder.sync(Path::new(""))?;
            self.named = true;
        }
        Ok(())
    }

    /// Whether what follows can never come, because the file is shorter than it was, or not that of the ledger any more.
    pub(super) fn is_lost(&self, folder: &dyn Dir) -> Result<bool, StoreError> {
        // Without a chunk it waits for the next one; the one before it may have been opened again.
        let Some(reader) = &self.reader else { return Ok(true) };
        if self.unreadable || reader.offset > reader.header.entries_end {
            return Ok(true);
        }
        if reader.header.positions.is_some() {
            return Ok(false);
        }
        match folder.metadata(Path::new(&ChunkName::open(reader.chunk.name.start).to_string())) {
            Ok(now) => Ok(now.id != reader.file.metadata()?.id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file again by its name, at the same entry.
    pub(super) fn find_again(&mut self, folder: &dyn Dir) -> Result<(), StoreError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let (offset, start) = (reader.offset, reader.chunk.name.start);
        match open(folder, start)? {
            Some(mut again) => {
                // The same entries are in front of it: they were committed.
                again.go_to(self.next, offset);
                *reader = again;
            }
            // Renamed or taken back just now; the next look finds out.
            None if self.next == start => self.reader = None,
            None => {}
        }
        Ok(())
    }
}

/// The chunk that begins with an entry, whatever its state. `None` if there is none, or it is only just being made.
fn open(folder: &dyn Dir, start: u64) -> Result<Option<ChunkReader>, StoreError> {
    let mut behind = None;
    for _ in 0..MAX_RETRIES {
        let listing = list(folder)?;
        let Some(chunk) = listing.chunks.iter().find(|chunk| chunk.name.start == start) else {
            behind = first_behind(&listing, start);
            if behind.is_none() {
                return Ok(None);
            }
            // It may have been renamed while the folder was listed.
            continue;
        };
        match attach(folder, *chunk) {
            Err(StoreError::File(error)) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    behind.map_or(Ok(None), |first| Err(StoreError::Gone { seqno: start, first }))
}

/// The first entry behind a gap that holds the entry `seqno`: its chunk was moved away. `None` if it is in a chunk, or still to come.
fn first_behind(listing: &Listing, seqno: u64) -> Option<u64> {
    let holds =
        |chunk: &ChunkFile| chunk.name.start <= seqno && chunk.name.end.is_none_or(|end| end >= seqno);
    let behind = listing.chunks.iter().map(|chunk| chunk.name.start).find(|start| *start > seqno);
    behind.filter(|_| !listing.chunks.iter().any(holds))
}

fn attach(folder: &dyn Dir, chunk: ChunkFile) -> Result<Option<ChunkReader>, StoreError> {
    let file = chunk.open(folder)?;
    match ChunkReader::attach(chunk, file) {
        Ok(reader) => Ok(Some(reader)),
        // It is being begun.
        Err(_) if chunk.name.end.is_none() => Ok(None),
        Err(problem) => Err(problem.into()),
    }
}

pub(super) fn damaged(batch: &Batch, index: usize, reason: impl Display) -> StoreError {
    StoreError::Damaged {
        chunk: batch.chunk.file_name(),
        offset: batch.entry_offset(index),
        reason: reason.to_string(),
    }
}

impl From<Problem> for StoreError {
    fn from(problem: Problem) -> Self {
        let offset = problem.offset.unwrap_or_default();
        Self::Damaged { chunk: problem.chunk, offset, reason: problem.reason }
    }
}
