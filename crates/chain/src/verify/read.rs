//! Reads chunk files in batches that end on entry boundaries.

use std::{io, mem, sync::Arc};

use ledger_fs::{Dir, File, read_exact_at};

use super::{Check, Problem};
use crate::{
    directory::{ChunkFile, read_at},
    format::{ChunkHeader, EntryHeader, FILE_HEADER_BYTES, HEADER_BYTES, MAX_ENTRY_OFFSET, POSITION_BYTES},
};

/// Bytes read at a time; an entry that is larger is read alone.
pub(super) const BATCH_BYTES: usize = 256 << 10;

/// Whole entries of one chunk.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) chunk: ChunkFile,
    pub(crate) bytes: Vec<u8>,
    /// Offset of `bytes` in the file.
    pub(crate) offset: u64,
    /// Sequence number of the first entry, by the name of the file.
    pub(crate) first_seqno: u64,
    /// Where every entry begins in `bytes`.
    pub(crate) starts: Vec<usize>,
    /// The first entry is the first of its chunk.
    pub(crate) begins_chunk: bool,
    /// The last entry is the last of its chunk.
    pub(crate) ends_chunk: bool,
}

impl Batch {
    /// The bytes of the entry number `index`.
    pub(crate) fn entry(&self, index: usize) -> &[u8] {
        let start = self.starts.get(index).copied().unwrap_or(self.bytes.len());
        let end = self.starts.get(index.saturating_add(1)).copied().unwrap_or(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The offset of the entry number `index` in the file.
    pub(crate) fn entry_offset(&self, index: usize) -> u64 {
        self.offset.saturating_add(self.starts.get(index).copied().unwrap_or_default() as u64)
    }

    /// Its sequence number.
    pub(crate) fn seqno(&self, index: usize) -> u64 {
        self.first_seqno.saturating_add(index as u64)
    }
}

/// Goes through chunks, one after the other.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    folder: &'a dyn Dir,
    chunks: std::vec::IntoIter<ChunkFile>,
    reader: Option<ChunkReader>,
    /// Chunks opened so far.
    pub(crate) opened: u64,
}

impl<'a> Source<'a> {
    pub(crate) fn new(folder: &'a dyn Dir, chunks: Vec<ChunkFile>) -> Self {
        Self { folder, chunks: chunks.into_iter(), reader: None, opened: 0 }
    }

    /// Begins within the first chunk, at the entry `seqno`, if its position is known; nothing before it is checked.
    pub(crate) fn skip_to(&mut self, seqno: u64, open_chunk_offset: Option<u64>) -> Result<(), Problem> {
        let Some(chunk) = self.chunks.next() else { return Ok(()) };
        let mut reader = ChunkReader::open(self.folder, chunk)?;
        reader.skip_to(seqno, open_chunk_offset)?;
        self.reader = Some(reader);
        self.opened = self.opened.saturating_add(1);
        Ok(())
    }

    /// The next entries, `None` at the end of the last chunk. Do not go on after a problem.
    pub(crate) fn next(&mut self) -> Result<Option<Batch>, Problem> {
        self.next_in(&mut Vec::new())
    }

    /// The same, into a buffer that was used before; taken if there are entries.
    pub(crate) fn next_in(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Batch>, Problem> {
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some(batch) = reader.next(buffer)? {
                    return Ok(Some(batch));
                }
                self.reader = None;
            }
            let Some(chunk) = self.chunks.next() else { return Ok(None) };
            self.reader = Some(ChunkReader::open(self.folder, chunk)?);
            self.opened = self.opened.saturating_add(1);
        }
    }
}

/// Goes through one chunk.
#[derive(Debug, Clone)]
pub(crate) struct ChunkReader {
    pub(crate) chunk: ChunkFile,
    pub(crate) file: Arc<dyn File>,
    pub(crate) header: ChunkHeader,
    /// Where the next entry begins.
    pub(crate) offset: u64,
    /// Entries before it.
    read: u64,
}

impl ChunkReader {
    pub(crate) fn open(folder: &dyn Dir, chunk: ChunkFile) -> Result<Self, Problem> {
        let file = chunk.open(folder).map_err(|error| io_problem(&chunk, 0, &error))?;
        let reader = Self::attach(chunk, file)?;
        reader.check_name()?;
        Ok(reader)
    }

    /// Reads a chunk that a writer may just be giving another name.
    pub(crate) fn attach(chunk: ChunkFile, file: Arc<dyn File>) -> Result<Self, Problem> {
        let header = ChunkHeader { entries_end: 0, positions: None };
        let mut reader = Self { chunk, file, header, offset: FILE_HEADER_BYTES, read: 0 };
        reader.refresh()?;
        Ok(reader)
    }

    /// Looks again how long the file is, and whether it is closed.
    pub(crate) fn refresh(&mut self) -> Result<(), Problem> {
        let unreadable = |error| io_problem(&self.chunk, 0, &error);
        // The header first: once it is there, a writer has finished the table.
        let mut header = [0; 8];
        let header = match read_exact_at(&*self.file, &mut header, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(unreadable(error)),
            Ok(()) => Some(header),
        };
        let length = self.file.metadata().map_err(unreadable)?.len;
        let Some(header) = header else {
            let reason = format!("the file has {length} bytes and not even a header");
            return Err(self.problem(Check::Positions, 0, reason));
        };
        self.header = ChunkHeader::parse(header, length).map_err(|error| {
            self.problem(Check::Positions, 0, format!("the file header does not fit: {error}"))
        })?;
        Ok(())
    }

    /// Number of the next entry, by the name of the file.
    pub(crate) fn next_seqno(&self) -> u64 {
        self.chunk.name.start.saturating_add(self.read)
    }

    /// Goes on at the entry `seqno`, which begins at `offset`.
    pub(crate) fn go_to(&mut self, seqno: u64, offset: u64) {
        (self.read, self.offset) = (seqno.saturating_sub(self.chunk.name.start), offset);
    }

    pub(crate) fn skip_to(&mut self, seqno: u64, open_chunk_offset: Option<u64>) -> Result<(), Problem> {
        let skip = seqno.saturating_sub(self.chunk.name.start);
        let offset = match self.header.positions {
            Some(positions) if skip < positions => {
                let at = self.header.entries_end.saturating_add(skip.saturating_mul(POSITION_BYTES));
                let position =
                    read_at(&*self.file, at, 4).map_err(|error| io_problem(&self.chunk, at, &error))?;
                Some(u64::from(u32::from_le_bytes(position.try_into().unwrap_or_default())))
            }
            Some(_) => None,
            None => open_chunk_offset,
        };
        if let Some(offset) =
            offset.filter(|offset| (FILE_HEADER_BYTES..self.header.entries_end).contains(offset))
        {
            (self.offset, self.read) = (offset, skip);
        }
        Ok(())
    }

    fn check_name(&self) -> Result<(), Problem> {
        let name = self.chunk.name;
        match (name.end, self.header.positions) {
            (Some(_), None) => Err(self.problem(
                Check::Positions,
                0,
                "the name says closed, but there is no position table".into(),
            )),
            (None, Some(_)) => Err(self.problem(
                Check::Positions,
                0,
                "the name says open, but there is a position table".into(),
            )),
            (Some(end), Some(positions)) if end.checked_sub(name.start) != positions.checked_sub(1) => {
                let reason =
                    format!("the name says {}-{end}, the table has {positions} positions", name.start);
                Err(self.problem(Check::Positions, self.header.entries_end, reason))
            }
            _ => Ok(()),
        }
    }

    fn problem(&self, check: Check, offset: u64, reason: String) -> Problem {
        let seqno = (offset >= FILE_HEADER_BYTES && offset < self.header.entries_end)
            .then(|| self.chunk.name.start.saturating_add(self.read));
        Problem { check, chunk: self.chunk.file_name(), seqno, offset: Some(offset), reason }
    }

    /// The next entries, `None` at the end.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Batch>, Problem> {
        if self.offset >= self.header.entries_end {
            return self.end().map(|()| None);
        }
        self.next_until(u64::MAX, buffer)
    }

    /// The next entries before the offset `end`, where an entry ends; `None` if there are none.
    pub(crate) fn next_until(&mut self, end: u64, buffer: &mut Vec<u8>) -> Result<Option<Batch>, Problem> {
        let left = self.header.entries_end.min(end).saturating_sub(self.offset);
        if left == 0 {
            return Ok(None);
        }
        let mut wanted = left.min(BATCH_BYTES as u64);
        let starts = loop {
            // What is there already is overwritten, so that nothing but a growing buffer is filled twice.
            buffer.resize(usize::try_from(wanted).unwrap_or(usize::MAX), 0);
            read_exact_at(&*self.file, buffer, self.offset)
                .map_err(|error| io_problem(&self.chunk, self.offset, &error))?;
            match self.split(buffer, left)? {
                Split::Entries(starts, end) => {
                    buffer.truncate(end);
                    break starts;
                }
                Split::Needs(bytes) => wanted = bytes,
            }
        };
        let bytes = mem::take(buffer);
        self.check_positions(&starts)?;
        let batch = Batch {
            chunk: self.chunk,
            offset: self.offset,
            first_seqno: self.next_seqno(),
            begins_chunk: self.read == 0,
            ends_chunk: bytes.len() as u64 == left,
            bytes,
            starts,
        };
        self.offset = self.offset.saturating_add(batch.bytes.len() as u64);
        self.read = self.read.saturating_add(batch.starts.len() as u64);
        Ok(Some(batch))
    }

    /// Finds the whole entries in what was read. Errors only at the first entry, so that those before it are checked first.
    fn split(&self, bytes: &[u8], left: u64) -> Result<Split, Problem> {
        // Most entries are longer.
        let mut starts = Vec::with_capacity(bytes.len() / 256);
        let mut at = 0usize;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let entry = rest.first_chunk::<HEADER_BYTES>().map(EntryHeader::parse);
            let needed = match entry {
                None => HEADER_BYTES as u64,
                Some(Ok(header)) => header.entry_bytes(),
                Some(Err(_)) if at > 0 => break,
                Some(Err(error)) => return Err(self.problem(Check::Entry, self.offset, error.to_string())),
            };
            if needed > rest.len() as u64 {
                if at > 0 {
                    break;
                }
                if needed > left {
                    let reason = format!("the entry needs {needed} bytes, {left} are left: it was cut off");
                    return Err(self.problem(Check::Entry, self.offset, reason));
                }
                return Ok(Split::Needs(needed));
            }
            starts.push(at);
            at = at.saturating_add(usize::try_from(needed).unwrap_or(usize::MAX));
        }
        Ok(Split::Entries(starts, at))
    }

    fn check_positions(&self, starts: &[usize]) -> Result<(), Problem> {
        let last = starts.last().map_or(self.offset, |start| self.offset.saturating_add(*start as u64));
        if last > MAX_ENTRY_OFFSET {
            return Err(self.problem(Check::Positions, last, "an entry begins beyond 4 GiB".into()));
        }
        let Some(positions) = self.header.positions else { return Ok(()) };
        let read = self.read.saturating_add(starts.len() as u64);
        if read > positions {
            let reason = format!("there are more entries than the {positions} positions of the table");
            return Err(self.problem(Check::Positions, self.offset, reason));
        }
        let at = self.header.entries_end.saturating_add(self.read.saturating_mul(POSITION_BYTES));
        let table = read_at(&*self.file, at, starts.len().saturating_mul(4))
            .map_err(|error| io_problem(&self.chunk, at, &error))?;
        for (index, (start, position)) in starts.iter().zip(table.as_chunks::<4>().0).enumerate() {
            let actual = self.offset.saturating_add(*start as u64);
            let recorded = u64::from(u32::from_le_bytes(*position));
            if actual != recorded {
                let reason =
                    format!("the table says that the entry begins at {recorded}, it begins at {actual}");
                let seqno = self.chunk.name.start.saturating_add(self.read).saturating_add(index as u64);
                return Err(Problem { seqno: Some(seqno), ..self.problem(Check::Positions, actual, reason) });
            }
        }
        Ok(())
    }

    /// Checks at the end of a closed chunk that it had the entries of its table, one at least.
    pub(crate) fn end(&self) -> Result<(), Problem> {
        match self.header.positions {
            Some(0) => {
                let reason = "the chunk is closed, and there are no entries".into();
                Err(self.problem(Check::Positions, self.header.entries_end, reason))
            }
            Some(positions) if positions != self.read => {
                let reason = format!("the table has {positions} positions, there are {} entries", self.read);
                Err(self.problem(Check::Positions, self.header.entries_end, reason))
            }
            _ => Ok(()),
        }
    }
}

enum Split {
    Entries(Vec<usize>, usize),
    Needs(u64),
}

fn io_problem(chunk: &ChunkFile, offset: u64, error: &io::Error) -> Problem {
    Problem {
        check: Check::File,
        chunk: chunk.file_name(),
        seqno: None,
        offset: Some(offset),
        reason: error.to_string(),
    }
}
