//! Reading a file front to back, a block at a time.

use std::io;
use std::sync::Arc;

use ledger_fs::{File, read_exact_at};

/// Bytes that are read at once, and the size of the buffer unless a record is larger.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// The bytes of a file from some offset to some end, through a buffer.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not taken.
    start: usize,
    filled: usize,
    /// Offset in the file of the byte at `start`.
    offset: u64,
    end: u64,
}

impl Blocks {
    /// The bytes of `file` from `offset` to `end`. Nothing is allocated or read yet.
    pub(crate) fn new(file: Arc<dyn File>, offset: u64, end: u64) -> Self {
        Self::with_buffer(file, offset, end, Vec::new())
    }

    /// The same with a buffer from an earlier use.
    pub(crate) fn with_buffer(file: Arc<dyn File>, offset: u64, end: u64, buffer: Vec<u8>) -> Self {
        Self { file, buffer, start: 0, filled: 0, offset, end }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Where the bytes end.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Lets the bytes end before they did.
    pub(crate) fn set_end(&mut self, end: u64) {
        self.end = end;
    }

    /// Whether all bytes are in the buffer, so that none will be read again.
    pub(crate) fn is_whole(&self) -> bool {
        self.offset == self.start as u64 && self.filled as u64 >= self.end
    }

    /// Offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes up to the end.
    pub(crate) fn left_bytes(&self) -> u64 {
        self.end.saturating_sub(self.offset)
    }

    /// Looks at the next bytes: `want` of them, fewer only if the end comes before.
    ///
    /// # Errors
    /// Those of reading; the file being shorter than it was is one.
    pub(crate) fn peek(&mut self, want: usize) -> io::Result<&[u8]> {
        let want = want.min(usize::try_from(self.left_bytes()).unwrap_or(usize::MAX));
        if self.filled.saturating_sub(self.start) < want {
            self.fill(want)?;
        }
        Ok(self.buffer.get(self.start..self.start.saturating_add(want)).unwrap_or_default())
    }

    /// Takes bytes that were peeked at.
    pub(crate) fn take(&mut self, bytes: usize) -> &[u8] {
        let start = self.start;
        self.start = start.saturating_add(bytes).min(self.filled);
        let taken = self.start.saturating_sub(start);
        self.offset = self.offset.saturating_add(taken as u64);
        self.buffer.get(start..self.start).unwrap_or_default()
    }

    /// Moves on without reading.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.seek(self.offset.saturating_add(bytes));
    }

    /// Moves to an offset, without reading again what is in the buffer.
    pub(crate) fn seek(&mut self, offset: u64) {
        let buffered_from = self.offset.saturating_sub(self.start as u64);
        let in_buffer = offset.checked_sub(buffered_from).and_then(|at| usize::try_from(at).ok());
        (self.start, self.filled) = match in_buffer {
            Some(start) if start <= self.filled => (start, self.filled),
            _ => (0, 0),
        };
        self.offset = offset;
    }

    /// Brings `want` bytes into the buffer, and as many more as fit.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.filled, 0);
        (self.start, self.filled) = (0, self.filled.saturating_sub(self.start));
        if self.buffer.len() < want.max(BLOCK_BYTES) {
            let size = want.max(BLOCK_BYTES).min(usize::try_from(self.left_bytes()).unwrap_or(usize::MAX));
            self.buffer.reserve_exact(size.saturating_sub(self.buffer.len()));
            self.buffer.resize(size.max(self.buffer.len()), 0);
        }
        let ahead = self.filled as u64;
        let room = usize::try_from(self.left_bytes().saturating_sub(ahead)).unwrap_or(usize::MAX);
        let target = self.buffer.len().min(self.filled.saturating_add(room));
        let from = self.offset.saturating_add(ahead);
        let bytes = self.buffer.get_mut(self.filled..target).unwrap_or_default();
        if read_exact_at(&*self.file, bytes, from).is_ok() {
            self.filled = target;
            return Ok(());
        }
        // The disk may still give out what is needed now.
        let bytes = self.buffer.get_mut(self.filled..want).unwrap_or_default();
        read_exact_at(&*self.file, bytes, from)?;
        self.filled = want;
        Ok(())
    }
}
