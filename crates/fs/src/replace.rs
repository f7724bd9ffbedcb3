//! Replacing a file in one step.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Dir, File, Open, append_all};

/// Replaces a file's content in one step: after a crash the name holds the old bytes or the new ones, whole.
///
/// The bytes go to a temporary file beside it, `NAME.PID-COUNT.tmp`, which is synced and renamed; then the folder is
/// synced. Who needs another temporary name or other permissions, or writes in pieces, takes a [`Replacement`].
///
/// # Errors
///
/// Those of the steps. Before the rename the old file is untouched; when syncing the folder fails the new file is in
/// place, but a power cut may bring back the old one.
pub fn replace(dir: &dyn Dir, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let replacement = Replacement::begin(dir, temporary_name(name), Open::APPEND)?;
    append_all(replacement.file(), bytes, 0)?;
    replacement.commit(name)
}

/// `NAME.PID-COUNT.tmp`: no other process and no other thread uses it.
pub fn temporary_name(name: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut temporary = name.as_os_str().to_owned();
    temporary.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    temporary.into()
}

/// A file that is being written under a temporary name and takes its own name when it is complete.
///
/// Dropped before [`Replacement::commit`], it removes the temporary file. After a crash the temporary file may be left:
/// the folder's owner removes it when it next starts.
#[derive(Debug)]
pub struct Replacement<'d> {
    dir: &'d dyn Dir,
    file: Box<dyn File>,
    temporary: PathBuf,
    renamed: bool,
}

impl<'d> Replacement<'d> {
    /// Creates `temporary`, which must not exist; `how` gives access and permissions.
    pub fn begin(dir: &'d dyn Dir, temporary: impl Into<PathBuf>, how: Open) -> io::Result<Self> {
        let temporary = temporary.into();
        let file = dir.open(&temporary, how.create_new())?;
        Ok(Self { dir, file, temporary, renamed: false })
    }

    /// The file to write to.
    pub fn file(&self) -> &dyn File {
        &*self.file
    }

    /// Syncs the file, gives it its name, and syncs the folder (both folders, if they differ).
    pub fn commit(mut self, name: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        self.dir.rename(&self.temporary, name)?;
        self.renamed = true;
        let (to, from) = (folder_of(name), folder_of(&self.temporary));
        self.dir.sync(to)?;
        if from == to { Ok(()) } else { self.dir.sync(from) }
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing to be done about a failure: the caller already has the error that led here.
            let _ = self.dir.remove(&self.temporary);
        }
    }
}

/// The folder that holds `name`: what to [`Dir::sync`] after creating, renaming or removing it.
pub fn folder_of(name: &Path) -> &Path {
    name.parent().unwrap_or(Path::new(""))
}
