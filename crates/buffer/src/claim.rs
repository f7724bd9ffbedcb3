//! Having a file for oneself (holes H2, H3, H10).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ledger_fs::{Dir, File, FileId, Kind, Metadata, Open};

use crate::blocks::Blocks;
use crate::check::{Checked, Checker};
use crate::config::Validation;
use crate::damage::{Damage, DamageKind};
use crate::format::HEADER_BYTES;
use crate::names::FileName;
use crate::scan::Folder;

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
    pub(crate) checker: Checker,
    checked: OnceLock<Checked>,
    /// Damage that was found while the file was streamed.
    streamed: Mutex<Option<Damage>>,
}

impl Claim {
    /// Claims a file; `None` if somebody writes it or has claimed it, or if it is gone.
    pub(crate) fn take(folder: &Folder, checker: Checker, name: FileName) -> io::Result<Option<Self>> {
        let path = folder.names.path(name);
        let file = match folder.dir.open(&path, Open::READ) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.try_lock()? {
            return Ok(None);
        }
        Self::of_locked(folder, checker, name, file.into())
    }

    /// Claims a file that this process has locked; `None` if it is gone.
    pub(crate) fn of_locked(
        folder: &Folder,
        checker: Checker,
        name: FileName,
        file: Arc<dyn File>,
    ) -> io::Result<Option<Self>> {
        let path = folder.names.path(name);
        // Nobody writes any more, so this is its size for good.
        let found = file.metadata()?;
        // The lock may have been had just after its former holder removed the file.
        let is_in_place = is_named(&*folder.dir, &path, found.id)?;
        Ok(is_in_place.then(|| Self::new(folder, checker, name, path, file, found)))
    }

    /// Opens a file only to look at it: it may be written to, sent and removed meanwhile.
    pub(crate) fn peek(folder: &Folder, checker: Checker, name: FileName) -> io::Result<Self> {
        let path = folder.names.path(name);
        let file = folder.dir.open(&path, Open::READ)?;
        let found = file.metadata()?;
        Ok(Self::new(folder, checker, name, path, file.into(), found))
    }

    fn new(
        folder: &Folder,
        checker: Checker,
        name: FileName,
        path: PathBuf,
        file: Arc<dyn File>,
        found: Metadata,
    ) -> Self {
        let (dir, checked, streamed) = (folder.dir.clone(), OnceLock::new(), Mutex::new(None));
        Self { dir, file, name, path, found, checker, checked, streamed }
    }

    /// What the file holds. It is looked at when this is first asked for.
    pub(crate) fn checked(&self) -> &Checked {
        self.checked.get_or_init(|| self.check(&mut self.blocks()))
    }

    /// The same; if the file is looked at, then through these blocks.
    pub(crate) fn checked_through(&self, blocks: &mut Blocks) -> &Checked {
        self.checked.get_or_init(|| self.check(blocks))
    }

    /// Whether it was looked at.
    pub(crate) fn is_checked(&self) -> bool {
        self.checked.get().is_some()
    }

    fn check(&self, blocks: &mut Blocks) -> Checked {
        match self.name {
            FileName::Data(_) => self.checker.check(blocks),
            FileName::Legacy(_) => Checked { intact_bytes: self.found.len, ..Checked::default() },
        }
    }

    /// The bytes of the file.
    pub(crate) fn blocks(&self) -> Blocks {
        Blocks::new(self.file.clone(), 0, self.found.len)
    }

    /// Whether the name still leads to this file.
    pub(crate) fn is_in_place(&self) -> io::Result<bool> {
        is_named(&*self.dir, &self.path, self.found.id)
    }

    /// Where it is, for messages.
    pub(crate) fn full_path(&self) -> PathBuf {
        self.dir.path().join(&self.path)
    }

    /// What is wrong with it.
    pub(crate) fn damage(&self) -> Option<Damage> {
        let streamed = *self.streamed.lock().unwrap_or_else(PoisonError::into_inner);
        streamed.or(self.checked().damage)
    }

    /// Whether the disk gives out more of the file now than it did when this damage was found.
    pub(crate) fn has_become_readable(&self, damage: Damage) -> bool {
        let checker = Checker { validation: Validation::Full, ..self.checker };
        matches!(damage.kind, DamageKind::Unreadable { .. })
            && checker.check(&mut self.blocks()).intact_bytes > damage.offset
    }

    /// How much of the file is to be streamed: all of it, or what is intact, if that is known.
    pub(crate) fn intact_bytes(&self) -> u64 {
        self.checked.get().map_or(self.found.len, |checked| checked.intact_bytes)
    }

    /// The file was streamed to its end, or up to damage; every record was checked on the way.
    pub(crate) fn was_streamed(&self, records: u64, intact_bytes: u64, damage: Option<DamageKind>) {
        let damage = damage.map(|kind| self.checker.damage(&self.file, intact_bytes, self.found.len, kind));
        let headers = records.saturating_mul(HEADER_BYTES as u64);
        let payload_bytes = intact_bytes.saturating_sub(headers);
        // What was found before, maybe without looking at the payloads, has been announced and stays.
        let _ = self.checked.set(Checked { records, payload_bytes, intact_bytes, damage });
        if let Some(damage) = damage {
            self.streamed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(damage);
        }
    }
}

/// Whether a name leads to a certain regular file.
pub(crate) fn is_named(dir: &dyn Dir, path: &Path, id: FileId) -> io::Result<bool> {
    match dir.metadata(path) {
        Ok(found) => Ok(found.id == id && found.kind == Kind::File),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
