//! What a store is told when it is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ledger_fs::{Dir, RealDir};

use crate::error::OpenError;
use crate::names::Names;
use crate::store::LedgerStore;

/// Smallest `max_file_size` in bytes (request, "Configuration").
pub const MIN_FILE_SIZE: usize = 100;
/// Most bytes of a payload unless [`LedgerOptions::max_record_size`] says otherwise.
pub const DEFAULT_MAX_RECORD_SIZE: usize = 1 << 20;

/// Makes the bytes of an envelope's beginning or end. Called once per fetched file, outside every lock.
pub type Callback = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

/// The configuration of the request, field by field. Everything else has a default and is set through [`LedgerOptions`].
///
/// ```
/// use ledger_buffer::LedgerConfig;
/// # let folder = tempfile::tempdir()?;
/// let config = LedgerConfig {
///     storage_location: folder.path().join("events"),
///     base_filename: "events".into(),
///     max_file_size: 475_000,
///     header: Box::new(|| br#"{"batch":["#.to_vec()),
///     footer: Box::new(|| br#"],"writeKey":"k"}"#.to_vec()),
///     separator: b",".to_vec(),
/// };
/// # ledger_buffer::LedgerStore::new(config)?; Ok::<(), std::io::Error>(())
/// ```
pub struct LedgerConfig {
    /// The folder of the files. It is created if it is missing.
    pub storage_location: PathBuf,
    /// What stands behind the index in every file name.
    pub base_filename: String,
    /// Size in bytes over which a file is closed and the next one begun; at least [`MIN_FILE_SIZE`]. A file may exceed
    /// it by one record, or one batch of them.
    pub max_file_size: usize,
    /// Beginning of the envelope around the records of a file.
    pub header: Callback,
    /// End of the envelope.
    pub footer: Callback,
    /// What stands between two payloads.
    pub separator: Vec<u8>,
}

impl fmt::Debug for LedgerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LedgerConfig")
            .field("storage_location", &self.storage_location)
            .field("base_filename", &self.base_filename)
            .field("max_file_size", &self.max_file_size)
            .field("separator", &self.separator)
            .finish_non_exhaustive()
    }
}

/// What an append survives once it has returned (hole H7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, whatever ended it, but not a power cut: the behaviour of the request.
    #[default]
    None,
    /// As `None`, and a power cut costs at most what was appended in the last this long. A thread of the store syncs.
    Interval(Duration),
    /// A power cut. Appends of several threads share a sync.
    EveryAppend,
}

/// What happens to an append for which there is no room under `max_total_size` (hole H6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It fails with [`AppendError::Full`](crate::AppendError::Full).
    Refuse,
    /// The oldest files that nobody uses are deleted to make room: first those in the quarantine, then unsent ones,
    /// oldest first. [`LedgerStore::dropped`](crate::LedgerStore::dropped) tells how many.
    DropOldest,
}

/// How a file is checked when it is fetched (hole H4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validation {
    /// All of it is read and every checksum compared, so `content_length()` is exactly what the reader yields.
    #[default]
    Full,
    /// The literal behaviour of the request: headers only. If a payload is damaged, the reader yields less than
    /// `content_length()` said.
    HeadersOnly,
}

/// A configuration and everything that has a default.
///
/// ```
/// use std::time::Duration;
/// use ledger_buffer::{Durability, LedgerConfig, LedgerStore, WhenFull};
/// # let folder = tempfile::tempdir()?;
/// # let config = LedgerConfig { storage_location: folder.path().into(), base_filename: "events".into(),
/// #     max_file_size: 1000, header: Box::new(Vec::new), footer: Box::new(Vec::new), separator: b"\n".to_vec() };
/// let store = LedgerStore::options(config)
///     .durability(Durability::Interval(Duration::from_secs(1)))
///     .max_total_size(100_000_000, WhenFull::DropOldest)
///     .open()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until it is opened"]
pub struct LedgerOptions {
    pub(crate) config: LedgerConfig,
    pub(crate) durability: Durability,
    pub(crate) max_record_size: usize,
    pub(crate) max_total_size: Option<(u64, WhenFull)>,
    pub(crate) validation: Validation,
}

impl LedgerOptions {
    pub(crate) fn new(config: LedgerConfig) -> Self {
        Self {
            config,
            durability: Durability::default(),
            max_record_size: DEFAULT_MAX_RECORD_SIZE,
            max_total_size: None,
            validation: Validation::default(),
        }
    }

    /// What an append survives; [`Durability::None`] unless set.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Most bytes of a payload, to be written or to be believed when read; [`DEFAULT_MAX_RECORD_SIZE`] unless set.
    pub fn max_record_size(mut self, bytes: usize) -> Self {
        self.max_record_size = bytes;
        self
    }

    /// Most bytes of all files of the folder together, the quarantine included, and what happens beyond; unlimited unless
    /// set. Several stores on one folder each look at the files of all, but not at every append: they may together exceed
    /// it by one `max_file_size` each.
    pub fn max_total_size(mut self, bytes: u64, when_full: WhenFull) -> Self {
        self.max_total_size = Some((bytes, when_full));
        self
    }

    /// How files are checked when they are fetched; [`Validation::Full`] unless set.
    pub fn validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// Opens the store in `storage_location`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(self) -> Result<LedgerStore, OpenError> {
        self.check()?;
        let dir = RealDir::create(&self.config.storage_location)?;
        self.open_in(Arc::new(dir))
    }

    /// Opens the store in a folder of any file system; `storage_location` is not looked at.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_in(self, dir: Arc<dyn Dir>) -> Result<LedgerStore, OpenError> {
        let (names, max_record_size) = self.check()?;
        LedgerStore::open_with(self, dir, names, max_record_size)
    }

    fn check(&self) -> Result<(Names, u32), OpenError> {
        let LedgerConfig { max_file_size: bytes, .. } = self.config;
        if bytes < MIN_FILE_SIZE {
            return Err(OpenError::FileSize { bytes, least: MIN_FILE_SIZE });
        }
        let max_record_size = u32::try_from(self.max_record_size).ok().filter(|size| *size > 0);
        let refused = OpenError::RecordSize { bytes: self.max_record_size, most: u32::MAX };
        Ok((Names::new(&self.config.base_filename)?, max_record_size.ok_or(refused)?))
    }
}
