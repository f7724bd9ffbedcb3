#![doc = include_str!("lib.md")]

pub mod crypto;
pub mod directory;
pub mod follow;
pub mod format;
pub mod governance;
pub mod jsonl;
mod kind;
pub mod maps;
pub mod merkle;
pub mod print;
pub mod receipt;
pub mod snapshot;
pub mod split;
pub mod store;
pub mod verify;
pub mod writer;

pub use format::{ParseTxIdError, TxId, WriteSet};
pub use kind::EntryKind;
