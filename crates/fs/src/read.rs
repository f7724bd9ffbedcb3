//! Reading exactly, all, or through [`Read`](io::Read).

use std::io;
use std::ops::Deref;
use std::path::Path;

use crate::error::FileError;
use crate::{Dir, File, Open};

/// Fills `buffer` from `offset` on.
///
/// # Errors
///
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the file ends before; what is in the buffer then is undefined.
pub fn read_exact_at(file: &dyn File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => {
                let reason = "the file ends before the bytes that were asked for";
                return Err(FileError::refuse("read", file.path(), io::ErrorKind::UnexpectedEof, reason));
            }
            Ok(count) => {
                buffer = buffer.get_mut(count..).unwrap_or_default();
                offset = offset.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a whole file of at most `max_bytes`.
///
/// # Errors
///
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge) when it is longer; nothing is allocated then.
pub fn read_all(dir: &dyn Dir, name: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    let file = dir.open(name, Open::READ)?;
    let len = usize::try_from(file.metadata()?.len).unwrap_or(usize::MAX);
    if len > max_bytes {
        let reason = "it is longer than the limit for such a file";
        return Err(FileError::refuse("read", file.path(), io::ErrorKind::FileTooLarge, reason));
    }
    let mut bytes = vec![0; len];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

/// A position in a [`File`], for what wants [`Read`](io::Read) and [`Seek`](io::Seek).
///
/// `F` is anything that leads to a file: `Box<dyn File>`, `Arc<dyn File>`, `&dyn File`. Every read is a system call:
/// wrap it in a [`BufReader`](io::BufReader) for small reads.
#[derive(Debug)]
pub struct FileReader<F> {
    file: F,
    position: u64,
}

impl<F> FileReader<F> {
    /// Reads `file` from its beginning.
    pub const fn new(file: F) -> Self {
        Self { file, position: 0 }
    }

    /// The offset of the next byte.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The file.
    pub const fn file(&self) -> &F {
        &self.file
    }

    /// The file, without the position.
    pub fn into_inner(self) -> F {
        self.file
    }
}

impl<F> io::Read for FileReader<F>
where
    F: Deref,
    F::Target: File,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position = self.position.saturating_add(count as u64);
        Ok(count)
    }
}

impl<F> io::Seek for FileReader<F>
where
    F: Deref,
    F::Target: File,
{
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            io::SeekFrom::End(distance) => self.file.metadata()?.len.checked_add_signed(distance),
        };
        let reason = "the position lies before the beginning of the file";
        self.position = target.ok_or_else(|| {
            FileError::refuse("seek in", self.file.path(), io::ErrorKind::InvalidInput, reason)
        })?;
        Ok(self.position)
    }
}
