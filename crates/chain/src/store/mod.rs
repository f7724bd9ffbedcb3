//! The chunk files of a writer: append, close, commit, roll back, read back, and recovery at start.
//!
//! # Life of a chunk
//!
//! ```text
//!            close (after a signature)      commit reaches E
//! ledger_S ──────────────────────► ledger_S-E ─────────────► ledger_S-E.committed
//!     ▲                                 │
//!     └───────────── rollback ──────────┘
//! ```
//!
//! A file is written by one writer, in whole batches, and synced before anything is acknowledged. Closing writes the position table
//! and its offset, syncs, and only then renames. At start, what a crash may have left is put right without asking:
//!
//! | found | done |
//! |---|---|
//! | an entry of the open chunk is not whole, or not authentic, and was never synced | cut off with what follows; if something whole follows, or it is not known how far the ledger was synced, it is kept as `ledger_S.<offset>.ignored` |
//! | an open chunk without a whole entry | removed |
//! | a table that was begun but does not fit | cut off |
//! | an open chunk whose last entry says that the chunk ends with it | closed |
//! | a whole table, but the name still says open | renamed |
//!
//! Anything else that does not fit is damage: the store does not open, and says where it is ([`StoreError::Damaged`]). So is an
//! entry that was synced and cannot be read any more; a file beside the folder remembers how far that goes (`watermark.rs`).

mod chunk;
mod error;
mod reader;
mod recover;
mod watermark;

use std::{path::Path, sync::Arc};

use ledger_fs::{Dir, File, Open};

pub use error::StoreError;
pub use reader::Reader;
pub use recover::Recovered;
pub(crate) use watermark::Watermark;

use crate::{
    directory::read_at,
    format::{
        ChunkName, EntryHeader, FILE_HEADER_BYTES, HEADER_BYTES, MAX_ENTRY_OFFSET, POSITION_BYTES,
        encode_table,
    },
};
use chunk::Chunk;

use crate::verify::Secrets;

/// What is known of a ledger before its chunk files are looked at.
#[derive(Debug, Default)]
pub(crate) struct Start {
    /// Entries up to here may be missing: a snapshot holds their state.
    pub(crate) before: u64,
    /// Up to where everything was synced.
    pub(crate) watermark: Option<Arc<Watermark>>,
    /// Damaged entries at the end are set aside, instead of refusing the ledger: for a recovery, which takes what there is.
    pub(crate) salvage: bool,
}

/// The chunk files of one ledger.
#[derive(Debug)]
pub struct ChunkStore {
    folder: Arc<dyn Dir>,
    /// Closed and committed chunks, in order.
    closed: Vec<ChunkName>,
    open: Option<Chunk>,
    last: u64,
    committed: u64,
    /// Up to where everything is synced, remembered outside the folder.
    watermark: Option<Arc<Watermark>>,
    /// A chunk was closed since the watermark was synced.
    closed_since: bool,
    /// Files were created or renamed since the folder was synced.
    names_changed: bool,
}

impl ChunkStore {
    /// Opens the chunk files in `folder`, and puts right what a crash left. With `secrets` the entries of the open chunk are
    /// authenticated; without, only their form is checked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: Arc<dyn Dir>, secrets: &Secrets) -> Result<(Self, Recovered), StoreError> {
        Self::open_from(folder, secrets, Start::default())
    }

    pub(crate) fn open_from(
        folder: Arc<dyn Dir>,
        secrets: &Secrets,
        start: Start,
    ) -> Result<(Self, Recovered), StoreError> {
        recover::open(folder, secrets, start)
    }

    /// The first sequence number that is or will be in the folder.
    #[must_use]
    pub fn first(&self) -> u64 {
        let open = self.open.as_ref().map(Chunk::start);
        self.closed.first().map(|name| name.start).or(open).unwrap_or(self.last.saturating_add(1))
    }

    /// The last sequence number, 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The last sequence number that is known to be committed.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Adds an entry; nothing is written before [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`StoreError::ChunkFull`] if it would begin beyond 4 GiB, or an error of the file system when a chunk is begun.
    pub fn append(&mut self, entry: &[u8]) -> Result<(), StoreError> {
        let chunk = match &mut self.open {
            Some(chunk) => chunk,
            None => {
                // A chunk never outlives the one before it.
                if self.names_changed {
                    self.folder.sync(Path::new(""))?;
                }
                self.names_changed = true;
                self.open.insert(Chunk::create(&*self.folder, self.last.saturating_add(1))?)
            }
        };
        if chunk.end() > MAX_ENTRY_OFFSET {
            return Err(StoreError::ChunkFull { chunk: chunk.name().to_string() });
        }
        chunk.append(entry);
        self.last = self.last.saturating_add(1);
        Ok(())
    }

    /// Bytes of the chunks that begin behind `seqno`, roughly the bytes of the entries behind it.
    pub(crate) fn bytes_behind(&self, seqno: u64) -> Result<u64, StoreError> {
        let closed = self.closed.iter().rev().take_while(|name| name.start > seqno);
        let lengths = closed.map(|name| Ok(self.folder.metadata(Path::new(&name.to_string()))?.len));
        let closed = lengths.sum::<Result<u64, StoreError>>()?;
        Ok(closed.saturating_add(self.open_bytes()))
    }

    /// Bytes of entries in the open chunk.
    #[must_use]
    pub fn open_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |chunk| chunk.end().saturating_sub(FILE_HEADER_BYTES))
    }

    /// Writes what was appended.
    ///
    /// # Errors
    /// Those of the file system. The store must not be used any more then, but opened again.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.open.as_mut().map_or(Ok(()), Chunk::flush)
    }

    /// Writes what was appended and makes it survive a power cut.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        self.pending_sync().run()
    }

    /// What has to be synced after a [`flush`](Self::flush), to be run while the store is used by others.
    pub fn pending_sync(&mut self) -> PendingSync {
        let folder = self.names_changed.then(|| Arc::clone(&self.folder));
        self.names_changed = false;
        let keep = std::mem::take(&mut self.closed_since);
        let mark = self.watermark.clone().map(|watermark| Mark { watermark, seqno: self.last, keep });
        PendingSync { file: self.open.as_ref().map(Chunk::file), folder, mark }
    }

    /// Closes the open chunk; the last entry must be a signature. Everything in it is synced.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn close_chunk(&mut self) -> Result<(), StoreError> {
        let Some(mut chunk) = self.open.take() else { return Ok(()) };
        chunk.flush()?;
        chunk.write_table()?;
        let closed = ChunkName::closed(chunk.start(), self.last);
        self.rename(chunk.name(), closed)?;
        self.closed.push(closed);
        self.closed_since = true;
        Ok(())
    }

    /// Takes note that everything up to `seqno` is committed. Closed chunks below become immutable.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn commit(&mut self, seqno: u64) -> Result<(), StoreError> {
        self.committed = self.committed.max(seqno.min(self.last));
        for at in (0..self.closed.len()).rev() {
            let Some(name) = self.closed.get(at).copied() else { break };
            let Some(end) = name.end.filter(|_| !name.committed) else { break };
            if end <= self.committed {
                let committed = ChunkName::committed(name.start, end);
                self.rename(name, committed)?;
                if let Some(slot) = self.closed.get_mut(at) {
                    *slot = committed;
                }
            }
        }
        Ok(())
    }

    /// Takes back everything behind `seqno`; nothing happens if there is nothing behind it.
    ///
    /// # Errors
    /// [`StoreError::Committed`] if entries behind it are committed, and those of the file system.
    pub fn rollback(&mut self, seqno: u64) -> Result<(), StoreError> {
        if seqno >= self.last {
            return Ok(());
        }
        if seqno < self.committed {
            return Err(StoreError::Committed { seqno, committed: self.committed });
        }
        // First: what is taken back must not be missed at the next start.
        if let Some(watermark) = self.watermark.as_ref().filter(|watermark| watermark.seqno() > seqno) {
            watermark.keep(seqno)?;
        }
        if let Some(chunk) = self.open.take_if(|chunk| chunk.start() > seqno) {
            self.folder.remove(Path::new(&chunk.name().to_string()))?;
            self.names_changed = true;
        }
        while let Some(name) = self.closed.pop_if(|name| name.start > seqno) {
            self.folder.remove(Path::new(&name.to_string()))?;
            self.names_changed = true;
        }
        self.last = seqno;
        if let Some(name) = self.closed.pop_if(|name| name.end.is_some_and(|end| end > seqno)) {
            let open = ChunkName::open(name.start);
            self.rename(name, open)?;
            self.open = Some(Chunk::reopen(&*self.folder, name.start)?);
        }
        if let Some(chunk) = &mut self.open {
            chunk.truncate(seqno)?;
        }
        self.sync()
    }

    /// The bytes of an entry, also of one that is not flushed yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and those of the file system.
    pub fn read(&self, seqno: u64) -> Result<Vec<u8>, StoreError> {
        if let Some(chunk) = self.open.as_ref().filter(|chunk| chunk.start() <= seqno && seqno <= self.last) {
            return chunk.read(seqno);
        }
        let found = self.closed.partition_point(|name| name.end.is_none_or(|end| end < seqno));
        let name = self.closed.get(found).filter(|name| name.start <= seqno);
        read_closed(&*self.folder, name.ok_or(StoreError::NotFound { seqno })?, seqno)
    }

    /// Names of all chunks, in order.
    #[must_use]
    pub fn chunks(&self) -> Vec<ChunkName> {
        self.closed.iter().copied().chain(self.open.as_ref().map(Chunk::name)).collect()
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Arc<dyn Dir> {
        &self.folder
    }

    fn rename(&mut self, from: ChunkName, to: ChunkName) -> Result<(), StoreError> {
        self.folder.rename(Path::new(&from.to_string()), Path::new(&to.to_string()))?;
        self.names_changed = true;
        Ok(())
    }
}

/// Files to sync.
#[derive(Debug)]
pub struct PendingSync {
    file: Option<Arc<dyn File>>,
    folder: Option<Arc<dyn Dir>>,
    mark: Option<Mark>,
}

/// What to remember once the files are synced.
#[derive(Debug)]
struct Mark {
    watermark: Arc<Watermark>,
    seqno: u64,
    keep: bool,
}

impl PendingSync {
    /// Syncs them.
    ///
    /// # Errors
    /// Those of the file system. Do not try again: the store must be opened anew.
    pub fn run(&self) -> Result<(), StoreError> {
        if let Some(file) = &self.file {
            file.sync_data()?;
        }
        if let Some(folder) = &self.folder {
            folder.sync(Path::new(""))?;
        }
        if let Some(Mark { watermark, seqno, keep }) = &self.mark {
            // Should it fail, the mark stays behind, which is allowed.
            _ = if *keep { watermark.keep(*seqno) } else { watermark.note(*seqno) };
        }
        Ok(())
    }
}

/// Reads one entry of a closed chunk through its position table.
fn read_closed(folder: &dyn Dir, name: &ChunkName, seqno: u64) -> Result<Vec<u8>, StoreError> {
    let file = folder.open(Path::new(&name.to_string()), Open::READ)?;
    let damaged = |reason: String| StoreError::Damaged { chunk: name.to_string(), offset: 0, reason };
    let table = u64::from_le_bytes(read_at(&*file, 0, 8)?.try_into().unwrap_or_default());
    let at = seqno.saturating_sub(name.start).saturating_mul(POSITION_BYTES).saturating_add(table);
    if table < FILE_HEADER_BYTES || at.saturating_add(POSITION_BYTES) > file.metadata()?.len {
        return Err(damaged(format!("the position table does not reach to entry {seqno}")));
    }
    let offset = u64::from(u32::from_le_bytes(read_at(&*file, at, 4)?.try_into().unwrap_or_default()));
    let header = read_at(&*file, offset, HEADER_BYTES)?.try_into().unwrap_or_default();
    let header = EntryHeader::parse(&header).map_err(|error| damaged(error.to_string()))?;
    if offset.saturating_add(header.entry_bytes()) > table {
        return Err(damaged(format!("entry {seqno} does not fit into the chunk")));
    }
    Ok(read_at(&*file, offset, usize::try_from(header.entry_bytes()).unwrap_or(usize::MAX))?)
}

/// The header and the table of a closed chunk.
fn table_of(positions: &[u32], end: u64) -> ([u8; 8], Vec<u8>) {
    (end.to_le_bytes(), encode_table(positions))
}
