//! The file system of the machine.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::dir::check_name;
use crate::error::FileError;
use crate::open::{Access, Create};
use crate::{Dir, Entry, File, FileId, Kind, Metadata, Open};

/// A folder of the machine's file system.
///
/// ```
/// use std::path::Path;
/// use ledger_fs::{Dir, File, Open, RealDir};
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// let dir = RealDir::create(folder.path().join("events"))?;
/// let file = dir.open(Path::new("0-events"), Open::APPEND.create_new())?;
/// assert_eq!(file.append(b"hello")?, 5);
/// file.sync_data()?;          // the bytes survive a power cut,
/// dir.sync(Path::new(""))?;   // and so does the name
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RealDir {
    root: PathBuf,
}

impl RealDir {
    /// The folder at `root`, which must exist.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let found = fs::metadata(&root).map_err(|error| FileError::wrap("open the folder", &root, error))?;
        if found.is_dir() {
            Ok(Self { root })
        } else {
            let kind = io::ErrorKind::NotADirectory;
            Err(FileError::refuse("open the folder", &root, kind, "it is not a folder"))
        }
    }

    /// The folder at `root`, created with those above it when it is missing. The names of created folders survive a
    /// power cut.
    pub fn create(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let missing: Vec<&Path> = root.ancestors().take_while(|folder| !folder.exists()).collect();
        call("create the folder", &root, |root| fs::create_dir_all(root))?;
        for above in missing.iter().rev().filter_map(|folder| folder.parent()) {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            sync_folder(above)?;
        }
        Ok(Self { root })
    }

    fn at(&self, operation: &'static str, name: &Path) -> io::Result<PathBuf> {
        check_name(operation, name)?;
        Ok(if name.as_os_str().is_empty() { self.root.clone() } else { self.root.join(name) })
    }
}

/// Runs a system call on `path` and names both in its error.
fn call<T>(operation: &'static str, path: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    call(path).map_err(|error| FileError::wrap(operation, path, error))
}

impl Dir for RealDir {
    fn path(&self) -> &Path {
        &self.root
    }

    fn open(&self, name: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let path = self.at("open", name)?;
        if let Some(reason) = how.contradiction() {
            return Err(FileError::refuse("open", &path, io::ErrorKind::InvalidInput, reason));
        }
        let mut options = fs::OpenOptions::new();
        options.read(true).truncate(how.truncate).mode(how.mode);
        match how.access {
            Access::Read => {}
            Access::Append => {
                options.append(true);
            }
            Access::Write => {
                options.write(true);
            }
        }
        let operation = match how.create {
            Create::Never => "open",
            Create::IfMissing => {
                options.create(true);
                "open or create"
            }
            Create::New => {
                options.create_new(true);
                "create"
            }
        };
        let file = call(operation, &path, |path| options.open(path))?;
        Ok(Box::new(RealFile { file, path, access: how.access }))
    }

    fn create_dir_all(&self, name: &Path) -> io::Result<()> {
        call("create the folder", &self.at("create the folder", name)?, |path| fs::create_dir_all(path))
    }

    fn entries(&self, name: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<Entry>> + Send>> {
        let path = self.at("list the folder", name)?;
        let entries = call("list the folder", &path, |path| fs::read_dir(path))?;
        Ok(Box::new(entries.map(move |entry| {
            // The kind comes with the name on every file system that matters; elsewhere std asks for it.
            let entry = entry
                .and_then(|entry| Ok(Entry { kind: entry.file_type()?.into(), name: entry.file_name() }));
            entry.map_err(|error| FileError::wrap("list the folder", &path, error))
        })))
    }

    fn metadata(&self, name: &Path) -> io::Result<Metadata> {
        let operation = "look at";
        let path = self.at(operation, name)?;
        call(operation, &path, |path| metadata(&fs::symlink_metadata(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let to = self.at("rename a file to", to)?;
        call("rename", &self.at("rename", from)?, |from| fs::rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let from = self.at("link", from)?;
        call("link a file to", &self.at("link a file to", to)?, |to| fs::hard_link(from, to))
    }

    fn remove(&self, name: &Path) -> io::Result<()> {
        call("remove", &self.at("remove", name)?, |path| fs::remove_file(path))
    }

    fn remove_dir(&self, name: &Path) -> io::Result<()> {
        call("remove the folder", &self.at("remove the folder", name)?, |path| fs::remove_dir(path))
    }

    fn sync(&self, name: &Path) -> io::Result<()> {
        sync_folder(&self.at("sync the folder", name)?)
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    call("sync the folder", path, |path| match fs::File::open(path)?.sync_all() {
        // Some network and user-space file systems have nothing to sync in a folder and say so this way.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    })
}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    path: PathBuf,
    access: Access,
}

impl RealFile {
    fn call<T>(&self, operation: &'static str, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| FileError::wrap(operation, &self.path, error))
    }

    fn needs(&self, operation: &'static str, access: Access) -> io::Result<()> {
        check_access(operation, &self.path, self.access, access)
    }
}

impl File for RealFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.needs("append to", Access::Append)?;
        self.call("append to", io::Write::write(&mut &self.file, bytes))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call("read", self.file.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.needs("write to", Access::Write)?;
        self.call("write to", self.file.write_at(bytes, offset))
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.call("look at", self.file.metadata().and_then(|found| metadata(&found)))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call("set the length of", self.file.set_len(len))
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.call("set the time of", self.file.set_modified(time))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call("sync", self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.call("sync", self.file.sync_all())
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(FileError::wrap("lock", &self.path, error)),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.call("unlock", self.file.unlock())
    }
}

/// The system would do something else silently: a positional write to a file opened for appending goes to the end.
pub(crate) fn check_access(
    operation: &'static str,
    path: &Path,
    has: Access,
    needs: Access,
) -> io::Result<()> {
    if has == needs {
        return Ok(());
    }
    let reason = match needs {
        Access::Append => "it was not opened with Open::APPEND",
        Access::Read | Access::Write => "it was not opened with Open::WRITE",
    };
    Err(FileError::refuse(operation, path, io::ErrorKind::InvalidInput, reason))
}

fn metadata(found: &fs::Metadata) -> io::Result<Metadata> {
    Ok(Metadata {
        kind: found.file_type().into(),
        len: found.len(),
        id: FileId { device: found.dev(), inode: found.ino() },
        modified: found.modified()?,
    })
}

impl From<fs::FileType> for Kind {
    fn from(found: fs::FileType) -> Self {
        if found.is_file() {
            Self::File
        } else if found.is_dir() {
            Self::Dir
        } else if found.is_symlink() {
            Self::Link
        } else {
            Self::Other
        }
    }
}
