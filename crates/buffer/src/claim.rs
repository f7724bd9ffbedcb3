//! Having a file for oneself (holes H2, H3, H10).

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ledger_fs::{Dir, File, FileId, Kind, Metadata, Open};

use crate::damage::Damage;
use crate::names::{FileName, Names};

/// A file that this process has locked, so that nobody else sends it, and holds open, so that no other file can have its
/// identity. Readers and [`Removable`](crate::Removable)s share it; the last of them gives it back.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) file: Arc<dyn File>,
    pub(crate) name: FileName,
    /// The name, relative to the folder.
    pub(crate) path: PathBuf,
    pub(crate) found: Metadata,
    damage: Mutex<Option<Damage>>,
}

impl Claim {
    /// Claims a file; `None` if somebody writes it or has claimed it, or if it is gone.
    pub(crate) fn take(dir: &Arc<dyn Dir>, names: &Names, name: FileName) -> io::Result<Option<Self>> {
        let path = names.path(name);
        let file: Arc<dyn File> = match dir.open(&path, Open::READ) {
            Ok(file) => file.into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.try_lock()? {
            return Ok(None);
        }
        // The lock may have been had just after its former holder removed the file.
        if !is_named(&**dir, &path, file.metadata()?.id)? {
            return Ok(None);
        }
        // Nobody writes any more, so this is its size for good.
        let found = file.metadata()?;
        Ok(Some(Self { dir: dir.clone(), file, name, path, found, damage: Mutex::new(None) }))
    }

    /// Opens a file only to look at it: it may be written to, sent and removed meanwhile.
    pub(crate) fn peek(dir: &Arc<dyn Dir>, names: &Names, name: FileName) -> io::Result<Self> {
        let path = names.path(name);
        let file: Arc<dyn File> = dir.open(&path, Open::READ)?.into();
        let found = file.metadata()?;
        Ok(Self { dir: dir.clone(), file, name, path, found, damage: Mutex::new(None) })
    }

    /// Whether the name still leads to this file.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        is_named(&*self.dir, &self.path, self.found.id)
    }

    /// Where it is, for messages.
    pub(crate) fn full_path(&self) -> PathBuf {
        self.dir.path().join(&self.path)
    }

    pub(crate) fn damage(&self) -> Option<Damage> {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_damage(&self, damage: Option<Damage>) {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = damage;
    }
}

/// Whether a name leads to a certain regular file.
pub(crate) fn is_named(dir: &dyn Dir, path: &std::path::Path, id: FileId) -> io::Result<bool> {
    match dir.metadata(path) {
        Ok(found) => Ok(found.id == id && found.kind == Kind::File),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
