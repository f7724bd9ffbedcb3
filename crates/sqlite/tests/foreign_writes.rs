//! Writes by others than the store itself are noticed by its subscribers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use ledger_sqlite::rusqlite::Connection;
use ledger_sqlite::{Access, Database, SqliteStore, StreamNames};
use ledger_streams::{Append, Expect, Position, Store, Subscribe, Subscription};

/// Only a guard against hanging for ever.
const HANG: Duration = Duration::from_secs(30);
/// Long enough for a subscriber to have read everything and to wait for its bell.
const SETTLE: Duration = Duration::from_millis(30);

/// Lets the subscriber wait, then writes, then answers what the subscriber got.
async fn next_after(live: &mut Subscription<i64, Bytes>, write: impl AsyncFnOnce()) -> String {
    let mut waiting = pin!(live.next_entry());
    assert!(tokio::time::timeout(SETTLE, &mut waiting).await.is_err(), "there was something to read already");
    write().await;
    let entry = tokio::time::timeout(HANG, waiting).await.expect("hangs").unwrap().unwrap();
    String::from_utf8(entry.payload.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_of_writes_by_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    let store = SqliteStore::open(&path).build().await.unwrap();
    let mut live = store.subscribe("s", Position::Start).await.unwrap();
    let other = Connection::open(&path).unwrap();
    for number in 0..20 {
        let text = format!("{number}");
        let write = async || {
            let insert = "INSERT INTO ledger_entries (stream, payload) VALUES ('s', ?1)";
            other.execute(insert, [&text]).unwrap();
        };
        assert_eq!(next_after(&mut live, write).await, text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_cannot_write_hears_of_writes_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    let writer = SqliteStore::open(&path).build().await.unwrap();
    let reader = SqliteStore::open(&path).access(Access::ReadOnly).build().await.unwrap();
    let mut live = reader.subscribe("s", Position::Now).await.unwrap();
    for number in 0..20 {
        let text = format!("{number}");
        let write = async || {
            writer.append("s", vec![Append::new(text.clone().into())], Expect::Any).await.unwrap();
        };
        assert_eq!(next_after(&mut live, write).await, text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_one_database_wake_each_other_whatever_their_names_mean() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("two.db")).connect().await.unwrap();
    let mapped = database.store("orders").stream_names(StreamNames::Mapped).open().await.unwrap();
    mapped.append("a", vec![Append::new("first".into())], Expect::Any).await.unwrap();
    let direct = database.store("orders").open().await.unwrap();
    let internal_id = direct.list_streams(None, 1).await.unwrap().remove(0);
    let mut live = direct.subscribe(&internal_id, Position::Now).await.unwrap();
    let write = async || {
        mapped.append("a", vec![Append::new("second".into())], Expect::Any).await.unwrap();
    };
    assert_eq!(next_after(&mut live, write).await, "second");
}
