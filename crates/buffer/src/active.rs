//! The file that a store appends to.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ledger_fs::{File, Open, append_all};

use crate::claim::is_named;
use crate::error::AppendError;
use crate::names::FileName;
use crate::scan::Folder;

/// Most names that are tried for a new file.
const MAX_ATTEMPTS: u32 = 1000;
/// After how many taken names the folder is looked through again.
const ATTEMPTS_BEFORE_SCAN: u32 = 8;

/// A file that this store has created and locked. It is only ever appended to, by one append at a time.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) file: Arc<dyn File>,
    pub(crate) name: FileName,
    path: PathBuf,
    /// Bytes of whole records. Changed by appends only, one at a time.
    written: AtomicU64,
    /// Whoever syncs holds it.
    synced: Mutex<Synced>,
    /// A sync has failed: nothing of this file is ever said to be synced again (hole H12).
    poisoned: AtomicBool,
}

/// What survives a power cut.
#[derive(Debug, Default)]
struct Synced {
    bytes: u64,
    /// Why a sync has failed.
    failure: Option<(io::ErrorKind, String)>,
}

impl Active {
    /// Creates the file behind `next_index`, which is moved on.
    pub(crate) fn create(folder: &Folder, next_index: &mut u64) -> Result<Self, AppendError> {
        let exhausted = || AppendError::IndicesExhausted { folder: folder.dir.path().to_owned() };
        if *next_index > u64::from(u32::MAX) {
            // Files may have been removed since.
            *next_index = folder.next_index().map_err(AppendError::Create)?;
        }
        for attempt in 1..=MAX_ATTEMPTS {
            let index = u32::try_from(*next_index).map_err(|_| exhausted())?;
            *next_index = next_index.saturating_add(1);
            if let Some(active) = Self::try_create(folder, index).map_err(AppendError::Create)? {
                return Ok(active);
            }
            // Others use this folder, and may be far ahead.
            if attempt.is_multiple_of(ATTEMPTS_BEFORE_SCAN) {
                let next = folder.next_index().map_err(AppendError::Create)?;
                *next_index = (*next_index).max(next);
            }
        }
        Err(AppendError::NamesTaken { folder: folder.dir.path().to_owned(), attempts: MAX_ATTEMPTS })
    }

    /// `None` if the name is taken, or somebody who fetches was quicker to lock the new file.
    fn try_create(folder: &Folder, index: u32) -> io::Result<Option<Self>> {
        let name = FileName::Data(index);
        let path = folder.names.path(name);
        let file = match folder.dir.open(&path, Open::APPEND.create_new()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.try_lock()? || !is_named(&*folder.dir, &path, file.metadata()?.id)? {
            return Ok(None);
        }
        let (written, synced, poisoned) = (AtomicU64::new(0), Mutex::default(), AtomicBool::new(false));
        Ok(Some(Self { file: file.into(), name, path, written, synced, poisoned }))
    }

    /// Bytes of whole records.
    pub(crate) fn len(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether a sync has failed.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Appends whole records in one `write(2)`. After a failure the file must not be appended to again (hole H1).
    pub(crate) fn append(&self, records: &[u8]) -> Result<(), AppendError> {
        let end = self.len();
        append_all(&*self.file, records, end)
            .map_err(|error| AppendError::Write { cut_back: error.cut_back.is_ok(), source: error.source })?;
        self.written.store(end.saturating_add(records.len() as u64), Ordering::Release);
        Ok(())
    }

    /// Makes the first `up_to` bytes survive a power cut. Of those who call at the same time, one syncs for all that was
    /// written until then.
    pub(crate) fn sync(&self, up_to: u64) -> io::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kind, text)) = &synced.failure {
            return Err(io::Error::new(*kind, text.clone()));
        }
        if synced.bytes >= up_to {
            return Ok(());
        }
        let written = self.len();
        if let Err(error) = self.file.sync_data() {
            synced.failure = Some((error.kind(), error.to_string()));
            self.poisoned.store(true, Ordering::Release);
            return Err(error);
        }
        synced.bytes = written;
        Ok(())
    }

    /// Gives the file up: it is finished, and can be fetched. A file without a record is removed.
    pub(crate) fn finish(&self, folder: &Folder) {
        let is_empty = self.len() == 0 && self.file.metadata().is_ok_and(|found| found.len == 0);
        if is_empty {
            // While it is locked nobody else removes it, so the name is still that of this file. If it cannot be
            // removed, it is an empty file that will be fetched and removed.
            let _ = folder.dir.remove(&self.path);
        }
        // Syncs that are under way hold the file open; the lock would last as long as they do. If this fails, it does.
        let _ = self.file.unlock();
    }
}
