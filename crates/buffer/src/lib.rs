//! A crash-safe outbox on disk that streams itself to the network.
//!
//! A program appends records, each with one `write(2)`, to numbered files in a folder. Finished files are fetched, oldest
//! first, as readers that stream the records inside an envelope of the program's making, with an exact content length and
//! a few kilobytes of memory, and are removed once they have arrived. There is nothing to close, repair or recover: what a
//! crash leaves can be read as it is. Everything is synchronous.
//!
//! ```
//! use std::io::Read;
//! use ledger_buffer::{LedgerConfig, LedgerStore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let store = LedgerStore::new(LedgerConfig {
//!     storage_location: folder.path().join("outbox"),
//!     base_filename: "events".into(),
//!     max_file_size: 475_000,
//!     header: Box::new(|| br#"{"batch":["#.to_vec()),
//!     footer: Box::new(|| br#"],"writeKey":"secret"}"#.to_vec()),
//!     separator: b",".to_vec(),
//! })?;
//! store.append(br#"{"event":"page_view"}"#)?;
//! store.append(br#"{"event":"button_click"}"#)?;
//!
//! while let Some(fetched) = store.fetch(Some(12), None)? {
//!     for mut reader in fetched.data {
//!         let mut body = String::new();                // an HTTP client would take the reader itself
//!         reader.read_to_string(&mut body)?;
//!         assert_eq!(body, r#"{"batch":[{"event":"page_view"},{"event":"button_click"}],"writeKey":"secret"}"#);
//!         assert_eq!(body.len() as u64, reader.content_length());
//!     }
//!     store.remove(&fetched.removable)?;               // sent: delete
//! }
//! # Ok(()) }
//! ```
//!
//! # Promises
//!
//! - An append that returned survives what its [`Durability`] says: the end of the process, or a power cut.
//! - Records come out in the order of the appends of one store, byte for byte, or not at all.
//! - At least once: a file is sent until it is removed. A crash between sending and removing sends it again;
//!   [`DeliveryId`] lets a receiver notice.
//! - Any number of stores, also in several processes, share a folder. None fetches what another writes or sends.
//! - Damage costs what is damaged and nothing else: see [`Damage`], [`Salvage`].
//! - Memory does not grow with files, records or payloads beyond one of each; see the limits below.
//!
//! # Limits
//!
//! | what | limit |
//! |---|---|
//! | payload | 1 to [`LedgerOptions::max_record_size`] bytes, 1 MiB unless set |
//! | batch | [`MAX_BATCH_BYTES`] |
//! | file | `max_file_size` and one record or batch |
//! | folder | [`LedgerOptions::max_total_size`], unlimited unless set |
//! | files of one fetch | [`MAX_FETCH_FILES`] |
//! | files ever | indices up to 4,294,967,295 at a time; they begin again at 0 when a store is opened on an empty folder |
//!
//! # Rooms
//!
//! | module | subject |
//! |---|---|
//! | [`format`](mod@format) | the format on disk: records, names, locks |
//! | `config` | [`LedgerConfig`] of the request, [`LedgerOptions`] beyond it |
//! | `store`, `append`, `fetch`, `remove`, `quota` | [`LedgerStore`], an operation each |
//! | `reader` | [`LedgerReader`] |
//! | `active`, `syncer` | the file that is written to, and when it is synced |
//! | `claim`, `names`, `scan` | whose file it is, which files are ours, which is next |
//! | `check`, `damage`, `salvage` | what is intact |
//! | `delivery` | [`DeliveryId`] |
//! | `blocks` | reading a file in blocks |
//!
//! "Hole H1" to "hole H12" in the documentation are places where the request, taken literally, would lose records;
//! `tests/holes` has a test for each.

mod active;
mod append;
mod blocks;
mod check;
mod claim;
mod config;
mod damage;
mod delivery;
mod error;
mod fetch;
pub mod format;
mod names;
mod quota;
mod reader;
mod remove;
mod salvage;
mod scan;
mod store;
mod syncer;
#[cfg(feature = "transientdb")]
mod transientdb;

pub use append::MAX_BATCH_BYTES;
pub use config::{
    Callback, DEFAULT_MAX_RECORD_SIZE, Durability, LedgerConfig, LedgerOptions, MIN_FILE_SIZE, Validation,
    WhenFull,
};
pub use damage::{Damage, DamageKind};
pub use delivery::DeliveryId;
pub use error::{AppendError, FetchError, OpenError, RemoveError};
pub use fetch::{Fetched, MAX_FETCH_FILES};
pub use quota::Dropped;
pub use reader::{LedgerReader, Records};
pub use remove::Removable;
pub use salvage::{Salvage, Salvaged};
pub use store::{Cleared, FileInfo, LedgerStore};
