//! An open file.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::Metadata;

/// An open file. Used as `Box<dyn File>` or `Arc<dyn File>`; every method takes `&self`, there is no position.
///
/// Each method is one system call. What goes through several is next door: [`append_all`](crate::append_all),
/// [`read_exact_at`](crate::read_exact_at), [`FileReader`](crate::FileReader), [`replace`](crate::replace).
pub trait File: Debug + Send + Sync {
    /// The path under which it was opened, for messages.
    fn path(&self) -> &Path;

    /// Writes at the end of the file, wherever that is by now, in one `write(2)`, and returns how many bytes were taken:
    /// fewer than given when the disk is full, a limit is reached or a signal came.
    ///
    /// Needs [`Open::APPEND`](crate::Open::APPEND).
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Reads from `offset` on and returns how many bytes came: 0 at the end of the file (or for an empty buffer).
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at `offset` and returns how many bytes were taken. A gap behind the former end reads as zeros.
    ///
    /// Needs [`Open::WRITE`](crate::Open::WRITE).
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// What is known of the file, whatever its name is by now.
    fn metadata(&self) -> io::Result<Metadata>;

    /// Cuts the file, or lengthens it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Sets the time of the last change: to show others that a lock file's holder is alive.
    fn set_modified(&self, time: SystemTime) -> io::Result<()>;

    /// Makes all that was written, and the length, survive a power cut.
    ///
    /// After a failure the state of the data is unknown and **a second call may report success over lost data**
    /// (the kernel drops pages that it failed to write): close the file and read it again.
    fn sync_data(&self) -> io::Result<()>;

    /// Like [`File::sync_data`], and the times and permissions too.
    fn sync_all(&self) -> io::Result<()>;

    /// Takes the exclusive advisory lock, or returns `false` at once when somebody else holds it.
    ///
    /// The lock belongs to this opening of the file: it excludes another opening in the same process, ends with
    /// [`File::unlock`], with the last handle, or with the process, and says nothing to programs that do not ask.
    /// For one that already holds it nothing changes.
    fn try_lock(&self) -> io::Result<bool>;

    /// Gives the lock back; nothing happens when it is not held.
    fn unlock(&self) -> io::Result<()>;
}
