//! The store: its parts, and what concerns all of its files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ledger_fs::Dir;

use crate::active::Active;
use crate::check::Checker;
use crate::claim::Claim;
use crate::config::{Callback, Durability, LedgerConfig, LedgerOptions, WhenFull};
use crate::delivery;
use crate::error::OpenError;
use crate::names::{FileName, Names};
use crate::quota::Dropped;
use crate::reader::LedgerReader;
use crate::remove::remove_if_claimed;
use crate::scan::Folder;
use crate::syncer::Syncer;

/// A crash-safe buffer of records on disk, from which they are sent file by file. See the [crate](crate).
///
/// All methods take `&self`, from any number of threads. Any number of stores, in one process or several, may work on
/// the same folder.
pub struct LedgerStore {
    pub(crate) folder: Folder,
    pub(crate) settings: Settings,
    pub(crate) header: Callback,
    pub(crate) footer: Callback,
    pub(crate) separator: Arc<[u8]>,
    pub(crate) writer: Mutex<Writer>,
    /// Files that were fetched and not given back yet.
    pub(crate) claims: Mutex<Vec<Weak<Claim>>>,
    pub(crate) dropped: Mutex<Dropped>,
    pub(crate) syncer: Option<Syncer>,
}

/// What does not change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) max_file_size: u64,
    pub(crate) max_total_size: Option<(u64, WhenFull)>,
    pub(crate) durability: Durability,
    pub(crate) checker: Checker,
}

/// What appending changes.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) active: Option<Arc<Active>>,
    /// Index of the next file; one more than a `u32` holds when there is none left.
    pub(crate) next_index: u64,
    /// Where records are put together.
    pub(crate) scratch: Vec<u8>,
    /// Bytes of all files, if known.
    pub(crate) total_bytes: Option<u64>,
    /// The failure of a sync that nobody has been told of.
    pub(crate) unreported: Option<io::Error>,
}

/// A file of the folder, as [`LedgerStore::files`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its index.
    pub index: u32,
    /// Whether it is a ready-made batch of `transientdb`'s directory store.
    pub is_legacy: bool,
    /// Where it is.
    pub path: PathBuf,
}

/// What [`LedgerStore::reset`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Files that were deleted.
    pub deleted: u64,
    /// Files that were left because another store writes or sends them.
    pub in_use: u64,
}

impl LedgerStore {
    /// Opens a store with the defaults for everything that the request does not name. The folder is created if it is
    /// missing; no file is opened, read or changed.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(config: LedgerConfig) -> Result<Self, OpenError> {
        Self::options(config).open()
    }

    /// Settings beyond those of the request.
    pub fn options(config: LedgerConfig) -> LedgerOptions {
        LedgerOptions::new(config)
    }

    pub(crate) fn open_with(
        options: LedgerOptions,
        dir: Arc<dyn Dir>,
        names: Names,
        max_record_size: u32,
    ) -> Result<Self, OpenError> {
        let LedgerOptions { config, durability, max_total_size, validation, .. } = options;
        let folder = Folder { dir, names };
        let writer = Writer { next_index: folder.next_index()?, ..Writer::default() };
        let syncer = match durability {
            Durability::Interval(interval) => Some(Syncer::start(interval)?),
            Durability::None | Durability::EveryAppend => None,
        };
        let settings = Settings {
            max_file_size: config.max_file_size as u64,
            max_total_size,
            durability,
            checker: Checker { max_record_size, validation },
        };
        Ok(Self {
            folder,
            settings,
            header: config.header,
            footer: config.footer,
            separator: config.separator.into(),
            writer: Mutex::new(writer),
            claims: Mutex::default(),
            dropped: Mutex::default(),
            syncer,
        })
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        // Nothing that can panic runs under this lock; if it did, each field would still be right by itself.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        self.folder.dir.path()
    }

    /// Whether there is a record in the active file, or any file in the folder, including those that another store
    /// writes or sends. If the folder cannot be listed the answer is yes, and `fetch()` says why.
    pub fn has_data(&self) -> bool {
        let is_active = self.writer().active.as_ref().is_some_and(|active| active.len() > 0);
        is_active || self.folder.any().unwrap_or(true)
    }

    /// Closes the active file, so that it can be fetched.
    pub(crate) fn finish_active(&self) {
        if let Some(active) = self.take_active() {
            active.finish(&self.folder);
        }
    }

    /// Makes the active file one that nothing is added to. It is still locked: nobody else can fetch it yet.
    pub(crate) fn take_active(&self) -> Option<Arc<Active>> {
        let active = self.writer().active.take()?;
        if let Err(error) = self.sync_whole(&active) {
            self.writer().unreported.get_or_insert(error);
        }
        Some(active)
    }

    /// Finishes a file that is no longer the active one.
    pub(crate) fn finish(&self, active: &Active) -> io::Result<()> {
        let synced = self.sync_whole(active);
        active.finish(&self.folder);
        synced
    }

    fn sync_whole(&self, active: &Active) -> io::Result<()> {
        match self.settings.durability {
            Durability::None => Ok(()),
            Durability::Interval(_) | Durability::EveryAppend => active.sync(active.len()),
        }
    }

    /// Deletes all files of the store: finished, active and ready-made ones, also those that this store has fetched.
    /// Files that another store writes or sends stay, since it would go on writing to a file without a name; so do the
    /// quarantine and everything else in the folder (hole H8).
    ///
    /// # Errors
    /// The first failure to list or delete; as much as possible is deleted all the same.
    pub fn reset(&self) -> io::Result<Cleared> {
        self.finish_active();
        self.writer().unreported = None;
        let mut cleared = Cleared::default();
        let mut failure = None;
        for name in self.folder.files()? {
            let name = name?;
            match self.clear(name) {
                Ok(true) => cleared.deleted = cleared.deleted.saturating_add(1),
                Ok(false) => cleared.in_use = cleared.in_use.saturating_add(1),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        self.writer().total_bytes = None;
        failure.map_or(Ok(cleared), Err)
    }

    /// Deletes a file unless somebody else uses it.
    fn clear(&self, name: FileName) -> io::Result<bool> {
        let claim = match Claim::take(&self.folder, self.settings.checker, name)? {
            Some(claim) => Arc::new(claim),
            None => match self.own_claim(name) {
                Some(claim) if claim.is_in_place()? => claim,
                Some(_) | None => return Ok(false),
            },
        };
        remove_if_claimed(&claim)?;
        delivery::forget(&claim.dir, &claim.path);
        Ok(true)
    }

    /// The claim of a file that this store has fetched.
    fn own_claim(&self, name: FileName) -> Option<Arc<Claim>> {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.iter().filter_map(Weak::upgrade).find(|claim| claim.name == name)
    }

    pub(crate) fn remember_claim(&self, claim: &Arc<Claim>) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|claim| claim.strong_count() > 0);
        claims.push(Arc::downgrade(claim));
    }

    /// All files in the order of sending, also those in use. For looking at; memory grows with their number.
    ///
    /// # Errors
    /// Those of listing the folder.
    pub fn files(&self) -> io::Result<Vec<FileInfo>> {
        let mut names = self.folder.files()?.collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        let info = |name: FileName| FileInfo {
            index: name.index(),
            is_legacy: matches!(name, FileName::Legacy(_)),
            path: self.folder().join(self.folder.names.path(name)),
        };
        Ok(names.into_iter().map(info).collect())
    }

    /// Files in the quarantine, in no particular order.
    ///
    /// # Errors
    /// Those of listing it.
    pub fn quarantined(&self) -> io::Result<Vec<PathBuf>> {
        let found = self.folder.quarantined()?;
        Ok(found.into_iter().map(|(path, _)| self.folder().join(path)).collect())
    }

    /// A reader of a file that does not keep others from using it. If it is being written to, what was written so far
    /// counts, and its end may look torn.
    ///
    /// # Errors
    /// Those of opening it, and [`InvalidData`](io::ErrorKind::InvalidData) if a callback panics.
    pub fn peek(&self, file: &FileInfo) -> io::Result<LedgerReader> {
        let name = if file.is_legacy { FileName::Legacy(file.index) } else { FileName::Data(file.index) };
        let claim = Claim::peek(&self.folder, self.settings.checker, name)?;
        Ok(self.reader(Arc::new(claim), Arc::default())?)
    }

    /// Whether a file is being written or sent, by this store or another one.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn is_in_use(&self, file: &FileInfo) -> io::Result<bool> {
        let name = if file.is_legacy { FileName::Legacy(file.index) } else { FileName::Data(file.index) };
        Ok(Claim::take(&self.folder, self.settings.checker, name)?.is_none())
    }
}

impl fmt::Debug for LedgerStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, settings, .. } = self;
        formatter
            .debug_struct("LedgerStore")
            .field("folder", folder)
            .field("settings", settings)
            .finish_non_exhaustive()
    }
}

impl Drop for LedgerStore {
    /// Finishes the active file. With [`Durability::Interval`] it is synced; a failure of that cannot be reported any
    /// more.
    fn drop(&mut self) {
        self.finish_active();
    }
}
