use std::{path::Path, sync::Arc};

use ledger_fs::{Dir, File, Open, write_all_at};

use super::{StoreError, table_of};
use crate::{
    directory::read_at,
    format::{ChunkName, EntryHeader, FILE_HEADER_BYTES, HEADER_BYTES},
};

/// The open chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    start: u64,
    file: Arc<dyn File>,
    /// Offsets of all entries, those not yet written included.
    positions: Vec<u32>,
    /// End of what is written.
    written: u64,
    pending: Vec<u8>,
}

impl Chunk {
    pub(super) fn create(folder: &dyn Dir, start: u64) -> Result<Self, StoreError> {
        let name = ChunkName::open(start).to_string();
        let file: Arc<dyn File> = folder.open(Path::new(&name), Open::WRITE.create_new())?.into();
        Ok(Self { start, file, positions: Vec::new(), written: 0, pending: vec![0; 8] })
    }

    /// Opens an existing file and reads the headers of its entries. Stops at what is not a whole entry; the caller decides what
    /// that means.
    pub(super) fn reopen(folder: &dyn Dir, start: u64) -> Result<Self, StoreError> {
        Self::scan(folder, start, Open::WRITE)
    }

    /// The same, for reading only.
    pub(super) fn view(folder: &dyn Dir, start: u64) -> Result<Self, StoreError> {
        Self::scan(folder, start, Open::READ)
    }

    fn scan(folder: &dyn Dir, start: u64, how: Open) -> Result<Self, StoreError> {
        let file: Arc<dyn File> = folder.open(Path::new(&ChunkName::open(start).to_string()), how)?.into();
        let mut chunk =
            Self { start, file, positions: Vec::new(), written: FILE_HEADER_BYTES, pending: Vec::new() };
        // The offset of the table may be half written. A table that was begun is no entry: its first byte is 8, not 1.
        let limit = chunk.file.metadata()?.len;
        // One read per mebibyte, not one per entry.
        let mut window = Window { file: &*chunk.file, offset: 0, bytes: Vec::new() };
        while let Some(header) = window.header(chunk.written, limit)? {
            let Ok(header) = EntryHeader::parse(&header) else { break };
            let end = chunk.written.saturating_add(header.entry_bytes());
            let (true, Ok(position)) = (end <= limit, u32::try_from(chunk.written)) else { break };
            chunk.positions.push(position);
            chunk.written = end;
        }
        Ok(chunk)
    }

    pub(super) fn table_offset(&self, length: u64) -> Result<u64, StoreError> {
        if length < FILE_HEADER_BYTES {
            return Ok(0);
        }
        Ok(u64::from_le_bytes(read_at(&*self.file, 0, 8)?.try_into().unwrap_or_default()))
    }

    pub(super) fn name(&self) -> ChunkName {
        ChunkName::open(self.start)
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn count(&self) -> u64 {
        self.positions.len() as u64
    }

    /// Leaves out the entry `seqno` and what follows it; [`cut`](Self::cut) makes it so in the file.
    pub(super) fn forget_from(&mut self, seqno: u64) {
        let keep = usize::try_from(seqno.saturating_sub(self.start)).unwrap_or(usize::MAX);
        if let Some(end) = self.positions.get(keep).copied() {
            self.written = u64::from(end);
            self.positions.truncate(keep);
        }
    }

    /// Where an entry begins.
    pub(super) fn position(&self, seqno: u64) -> Option<u64> {
        let index = usize::try_from(seqno.checked_sub(self.start)?).ok()?;
        self.positions.get(index).copied().map(u64::from)
    }

    pub(super) fn positions(&self) -> &[u32] {
        &self.positions
    }

    pub(super) fn file(&self) -> Arc<dyn File> {
        Arc::clone(&self.file)
    }

    /// Where the next entry begins.
    pub(super) fn end(&self) -> u64 {
        self.written.saturating_add(self.pending.len() as u64)
    }

    pub(super) fn append(&mut self, entry: &[u8]) {
        // The store checks the limit of 4 GiB.
        self.positions.push(u32::try_from(self.end()).unwrap_or(u32::MAX));
        self.pending.extend_from_slice(entry);
    }

    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        write_all_at(&*self.file, &self.pending, self.written)?;
        self.written = self.end();
        self.pending.clear();
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        Ok(self.file.sync_data()?)
    }

    /// Table first, then its offset, then one sync: if the crash comes in between, the file is put right at start.
    pub(super) fn write_table(&mut self) -> Result<(), StoreError> {
        let (header, table) = table_of(&self.positions, self.written);
        write_all_at(&*self.file, &table, self.written)?;
        write_all_at(&*self.file, &header, 0)?;
        self.sync()
    }

    /// Cuts the file behind the entry `seqno` and makes it open again.
    pub(super) fn truncate(&mut self, seqno: u64) -> Result<(), StoreError> {
        self.flush()?;
        self.forget_from(seqno.saturating_add(1));
        self.cut()
    }

    /// Cuts off everything behind the last whole entry, the table included.
    pub(super) fn cut(&mut self) -> Result<(), StoreError> {
        write_all_at(&*self.file, &[0; 8], 0)?;
        self.file.set_len(self.written)?;
        self.sync()
    }

    pub(super) fn read(&self, seqno: u64) -> Result<Vec<u8>, StoreError> {
        let index = usize::try_from(seqno.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let start = u64::from(self.positions.get(index).copied().ok_or(StoreError::NotFound { seqno })?);
        let end = self.positions.get(index.saturating_add(1)).map_or(self.end(), |next| u64::from(*next));
        let count = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        if let Some(pending) = start.checked_sub(self.written) {
            let bytes =
                usize::try_from(pending).ok().and_then(|at| self.pending.get(at..at.saturating_add(count)));
            return Ok(bytes.ok_or(StoreError::NotFound { seqno })?.to_vec());
        }
        Ok(read_at(&*self.file, start, count)?)
    }
}

/// Reads the headers of entries through a buffer.
struct Window<'a> {
    file: &'a dyn File,
    offset: u64,
    bytes: Vec<u8>,
}

const WINDOW_BYTES: u64 = 1 << 20;

impl Window<'_> {
    /// The eight bytes at `at`, `None` if they are not there.
    fn header(&mut self, at: u64, limit: u64) -> Result<Option<[u8; HEADER_BYTES]>, StoreError> {
        if at.saturating_add(HEADER_BYTES as u64) > limit {
            return Ok(None);
        }
        if let Some(header) = self.get(at) {
            return Ok(Some(header));
        }
        let count = limit.saturating_sub(at).min(WINDOW_BYTES);
        self.bytes = read_at(self.file, at, usize::try_from(count).unwrap_or_default())?;
        self.offset = at;
        Ok(self.get(at))
    }

    fn get(&self, at: u64) -> Option<[u8; HEADER_BYTES]> {
        let from = usize::try_from(at.checked_sub(self.offset)?).ok()?;
        self.bytes.get(from..)?.first_chunk().copied()
    }
}
