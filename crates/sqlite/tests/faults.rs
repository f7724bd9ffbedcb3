//! What goes wrong around a store: each failure has a typed error, and nothing is lost or half-written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ledger_sqlite::rusqlite::Connection;
use ledger_sqlite::{Access, Database, OpenError, SqliteStore};
use ledger_streams::limits::MAX_PAYLOAD_BYTES;
use ledger_streams::{Append, Durability, Expect, Read, Store, StoreError, Transaction, Transactions};

fn entry(size: usize) -> Append<Bytes> {
    Append::new(Bytes::from(vec![b'x'; size]))
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).busy_timeout(Duration::from_millis(100)).build().await.unwrap()
}

async fn open_error(path: &Path, access: Access) -> OpenError {
    let options = SqliteStore::open(path).access(access).busy_timeout(Duration::from_millis(50));
    options.build().await.err().expect("it must not open")
}

/// Bounds the size of the database as a full disk would.
async fn limit_pages(store: &SqliteStore, pages: u32) {
    let transaction = store.begin().await.unwrap();
    let pragma = format!("PRAGMA max_page_count = {pages}");
    transaction
        .with_connection(move |connection| connection.query_row(&pragma, [], |_| Ok(())))
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn writes_that_wait_for_the_writer_are_counted_until_they_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("queue.db")).await;
    let queued = || store.database().queued_writes();
    let holding = store.begin().await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let store = store.clone();
        waiting
            .push(tokio::spawn(async move { store.append("s", vec![entry(1)], Expect::Any).await.unwrap() }));
        tokio::task::yield_now().await;
    }
    assert_eq!(queued(), 3);
    holding.commit().await.unwrap();
    for append in waiting {
        append.await.unwrap();
    }
    assert_eq!(queued(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_whole_batches_and_what_was_acknowledged_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("full.db")).await;
    limit_pages(&store, 200).await;
    let mut acknowledged = Vec::new();
    let error = loop {
        match store.append("s", vec![entry(3000), entry(3000), entry(3000)], Expect::Any).await {
            Ok(appended) => acknowledged.extend_from_slice(&appended),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::StorageFull(_)), "{error:?}");
    assert!(error.to_string().contains("make room"), "{error}");
    let ids = |page: ledger_streams::Page<i64, Bytes>| page.iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids(store.read("s", &Read::new().limit(1000)).await.unwrap()), acknowledged);

    limit_pages(&store, 100_000).await;
    acknowledged.extend_from_slice(&store.append("s", vec![entry(3000)], Expect::Any).await.unwrap());
    assert_eq!(ids(store.read("s", &Read::new().limit(1000)).await.unwrap()), acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_of_a_group_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("group.db")).await;
    let first = store.append("s", vec![entry(1)], Expect::Any).await.unwrap()[0];
    // While the writer is held, all of these come to wait together.
    let holding = store.begin().await.unwrap();
    let requests: Vec<_> = (0..60)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let (stream, expect) = match number % 3 {
                    0 => ("s", Expect::LastId(first + 1000)),
                    1 => ("t", Expect::Any),
                    _ => ("u", Expect::Any),
                };
                store.append(stream, vec![entry(10), entry(10)], expect).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    holding.rollback().await.unwrap();
    let mut conflicts = 0;
    for request in requests {
        match request.await.unwrap() {
            Ok(appended) => assert_eq!(appended.len(), 2),
            Err(StoreError::Conflict(conflict)) => {
                assert_eq!(conflict.actual_last_id, Some(first.to_string()));
                conflicts += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(conflicts, 20);
    let counts =
        [store.count("s").await.unwrap(), store.count("t").await.unwrap(), store.count("u").await.unwrap()];
    assert_eq!(counts, [1, 40, 40]);
}

#[tokio::test(flavor = "multi_thread")]
async fn synced_is_the_default_and_the_acknowledgement_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (asked, synchronous) in [(None, 2), (Some(Durability::Synced), 2), (Some(Durability::Os), 1)] {
        let options = SqliteStore::open(folder.path().join("level.db"));
        let options = match asked {
            Some(asked) => options.durability(asked),
            None => options,
        };
        let store = options.build().await.unwrap();
        let appended = store.append("s", vec![entry(1)], Expect::Any).await.unwrap();
        assert_eq!(appended.durability, asked.unwrap_or(Durability::Synced));
        let transaction = store.begin().await.unwrap();
        let pragma = |name: &'static str| {
            transaction.with_connection(move |connection| {
                connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            })
        };
        assert_eq!(pragma("synchronous").await.unwrap(), synchronous);
    }
    for asked in [Durability::Memory, Durability::Replicated] {
        let refused = SqliteStore::open(folder.path().join("level.db")).durability(asked).build().await.err();
        assert!(matches!(refused, Some(OpenError::UnsupportedDurability { .. })), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_locked_by_another_program_is_named_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locked.db");
    let store = open(&path).await;
    store.append("s", vec![entry(1)], Expect::Any).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.append("s", vec![entry(1)], Expect::Any).await.unwrap_err();
    let StoreError::Locked(locked) = &error else { panic!("{error:?}") };
    assert_eq!((locked.database.as_str(), locked.waited_ms), (path.to_str().unwrap(), 100));
    assert!(matches!(store.begin().await.err(), Some(StoreError::Locked(_))));
    assert_eq!(store.count("s").await.unwrap(), 1);
    other.execute_batch("COMMIT").unwrap();
    store.append("s", vec![entry(1)], Expect::Any).await.unwrap();
    assert_eq!(store.count("s").await.unwrap(), 2);
}

#[tokio::test]
async fn a_database_held_exclusively_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exclusive.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = exclusive; CREATE TABLE t (x); BEGIN EXCLUSIVE").unwrap();
    for access in [Access::Create, Access::ReadOnly] {
        let error = open_error(&path, access).await;
        assert!(matches!(error, OpenError::Store(StoreError::Locked(_))), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "these are my notes\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    for access in [Access::Create, Access::Existing, Access::ReadOnly] {
        let error = open_error(&path, access).await;
        assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE ledger_entries (id, text)").unwrap();
    let error = open_error(&path, Access::Create).await;
    let OpenError::ForeignTable { missing, .. } = &error else { panic!("{error:?}") };
    assert!(missing.contains(&"payload".to_owned()) && !missing.contains(&"id".to_owned()), "{error}");
    let tables = "SELECT count(*) FROM sqlite_master";
    assert_eq!(
        Connection::open(&path).unwrap().query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap(),
        1
    );
}

#[tokio::test]
async fn damaged_pages_are_named_and_what_is_intact_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.db");
    let store = open(&path).await;
    for _ in 0..20 {
        store.append("s", (0..50).map(|_| entry(1000)).collect(), Expect::Any).await.unwrap();
    }
    store.database().close().await;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().len();
    file.write_all_at(&[0xAA; 40 * 4096], size - 60 * 4096).unwrap();

    let store = open(&path).await;
    let mut intact = store.read("s", &Read::new().limit(50)).await.unwrap();
    assert_eq!(intact.entries.len(), 50, "the beginning is not damaged");
    let error = loop {
        match store.read("s", &Read::new().after(intact.next.unwrap()).limit(50)).await {
            Ok(page) => intact = page,
            Err(error) => break error,
        }
    };
    let StoreError::Corrupt(corrupt) = &error else { panic!("{error:?}") };
    assert_eq!(corrupt.database, path.to_str().unwrap());
    assert!(error.to_string().contains("export"), "{error}");
    assert_eq!(store.read("s", &Read::new().limit(50)).await.unwrap().len(), 50, "and is still served");
}

#[tokio::test]
async fn places_that_cannot_be_written_to_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let missing_folder = folder.path().join("no/such/folder/a.db");
    for path in
        [missing_folder.as_path(), &folder.path().join("file/a.db"), Path::new("/proc/a.db"), folder.path()]
    {
        let error = open_error(path, Access::Create).await;
        assert!(matches!(error, OpenError::CannotOpen { .. }), "{path:?}: {error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn reading_creates_neither_files_nor_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    for access in [Access::ReadOnly, Access::Existing] {
        assert!(matches!(open_error(&path, access).await, OpenError::FileMissing { .. }));
    }
    assert!(!path.exists());
    let orders = SqliteStore::open(&path).table("orders").build().await.unwrap();
    orders.append("s", vec![entry(1)], Expect::Any).await.unwrap();
    for access in [Access::ReadOnly, Access::Existing] {
        let error = open_error(&path, access).await;
        let OpenError::StoreMissing { existing, .. } = &error else { panic!("{error:?}") };
        assert_eq!(existing, &["orders"], "{error}");
    }
    let database = Database::open(&path).access(Access::ReadOnly).connect().await.unwrap();
    assert_eq!(database.stores().await.unwrap(), ["orders"]);
    let reader = database.store("orders").open().await.unwrap();
    assert_eq!(reader.count("s").await.unwrap(), 1);
    assert!(matches!(reader.append("s", vec![entry(1)], Expect::Any).await, Err(StoreError::ReadOnly(_))));
    assert!(matches!(reader.trim("s", &1).await, Err(StoreError::ReadOnly(_))));
    assert!(matches!(reader.begin().await.err(), Some(StoreError::ReadOnly(_))));
}

#[tokio::test]
async fn the_largest_payload_fits_and_a_larger_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("large.db")).await;
    let payload = Bytes::from(vec![7_u8; MAX_PAYLOAD_BYTES]);
    store.append("s", vec![Append::new(payload.clone())], Expect::Any).await.unwrap();
    assert!(store.read("s", &Read::new()).await.unwrap()[0].payload == payload);
    let error =
        store.append("s", vec![entry(1), entry(MAX_PAYLOAD_BYTES + 1)], Expect::Any).await.unwrap_err();
    let StoreError::LimitExceeded(exceeded) = &error else { panic!("{error:?}") };
    assert_eq!((exceeded.limit, exceeded.actual), (MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1));
    assert_eq!(store.count("s").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_was_begun_and_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("closed.db");
    let store = open(&path).await;
    let appends: Vec<_> = (0..100)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.append("s", vec![entry(100)], Expect::Any).await.is_ok() })
        })
        .collect();
    tokio::task::yield_now().await;
    store.database().close().await;
    let mut acknowledged = 0;
    for append in appends {
        acknowledged += u64::from(append.await.unwrap());
    }
    assert!(matches!(store.append("s", vec![entry(1)], Expect::Any).await, Err(StoreError::Closed(_))));
    assert!(matches!(store.count("s").await, Err(StoreError::Closed(_))));
    assert!(!folder.path().join("closed.db-wal").exists(), "the log is written back");
    assert_eq!(open(&path).await.count("s").await.unwrap(), acknowledged);
}
