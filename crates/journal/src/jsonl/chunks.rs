//! Reading whole lines, many at a time.

use std::io;

use ledger_fs::File;

/// Lines longer than this are stepped over.
pub const MAX_LINE_BYTES: usize = 256 << 20;

const READ_BYTES: usize = 512 << 10;

/// Reads a range of a file in pieces that consist of whole lines.
///
/// Memory is bounded by the longest line; every byte is searched once, however long a line is.
#[derive(Debug)]
pub struct ChunkReader<F> {
    file: F,
    /// Where the next read starts.
    position: u64,
    end: u64,
    /// What was read behind the last LF.
    rest: Vec<u8>,
    oversized: u64,
}

impl<F: std::ops::Deref<Target = dyn File>> ChunkReader<F> {
    /// Reads from `start`, the beginning of a line, to `end` or the end of the file.
    pub const fn new(file: F, start: u64, end: u64) -> Self {
        Self { file, position: start, end, rest: Vec::new(), oversized: 0 }
    }

    /// Replaces `chunk` by the next whole lines, LF included, and returns the offset of the first one; `None` at the end.
    pub fn next(&mut self, chunk: &mut Vec<u8>) -> io::Result<Option<u64>> {
        chunk.clear();
        chunk.append(&mut self.rest);
        loop {
            let searched = chunk.len();
            let start = self.position - searched as u64;
            if !self.read(chunk)? {
                std::mem::swap(chunk, &mut self.rest);
                chunk.clear();
                return Ok(None);
            }
            let fresh = chunk.get(searched..).unwrap_or_default();
            if let Some(last) = memchr::memrchr(b'\n', fresh) {
                let whole = searched + last + 1;
                self.rest.clear();
                self.rest.extend_from_slice(chunk.get(whole..).unwrap_or_default());
                chunk.truncate(whole);
                return Ok(Some(start));
            }
            if chunk.len() > MAX_LINE_BYTES {
                self.oversized += 1;
                self.step_over_line(chunk)?;
            }
        }
    }

    /// Appends what one read gives; `false` at the end.
    fn read(&mut self, chunk: &mut Vec<u8>) -> io::Result<bool> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let want = READ_BYTES.max(chunk.len()).min(left);
        let before = chunk.len();
        chunk.resize(before + want, 0);
        let count = loop {
            match self.file.read_at(chunk.get_mut(before..).unwrap_or_default(), self.position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        chunk.truncate(before + count);
        self.position += count as u64;
        Ok(count > 0)
    }

    /// Leaves in `chunk` what was read behind the end of the line that it begins with.
    fn step_over_line(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        loop {
            chunk.clear();
            if !self.read(chunk)? {
                return Ok(());
            }
            if let Some(end) = memchr::memchr(b'\n', chunk) {
                // Read again from there: the next line begins where the caller's bookkeeping expects it.
                self.position -= (chunk.len() - end - 1) as u64;
                chunk.clear();
                return Ok(());
            }
        }
    }

    /// What stands behind the last LF, once [`next`](Self::next) has answered `None`.
    pub fn unterminated(&self) -> &[u8] {
        &self.rest
    }

    /// How many lines were stepped over because they are longer than [`MAX_LINE_BYTES`].
    pub const fn oversized(&self) -> u64 {
        self.oversized
    }
}

/// The lines of a chunk that begins at `offset`: each with its own offset, without its LF.
pub fn lines(chunk: &[u8], offset: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', chunk).map(move |end| {
        let line = (offset + start as u64, chunk.get(start..end).unwrap_or_default());
        start = end + 1;
        line
    })
}
