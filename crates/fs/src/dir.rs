//! A folder.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::path::{Component, Path};
use std::time::SystemTime;

use crate::error::FileError;
use crate::{File, Open};

/// A folder, and everything below it. Used as `Arc<dyn Dir>`.
///
/// Every `name` is a path relative to the folder; sub-folders are allowed, `..` and absolute paths are refused with
/// [`InvalidInput`](io::ErrorKind::InvalidInput). The empty name is the folder itself.
///
/// Every error says which file was meant and what was attempted (see [`FileError`]).
///
/// # What lasts
///
/// | done | survives a killed process | survives a power cut |
/// |---|---|---|
/// | bytes written | yes | after [`File::sync_data`] of that file |
/// | [`File::set_len`] | yes | after [`File::sync_data`] of that file |
/// | file or folder created, renamed, linked, removed | yes | after [`Dir::sync`] of the folder that holds the name (after a move between two folders: of both) |
///
/// The two columns on the right are independent: a synced file whose name was not synced may be gone, and a synced name
/// may lead to an empty file.
pub trait Dir: Debug + Send + Sync {
    /// Where the folder is, for messages and for programs that must be given a path.
    fn path(&self) -> &Path;

    /// Opens a file. Symbolic links are followed.
    fn open(&self, name: &Path, how: Open) -> io::Result<Box<dyn File>>;

    /// Creates a folder and those above it; nothing happens when it is there already.
    fn create_dir_all(&self, name: &Path) -> io::Result<()>;

    /// What is in a folder, in no particular order, without a system call per entry.
    fn entries(&self, name: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<Entry>> + Send>>;

    /// What is known of a name. A symbolic link is not followed: its kind is [`Kind::Link`].
    fn metadata(&self, name: &Path) -> io::Result<Metadata>;

    /// Gives a file or folder another name, in one step; a file that has the name already is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, and fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists) when the name is
    /// taken: unlike [`Dir::rename`] it never replaces anything.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Who holds the file open keeps it.
    fn remove(&self, name: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    fn remove_dir(&self, name: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in this folder (not below) survive a power cut.
    fn sync(&self, name: &Path) -> io::Result<()>;
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without the folder.
    pub name: OsString,
    /// What the name stands for.
    pub kind: Kind,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device.
    Other,
}

/// What the file system knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes.
    pub len: u64,
    /// Which file it is, whatever its name.
    pub id: FileId,
    /// When it was last written to, by the file system's clock.
    pub modified: SystemTime,
}

/// Which file it is: stays the same when the file is renamed, and no two files have it at the same time.
///
/// A file system may use it again once the file is removed and nobody holds it open; who must be sure holds it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

/// Refuses names that lead out of the folder.
pub(crate) fn check_name(operation: &'static str, name: &Path) -> io::Result<()> {
    let inside = name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside {
        Ok(())
    } else {
        let reason = "the name must be relative to the folder and must not contain `..`";
        Err(FileError::refuse(operation, name, io::ErrorKind::InvalidInput, reason))
    }
}
