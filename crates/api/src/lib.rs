//! Ledger streams over gRPC: the protocol, what both ends of it share, and a client that is itself a store.
//!
//! ```no_run
//! use ledger_api::Client;
//! use ledger_streams::{Append, Read, Stream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Client::<i64>::at("localhost:50051").store("orders").connect().await?; // was: SqliteStore::open(…)
//! let orders = Stream::<String, _>::json(&store, "user-123");
//! let ids = orders.append([Append::new("first".to_owned()).dedup_key("request-1")]).await?;
//! assert_eq!(orders.read(Read::new()).await?[0].id, ids[0]);
//! # Ok(()) }
//! ```
//!
//! The protocol is `proto/ledger/v1/ledger.proto`. Its fields below 100 and its service `LedgerService` are those of
//! the program that existing clients were written for (specification §5); everything else is an addition that such
//! clients do not notice.
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | `client` | [`Client`] and [`AppendSession`] |
//! | [`proto`] | generated messages and services, and their descriptor |
//! | [`metadata`] | the keys of request metadata, and what the caller says in them |
//! | [`convert`] | messages to the types of `ledger-streams` and back |
//! | [`status`] | errors of a store to statuses and back, without losing their facts |
//! | [`coalesce`] | fewer and larger writes on a connection |
//! | `codec` | messages to bytes and back, without buffers larger than they are |
//! | `vocabulary` | texts from the wire where an error wants a static one |
#![forbid(unsafe_code)]

mod client;
pub mod coalesce;
mod codec;
pub mod convert;
pub mod metadata;
pub mod proto;
pub mod status;
mod vocabulary;

pub use client::{AppendSession, Client, ClientBuilder, ClientError, PendingAppend};
#[cfg(feature = "tls")]
pub use client::{Identity, Tls};

/// A subscription without news carries a heartbeat this often, so that a client notices a connection that is dead.
pub const HEARTBEAT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(15);
