//! Typed, ordered, append-only streams over pluggable stores.
//!
//! A [`Store`] is one table or collection and holds one kind of entry (orders, events). A *stream* is one
//! instance in it, named by a string (`"user-123"`). Streams need no creation: the first append makes them.
//! A [`Stream<T>`](Stream) is a cheap typed handle made of a store, a name and a codec.
//!
//! ```
//! use ledger_streams::{Append, MemoryStore, Position, Read, Stream};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Debug, PartialEq)]
//! struct Order { id: String, amount: f64 }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new("orders")?;
//! let orders = Stream::<Order, _>::json(&store, "user-123");
//! let ids = orders
//!     .append([Append::new(Order { id: "o-1".into(), amount: 99.99 }).order_key("customer-123").tag("pending")])
//!     .await?;
//! let page = orders.read(Read::new().limit(10)).await?;
//! assert_eq!(page[0].id, ids[0]);
//! assert_eq!(page[0].payload.amount, 99.99);
//! let mut live = orders.subscribe(Position::Start).await?; // catches up, then follows
//! # drop(live);
//! # Ok(()) }
//! ```
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | `store` | [`Store`], what every backend does; [`Durability`], [`Stat`] |
//! | `capability` | what only some backends do: [`Search`], [`Subscribe`], [`Transactions`], … |
//! | `append` | [`Append`], [`Expect`], [`Appended`] |
//! | `read` | [`Read`], [`Filter`], [`Page`] |
//! | `entry` | [`Entry`], [`Damaged`] |
//! | `stream` | [`Stream`], [`ReadOnlyStream`]: the typed handles |
//! | `subscribe` | [`Subscription`]: catch up, then live |
//! | `codec` | JSON, MessagePack, Protobuf, zstd; [`Codec`] for your own |
//! | `schema` | [`Upcaster`], [`FieldMapper`]: old entries in today's shape |
//! | `limits` | every bound, and the checks that all stores share |
//! | `memory` | [`MemoryStore`]: the model that other stores are compared with |
//! | [`conformance`] | the suite that every store passes (feature `conformance`) |
//!
//! # What a store promises
//!
//! 1. **Acknowledged means durable** at the [`Durability`] that the acknowledgement names.
//! 2. **A reader never skips**: ids become visible in order. Once a cursor has passed `n`, no entry with an id
//!    below `n` will appear.
//! 3. **A retry never duplicates**: an append whose dedup keys are known writes nothing and answers with the
//!    ids of the first time.
//! 4. **Bounded**: see [`limits`].
#![forbid(unsafe_code)]

mod append;
mod capability;
mod changes;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entry;
mod error;
pub mod limits;
mod memory;
mod names;
mod read;
mod schema;
mod search;
mod store;
mod stream;
mod subscribe;

pub use append::{Append, Appended, Duplicate, Expect, Origin};
pub use capability::{
    Capabilities, CursorStore, FindBySource, Health, RenameStream, Search, SearchIndex, Subscribe,
    Transaction, Transactions, cursor_is_ahead,
};
pub use changes::{Changes, Watch};
pub use codec::Codec;
pub use entry::{Damaged, Entry};
pub use error::{
    Backend, Conflict, Corrupt, EntryNotFound, InvalidCursor, InvalidStoreName, InvalidText, LimitExceeded,
    Locked, NotSupported, ReadOnly, SourceTaken, StorageFull, StoreClosed, StoreError, StreamExists,
    StreamNotFound,
};
pub use jiff::Timestamp;
pub use memory::MemoryStore;
pub use names::{DEFAULT_STORE_NAME, StoreName};
pub use read::{Filter, Order, Page, Read};
#[cfg(feature = "json")]
pub use schema::{FieldMapper, FieldMapperError};
pub use schema::{UpcastError, Upcaster, UpcasterFn};
pub use search::Query;
pub use store::{AnnotationChanges, Durability, EntryId, Payload, Stat, Store};
pub use stream::{EntryError, ReadOnlyStream, Stream, StreamError, StreamSubscription, TypedEvent};
pub use subscribe::{Event, Follow, Position, Source, Subscription};
