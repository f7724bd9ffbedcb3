//! A store is used from other runtimes than the one that it was opened in.
#![allow(clippy::unwrap_used, reason = "tests")]

use ledger_sqlite::SqliteStore;
use ledger_streams::{Append, Expect, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// As many as are answered together.
const CALLERS: usize = 200;

async fn open(folder: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(folder.path().join("a.db")).build().await.unwrap()
}

async fn append_at_once(store: &SqliteStore) {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let store = store.clone();
        callers.spawn(async move { store.append("s", vec![Append::new("x".into())], Expect::Any).await });
    }
    for appended in callers.join_all().await {
        appended.unwrap();
    }
}

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

#[test]
fn callers_are_answered_although_the_runtime_that_opened_the_store_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let first = threads();
    let store = first.block_on(open(&folder));
    first.block_on(append_at_once(&store));
    drop(first);
    let second = threads();
    second.block_on(append_at_once(&store));
    second.block_on(store.database().close());
}

#[test]
fn callers_are_answered_although_nobody_runs_the_runtime_that_opened_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let first = Builder::new_current_thread().build().unwrap();
    let store = first.block_on(open(&folder));
    let second = threads();
    second.block_on(append_at_once(&store));
    second.block_on(store.database().close());
}
