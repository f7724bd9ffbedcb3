//! Typed streams on the in-memory store: specification §3.1, §3.3 and §11.3.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // outside of `#[test]` functions too

mod append_and_read;
mod codecs;
mod handles;
mod schema_versions;
mod undecodable;

use bytes::Bytes;
use ledger_streams::{Append, Expect, MemoryStore, Store, Stream};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Debug, PartialEq)]
struct Order {
    id: String,
    amount: f64,
}

fn order(number: u32) -> Order {
    Order { id: format!("o-{number}"), amount: f64::from(number) + 0.5 }
}

fn orders(numbers: impl IntoIterator<Item = u32>) -> Vec<Append<Order>> {
    numbers.into_iter().map(|number| Append::new(order(number))).collect()
}

fn memory() -> MemoryStore {
    MemoryStore::new("orders").unwrap()
}

fn order_stream(store: &MemoryStore) -> Stream<Order, &MemoryStore> {
    Stream::json(store, "user-123")
}

/// Appends payloads as they are; answers their ids.
async fn append_raw(store: &MemoryStore, stream: &str, version: i64, payloads: &[&str]) -> Vec<i64> {
    let append = |payload: &&str| Append::new(Bytes::from((*payload).to_owned())).schema_version(version);
    store.append(stream, payloads.iter().map(append).collect(), Expect::Any).await.unwrap().ids
}
