//! The suite that every store must pass.
//!
//! A case is an `async fn` that takes a [`Harness`], opens a fresh store and checks one promise; cases are grouped in
//! one module per subject. They use nothing but [`Store`] and the capability traits, so they hold for any id and any
//! payload type, embedded or behind a network.
//!
//! A store runs all of them with one line in a test file. Each case becomes a test of its own, so that the output
//! names what is broken:
//!
//! ```
//! use bytes::Bytes;
//! use ledger_streams::conformance::{Harness, Promised};
//! use ledger_streams::{Durability, MemoryStore};
//!
//! struct Memory;
//!
//! impl Harness for Memory {
//!     type Store = MemoryStore;
//!
//!     async fn open(&self) -> MemoryStore {
//!         MemoryStore::new("conformance").unwrap()
//!     }
//!     fn promised(&self) -> Promised {
//!         Promised { search_index: false, ..Promised::EVERYTHING }
//!     }
//!     fn durability(&self) -> Durability {
//!         Durability::Memory
//!     }
//!     fn missing_id(&self) -> i64 {
//!         0
//!     }
//!     fn json(&self, text: &str) -> Bytes {
//!         Bytes::copy_from_slice(text.as_bytes())
//!     }
//!     fn raw(&self, bytes: &[u8]) -> Option<Bytes> {
//!         Some(Bytes::copy_from_slice(bytes))
//!     }
//! }
//!
//! ledger_streams::conformance_suite!(Memory);
//! # fn main() {}
//! ```
//!
//! A store that implements [`Transactions`](crate::Transactions) adds
//! [`conformance_suite_of_transactions!`](crate::conformance_suite_of_transactions).
//!
//! # Nothing is skipped silently
//!
//! A harness says which capabilities its store has; [`capabilities::are_exactly_those_promised`] fails if the store
//! has one more or one less. Cases of a capability that is not promised pass without doing anything.
//!
//! # What it leaves to the tests of a backend
//!
//! Survival of crashes, durability after reopening, compatibility of formats, isolation of two stores in one
//! database, names of stores, speed.
//!
//! # Time
//!
//! No case depends on the speed of the machine. Where a broken store would wait for ever, a generous limit turns the
//! wait into a failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the suite is test code: a broken promise is reported by a panic"
)]

mod fixture;
mod harness;
mod suite;

pub mod append;
pub mod capabilities;
pub mod closed;
pub mod cursors;
pub mod dedup;
pub mod expect;
pub mod filters;
pub mod limits;
pub mod list;
pub mod model;
pub mod order_of_visibility;
pub mod origin;
pub mod read;
pub mod rename;
pub mod search;
pub mod stat;
pub mod subscribe;
pub mod tags_and_annotations;
pub mod texts;
pub mod transactions;
pub mod trim;

pub use harness::{Harness, IdOf, PayloadOf, Promised};
#[doc(hidden)]
pub use suite::run;

#[cfg(doc)]
use crate::Store;
