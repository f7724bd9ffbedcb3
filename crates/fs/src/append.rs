//! Appending all or nothing.

use std::io;

use crate::File;
use crate::error::FileError;

/// An append failed. What stands behind the file's former end is said by `cut_back`.
///
/// Whatever it says, **do not append to this file again**: where the cut failed, the next record would follow half of
/// this one; and a disk that failed once tends to fail again. Close it and go on in another file, or reopen it and
/// look where the last whole record ends.
#[derive(Debug, thiserror::Error)]
#[error("{source}{}", if cut_back.is_ok() { "" } else { " (and part of the record is left at the end of the file)" })]
pub struct AppendError {
    /// Why the append failed.
    pub source: io::Error,
    /// Whether the file was cut back to its former end.
    pub cut_back: io::Result<()>,
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

/// Appends all of `bytes`, normally in one `write(2)`, or nothing: after a failure the file is cut back to `end`, its
/// length before.
///
/// A short write is followed by a second one, which usually tells the reason (disk full). The caller is the file's
/// only writer, by its own arrangement (a lock, or a name of its own): bytes that others append meanwhile would be cut
/// off too.
///
/// # Errors
///
/// The first error of a write; a write that takes nothing is [`WriteZero`](io::ErrorKind::WriteZero).
pub fn append_all(file: &dyn File, bytes: &[u8], end: u64) -> Result<(), AppendError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let taken = match file.append(rest) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => Err(FileError::refuse(
                "append to",
                file.path(),
                io::ErrorKind::WriteZero,
                "nothing was written",
            )),
            result => result,
        };
        match taken {
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(source) => return Err(AppendError { source, cut_back: file.set_len(end) }),
        }
    }
    Ok(())
}
