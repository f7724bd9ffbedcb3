//! Following a file that grows.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ledger_fs::{Dir, FileId, Open};

use super::{ChunkReader, lines};

/// What a look at the file showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing, or only a line that has not ended yet.
    Nothing,
    /// So many new lines.
    Lines(u64),
    /// The file is another one than before, or shorter than what was read of it: reading starts over with the next look.
    Rewritten,
    /// There is no such file.
    Missing,
}

/// Reads what was added since the last look. Each look is one opening and one `stat` when there is nothing new; a watch on
/// the folder may tell when to look, but nothing is lost without one.
#[derive(Debug)]
pub struct Follower {
    dir: Arc<dyn Dir>,
    name: PathBuf,
    id: Option<FileId>,
    offset: u64,
}

impl Follower {
    /// Starts at the beginning of the file.
    pub fn new(dir: Arc<dyn Dir>, name: impl Into<PathBuf>) -> Self {
        Self { dir, name: name.into(), id: None, offset: 0 }
    }

    /// Starts behind what was read before; `offset` comes from [`Follower::offset`].
    #[must_use]
    pub const fn from(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// The end of the last whole line that was handed out.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Hands every new whole line to `each`, with its offset.
    pub fn poll(&mut self, each: &mut dyn FnMut(u64, &[u8])) -> io::Result<News> {
        let file = match self.dir.open(&self.name, Open::READ) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(News::Missing),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        let replaced = self.id.is_some_and(|id| id != found.id);
        self.id = Some(found.id);
        if replaced || found.len < self.offset {
            self.offset = 0;
            return Ok(News::Rewritten);
        }
        let mut count = 0;
        let mut chunk = Vec::new();
        let mut reader = ChunkReader::new(file, self.offset, found.len);
        while let Some(start) = reader.next(&mut chunk)? {
            for (offset, line) in lines(&chunk, start) {
                each(offset, line);
                count += 1;
            }
            self.offset = start + chunk.len() as u64;
        }
        Ok(if count == 0 { News::Nothing } else { News::Lines(count) })
    }
}
