//! The file layer of Ledger.
//!
//! Buffer, journal and chain keep their data in files, and reach them only through two small traits: [`Dir`], a folder,
//! and [`File`], an open file. [`RealDir`] is the machine's file system. Everything is synchronous, every method is one
//! system call, and every error says which file was meant and what was attempted.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//! use ledger_fs::{Dir, Open, RealDir, append_all, read_all, replace};
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! let dir: Arc<dyn Dir> = Arc::new(RealDir::open(folder.path())?);
//! let log = dir.open(Path::new("log"), Open::APPEND.create())?;
//! append_all(&*log, b"one\n", 0)?;
//! log.sync_data()?;
//! dir.sync(Path::new(""))?;
//! replace(&*dir, Path::new("cursor"), b"4")?;
//! assert_eq!(read_all(&*dir, Path::new("cursor"), 100)?, b"4");
//!
//! let error = dir.open(Path::new("nothing"), Open::READ).unwrap_err();
//! assert!(error.to_string().starts_with("cannot open "));
//! # Ok(()) }
//! ```
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | `dir` | [`Dir`], and what a folder tells of its files; what survives what |
//! | `file` | [`File`] |
//! | `open` | [`Open`]: how a file is opened |
//! | `error` | [`FileError`]: which file, which operation |
//! | `append` | [`append_all`]: all or nothing |
//! | `write` | [`write_all_at`] |
//! | `read` | [`read_exact_at`], [`read_all`], [`FileReader`] |
//! | `replace` | [`replace`], [`Replacement`]: a new content in one step |
//! | `real` | [`RealDir`] |
//! | `crash` | `CrashFs`, with feature `crash`: every state that a crash could leave, and operations that fail |
#![forbid(unsafe_code)]

mod append;
#[cfg(feature = "crash")]
pub mod crash;
mod dir;
mod error;
mod file;
mod open;
mod read;
mod real;
mod replace;
mod write;

pub use append::{AppendError, append_all};
pub use dir::{Dir, Entry, FileId, Kind, Metadata};
pub use error::{FileError, os_error};
pub use file::File;
pub use open::Open;
pub use read::{FileReader, read_all, read_exact_at};
pub use real::RealDir;
pub use replace::{Replacement, folder_of, replace, temporary_name};
pub use write::write_all_at;
