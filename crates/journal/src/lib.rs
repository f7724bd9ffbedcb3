//! placeholder
#![forbid(unsafe_code)]

pub mod archive;
pub mod config;
pub mod content;
pub mod cursors;
mod fields;
pub mod hash;
pub mod home;
mod index;
pub mod json;
pub mod jsonl;
pub mod ledger;
pub mod line;
pub mod lock;
mod parallel;
pub mod reader;
pub mod reclassify;
pub mod record;
pub mod stamp;
pub mod state;

pub use archive::{Archive, ArchiveError};
pub use home::Home;
pub use index::Rebuilt;
pub use ledger::{Ledger, LedgerError};
pub use reader::Query;
