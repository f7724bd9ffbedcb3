//! What a failed operation says: which file, and what was attempted.

use std::io;
use std::path::{Path, PathBuf};

/// The inside of every [`io::Error`] that this crate returns: the operation, the file, and the system's reason.
///
/// The kind of the outer error is the kind of the reason, so `error.kind()` works as usual; the error number is
/// found by [`os_error`].
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct FileError {
    /// What was attempted, as words that go between "cannot" and the path: `append to`, `sync`, `rename`.
    pub operation: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system answered.
    pub source: io::Error,
}

impl FileError {
    /// Names `operation` and `path` in an error of the system.
    pub fn wrap(operation: &'static str, path: &Path, source: io::Error) -> io::Error {
        io::Error::new(source.kind(), Self { operation, path: path.to_owned(), source })
    }

    /// An error that this crate itself finds: the system was not asked.
    pub(crate) fn refuse(
        operation: &'static str,
        path: &Path,
        kind: io::ErrorKind,
        reason: &'static str,
    ) -> io::Error {
        Self::wrap(operation, path, io::Error::new(kind, reason))
    }
}

/// The system's error number (`errno`) behind `error`, whether wrapped in a [`FileError`] or not.
///
/// [`io::Error::raw_os_error`] knows only unwrapped errors.
pub fn os_error(error: &io::Error) -> Option<i32> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<FileError>());
    inner.map_or_else(|| error.raw_os_error(), |file| os_error(&file.source))
}
