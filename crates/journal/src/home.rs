//! The home directory: where everything is (specification §1).

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_fs::{Dir, RealDir};

/// The ledger itself.
pub const LEDGER: &str = "ledger.jsonl";
/// Ids of all records.
pub const ID_INDEX: &str = "ledger.idx";
/// Fingerprints of the latest turns.
pub const CONTENT_INDEX: &str = "ledger.content.idx";
/// Folder of the content sidecar.
pub const CONTENT: &str = "content";
/// The derived archive.
pub const ARCHIVE: &str = "archive.sqlite";
/// Ingest cursors.
pub const CURSORS: &str = "cursors.json";
/// High-water marks.
pub const HWM: &str = "hwm.json";
/// User configuration.
pub const CONFIG: &str = "config.json";

/// The folder that holds a ledger and all that belongs to it. It is created by whichever write needs it first.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
    dir: Option<Arc<dyn Dir>>,
}

impl Home {
    /// The folder at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), dir: None }
    }

    /// A folder of another file layer. The archive needs a real one.
    pub fn in_dir(dir: Arc<dyn Dir>) -> Self {
        Self { path: dir.path().to_owned(), dir: Some(dir) }
    }

    /// `RELAYBURN_HOME` if it is set and not empty, else `.relayburn` in the user's home folder.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var_os(name))
    }

    pub(crate) fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Self {
        match var("RELAYBURN_HOME") {
            Some(home) if !home.is_empty() => Self::at(home),
            _ => Self::at(PathBuf::from(var("HOME").unwrap_or_default()).join(".relayburn")),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder for writing into it; created when it is missing.
    pub fn dir(&self) -> io::Result<Arc<dyn Dir>> {
        match &self.dir {
            Some(dir) => Ok(Arc::clone(dir)),
            None => Ok(Arc::new(RealDir::create(&self.path)?)),
        }
    }

    /// The folder for reading; `None` when it is missing.
    pub fn existing(&self) -> io::Result<Option<Arc<dyn Dir>>> {
        if let Some(dir) = &self.dir {
            return Ok(Some(Arc::clone(dir)));
        }
        match RealDir::open(&self.path) {
            Ok(dir) => Ok(Some(Arc::new(dir))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `None` in the place of "no such file".
pub(crate) fn if_found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
