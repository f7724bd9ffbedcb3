#![doc = include_str!("lib.md")]

pub mod crypto;
pub mod format;
pub mod merkle;

pub use format::{ParseTxIdError, TxId, WriteSet};
