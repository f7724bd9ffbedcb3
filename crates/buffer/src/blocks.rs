//! Reading a file front to back, a block at a time.

use std::io;
use std::sync::Arc;

use ledger_fs::{File, read_exact_at};

/// Size of the buffer, unless a record is larger.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// Bytes that are read at once: few enough to be looked at while they are in the processor's cache.
const READ_BYTES: usize = 64 << 10;

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

    /// What is in the buffer of the bytes up to the end.
    pub(crate) fn buffered(&self) -> &[u8] {
        let left = usize::try_from(self.left_bytes()).unwrap_or(usize::MAX);
        let rest = self.buffer.get(self.start..self.filled).unwrap_or_default();
        rest.get(..left).unwrap_or(rest)
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

    /// Brings `want` bytes into the buffer, and as many more as are read at once.
    fn fill(&mut self, want: usize) -> io::Result<()> {
        if self.start.saturating_add(want) > self.buffer.len() {
            self.buffer.copy_within(self.start..self.filled, 0);
            (self.start, self.filled) = (0, self.filled.saturating_sub(self.start));
            self.grow(want);
        }
        let ahead = self.filled.saturating_sub(self.start);
        let left = usize::try_from(self.left_bytes()).unwrap_or(usize::MAX).saturating_sub(ahead);
        let room = left.min(self.buffer.len().saturating_sub(self.filled));
        let needed = want.saturating_sub(ahead);
        let from = self.offset.saturating_add(ahead as u64);
        if self.read(needed.max(READ_BYTES).min(room), from).is_err() {
            // The disk may still give out what is needed now.
            self.read(needed, from)?;
        }
        Ok(())
    }

    fn grow(&mut self, want: usize) {
        let left = usize::try_from(self.left_bytes()).unwrap_or(usize::MAX);
        let size = want.max(BLOCK_BYTES.min(left));
        if self.buffer.len() < size {
            self.buffer.reserve_exact(size.saturating_sub(self.buffer.len()));
            self.buffer.resize(size, 0);
        }
    }

    fn read(&mut self, bytes: usize, from: u64) -> io::Result<()> {
        let target = self.filled.saturating_add(bytes);
        read_exact_at(&*self.file, self.buffer.get_mut(self.filled..target).unwrap_or_default(), from)?;
        self.filled = target;
        Ok(())
    }
}
