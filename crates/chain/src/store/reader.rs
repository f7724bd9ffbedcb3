use std::{io, sync::Arc};

use ledger_fs::Dir;

use super::{StoreError, chunk::Chunk, read_closed};
use crate::{
    directory::{ChunkFile, Listing, list},
    format::ChunkName,
    verify::{Batch, Source, sequence},
};

/// Reads the chunk files of a folder without changing anything, whether somebody writes to it or not.
#[derive(Debug)]
pub struct Reader {
    folder: Arc<dyn Dir>,
    closed: Vec<ChunkName>,
    open: Option<Chunk>,
}

/// How often a folder is listed again in which a chunk was renamed meanwhile.
const MAX_RETRIES: usize = 8;

impl Reader {
    /// Lists the folder.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if chunks are missing or overlap, and those of the file system.
    pub fn open(folder: Arc<dyn Dir>) -> Result<Self, StoreError> {
        Self::retry(|| Self::of(&folder, |_| 1))
    }

    /// Like [`open`](Self::open), but chunks may be missing at the beginning: [`first`](Self::first) tells. A snapshot can hold
    /// their state.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_tail(folder: Arc<dyn Dir>) -> Result<Self, StoreError> {
        let first = |listing: &Listing| listing.chunks.first().map_or(1, |chunk| chunk.name.start);
        Self::retry(|| Self::of(&folder, first))
    }

    /// A writer may give a chunk another name between the listing and the opening.
    fn retry(open: impl Fn() -> Result<Self, StoreError>) -> Result<Self, StoreError> {
        for _ in 0..MAX_RETRIES {
            match open() {
                Err(StoreError::File(error)) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
        open()
    }

    fn of(folder: &Arc<dyn Dir>, first: impl Fn(&Listing) -> u64) -> Result<Self, StoreError> {
        let listing = list(&**folder)?;
        let (chunks, broken) = sequence(&listing, false, first(&listing));
        if let Some(problem) = broken {
            return Err(StoreError::Damaged { chunk: problem.chunk, offset: 0, reason: problem.reason });
        }
        let mut reader = Self { folder: Arc::clone(folder), closed: Vec::new(), open: None };
        for chunk in chunks {
            match chunk.name.end {
                Some(_) => reader.closed.push(chunk.name),
                None => reader.open = Some(Chunk::view(&*reader.folder, chunk.name.start)?),
            }
        }
        Ok(reader)
    }

    /// The first sequence number that is there; 1 if there is none.
    #[must_use]
    pub fn first(&self) -> u64 {
        let open = self.open.as_ref().map(Chunk::start);
        self.closed.first().map(|name| name.start).or(open).unwrap_or(1)
    }

    /// The last sequence number, 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        let closed = self.closed.last().and_then(|name| name.end).unwrap_or(0);
        match &self.open {
            Some(open) => open.start().saturating_add(open.count()).saturating_sub(1),
            None => closed,
        }
    }

    /// First and last sequence number of every closed chunk.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (u64, u64)> {
        self.closed.iter().filter_map(|name| Some((name.start, name.end?)))
    }

    /// The bytes of an entry.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Gone`], and those of the file system.
    pub fn read(&self, seqno: u64) -> Result<Vec<u8>, StoreError> {
        if let Some(chunk) = self.open.as_ref().filter(|chunk| chunk.start() <= seqno) {
            return chunk.read(seqno);
        }
        let found = self.closed.partition_point(|name| name.end.is_none_or(|end| end < seqno));
        let name = self.closed.get(found).filter(|name| name.start <= seqno);
        let missing = || match self.first() {
            first if (1..first).contains(&seqno) => StoreError::Gone { seqno, first },
            _ => StoreError::NotFound { seqno },
        };
        read_closed(&*self.folder, name.ok_or_else(missing)?, seqno)
    }

    /// Calls `visit` with the sequence number and the bytes of every entry from `from` on, in order, until it answers `false`.
    /// Memory stays bounded. An entry at the end that is not whole is left out.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], and those of the file system and of `visit`.
    pub fn scan<E: From<StoreError>>(
        &self,
        from: u64,
        mut visit: impl FnMut(u64, &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let chunks = self.closed.iter().copied().chain(self.open.as_ref().map(Chunk::name));
        let chunks =
            chunks.filter(|name| name.end.is_none_or(|end| end >= from)).map(|name| ChunkFile { name });
        let mut source = Source::new(&*self.folder, chunks.collect());
        let in_open_chunk = self.open.as_ref().and_then(|chunk| chunk.position(from));
        source.skip_to(from, in_open_chunk).map_err(StoreError::from)?;
        let last = self.last();
        // One buffer for all batches.
        let mut buffer = Vec::new();
        while let Some(batch) = self.next(&mut source, &mut buffer)? {
            for index in 0..batch.starts.len() {
                let seqno = batch.seqno(index);
                if seqno > last || (seqno >= from && !visit(seqno, batch.entry(index))?) {
                    return Ok(());
                }
            }
            buffer = batch.bytes;
        }
        Ok(())
    }

    fn next(&self, source: &mut Source<'_>, buffer: &mut Vec<u8>) -> Result<Option<Batch>, StoreError> {
        match source.next_in(buffer) {
            Ok(batch) => Ok(batch),
            // The tail of the open chunk is being written, or was torn.
            Err(problem) if problem.seqno.is_some_and(|seqno| seqno > self.last()) => Ok(None),
            Err(problem) => Err(problem.into()),
        }
    }
}
