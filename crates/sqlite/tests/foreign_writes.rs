//! Writes by others than the store itself are noticed by its subscribers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::time::Duration;

use ledger_sqlite::rusqlite::Connection;
use ledger_sqlite::{Access, Database, SqliteStore, StreamNames};
use ledger_streams::{Append, Event, Expect, Position, Store, Subscribe, Subscription};

/// Only a guard against hanging for ever.
const HANG: Duration = Duration::from_secs(30);

async fn next(live: &mut Subscription<i64, bytes::Bytes>) -> String {
    let entry = tokio::time::timeout(HANG, live.next_entry()).await.expect("hangs").unwrap().unwrap();
    String::from_utf8(entry.payload.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_of_writes_by_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    let store = SqliteStore::open(&path).build().await.unwrap();
    let mut live = store.subscribe("s", Position::Start).await.unwrap();
    assert_eq!(live.next().await.unwrap(), Some(Event::CaughtUp));
    let other = Connection::open(&path).unwrap();
    for number in 0..20 {
        other
            .execute("INSERT INTO ledger_entries (stream, payload) VALUES ('s', ?1)", [format!("{number}")])
            .unwrap();
        assert_eq!(next(&mut live).await, format!("{number}"));
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
        writer.append("s", vec![Append::new(format!("{number}").into())], Expect::Any).await.unwrap();
        assert_eq!(next(&mut live).await, format!("{number}"));
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
    mapped.append("a", vec![Append::new("second".into())], Expect::Any).await.unwrap();
    assert_eq!(next(&mut live).await, "second");
}
