use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ledger_fs::{Dir, File, Open, RealDir};

use super::{LedgerError, keys::KeyFolder};
use crate::{crypto::Passphrase, verify::Secrets};

/// The folder of a ledger.
#[derive(Debug, Clone)]
pub struct Home {
    dir: Arc<dyn Dir>,
    passphrase: Option<Arc<Passphrase>>,
}

/// Folder of the chunk files.
pub(crate) const LEDGER: &str = "ledger";
/// Folder of the keys.
const KEYS: &str = "keys";
/// Folder of the snapshots.
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// Folder of the index.
pub(crate) const INDEX: &str = "index";
/// Up to where the chunk files are known to be synced.
pub(super) const SYNCED: &str = "synced";
const LOCK: &str = "lock";

impl Home {
    /// Uses a folder of the file system.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::new(Arc::new(RealDir::open(path.as_ref())?)))
    }

    /// Creates the folder if it is missing.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        std::fs::create_dir_all(path.as_ref())?;
        Self::open(path)
    }

    /// Uses any folder.
    #[must_use]
    pub fn new(dir: Arc<dyn Dir>) -> Self {
        Self { dir, passphrase: None }
    }

    /// The passphrase that protects the files of keys: those that are protected open with it, and those that are written will be
    /// protected by it.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: impl Into<Arc<Passphrase>>) -> Self {
        self.passphrase = Some(passphrase.into());
        self
    }

    /// The ledger secrets.
    ///
    /// # Errors
    /// [`LedgerError::Protected`] and [`LedgerError::Protection`] if a passphrase protects them, [`LedgerError::KeyFile`], and
    /// those of the file system, among them that there are none.
    pub fn secrets(&self) -> Result<Secrets, LedgerError> {
        self.keys().load_secrets()
    }

    pub(crate) fn keys(&self) -> KeyFolder {
        KeyFolder { dir: self.folder(KEYS), passphrase: self.passphrase.clone() }
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Arc<dyn Dir> {
        &self.dir
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// The folder of the chunk files.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Dir> {
        self.folder(LEDGER)
    }

    /// The folder of the snapshots.
    #[must_use]
    pub fn snapshots(&self) -> Arc<dyn Dir> {
        self.folder(SNAPSHOTS)
    }

    pub(crate) fn folder(&self, name: &str) -> Arc<dyn Dir> {
        Arc::new(SubDir {
            dir: Arc::clone(&self.dir),
            prefix: PathBuf::from(name),
            path: self.dir.path().join(name),
        })
    }

    /// Makes the folders and their names durable.
    pub(super) fn make(&self) -> io::Result<()> {
        for folder in [LEDGER, KEYS, SNAPSHOTS, INDEX] {
            self.dir.create_dir_all(Path::new(folder))?;
        }
        self.dir.sync(Path::new(""))
    }

    /// The lock of the writer; held as long as the file is open.
    pub(super) fn lock(&self) -> Result<Box<dyn File>, LedgerError> {
        let file = self.dir.open(Path::new(LOCK), Open::WRITE.create())?;
        if file.try_lock()? { Ok(file) } else { Err(LedgerError::Locked { path: self.path() }) }
    }
}

/// A folder inside a folder.
#[derive(Debug)]
struct SubDir {
    dir: Arc<dyn Dir>,
    prefix: PathBuf,
    path: PathBuf,
}

impl Dir for SubDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &Path, how: Open) -> io::Result<Box<dyn File>> {
        self.dir.open(&self.prefix.join(name), how)
    }

    fn create_dir_all(&self, name: &Path) -> io::Result<()> {
        self.dir.create_dir_all(&self.prefix.join(name))
    }

    fn entries(
        &self,
        name: &Path,
    ) -> io::Result<Box<dyn Iterator<Item = io::Result<ledger_fs::Entry>> + Send>> {
        self.dir.entries(&self.prefix.join(name))
    }

    fn metadata(&self, name: &Path) -> io::Result<ledger_fs::Metadata> {
        self.dir.metadata(&self.prefix.join(name))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.dir.rename(&self.prefix.join(from), &self.prefix.join(to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.dir.hard_link(&self.prefix.join(from), &self.prefix.join(to))
    }

    fn remove(&self, name: &Path) -> io::Result<()> {
        self.dir.remove(&self.prefix.join(name))
    }

    fn remove_dir(&self, name: &Path) -> io::Result<()> {
        self.dir.remove_dir(&self.prefix.join(name))
    }

    fn sync(&self, name: &Path) -> io::Result<()> {
        self.dir.sync(&self.prefix.join(name))
    }
}
