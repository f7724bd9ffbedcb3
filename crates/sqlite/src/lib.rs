//! Ledger streams in an embedded SQLite database.
//!
//! ```
//! use ledger_sqlite::SqliteStore;
//! use ledger_streams::{Append, Read, Stream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("app.db");
//! let store = SqliteStore::open(&path).table("orders").build().await?;
//! let orders = Stream::<String, _>::json(&store, "user-123");
//! let ids = orders.append([Append::new("first".to_owned()).tag("pending")]).await?;
//! assert_eq!(orders.read(Read::new()).await?[0].id, ids[0]);
//! # Ok(()) }
//! ```
//!
//! # The way of an append
//!
//! ```text
//! caller ─ append ─► queue (bounded) ─► writer thread: BEGIN ─ job ─ job ─ job ─ COMMIT + sync ─► answers ─► bells
//! ```
//!
//! One thread owns the only connection that writes. It takes every request that waits, runs each in one transaction
//! (a request that fails is undone alone), commits and syncs once, and only then answers all of them. Reads run on a
//! pool of read-only connections and never wait for the writer (write-ahead log).
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | `layout` | the tables and indexes: the on-disk format |
//! | `options` | how a database and a store are opened |
//! | `database` | [`Database`]: the threads behind a file, shared by its stores |
//! | `store` | [`SqliteStore`] and [`SqliteTransaction`]: the `Store` of this crate |
//! | `executor` | how an operation gets to a connection |
//! | `writer` | group commit |
//! | `session` | transactions of the caller |
//! | `readers` | the read pool |
//! | `foreign` | noticing writes by other processes |
//! | `bells` | which subscribers a commit wakes |
//! | `ops` | what each operation does, in SQL |
//! | `row` | columns to entries and back |
#![forbid(unsafe_code)]

mod bells;
mod connection;
mod database;
mod error;
mod executor;
mod foreign;
mod layout;
mod ops;
mod options;
mod readers;
mod row;
mod session;
mod store;
mod writer;

pub use database::Database;
pub use error::{OpenError, SqliteError};
pub use options::{Access, DatabaseOptions, SqliteStoreOptions, StoreOptions, StreamNames};
pub use rusqlite;
pub use store::{SqliteStore, SqliteTransaction, StoreHandle};
