//! The disk refuses a write in the middle: an error that no transaction survives. The store says so, keeps serving
//! what was acknowledged, and opens again with nothing lost or half-written.
//!
//! This program is its own child: the parent starts it through a shell that limits the size of its files.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use ledger_sqlite::SqliteStore;
use ledger_streams::{Append, Expect, Read, Store, StoreError};

const FOLDER: &str = "LEDGER_IO_FAILURE_FOLDER";
const BATCH: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match std::env::var(FOLDER) {
        Ok(folder) => runtime.block_on(append_until_refused(Path::new(&folder))),
        Err(_) => runtime.block_on(limit_a_child_and_look()),
    }
}

fn batch() -> Vec<Append<Bytes>> {
    (0..BATCH).map(|_| Append::new(Bytes::from(vec![b'x'; 4000]))).collect()
}

async fn append_until_refused(folder: &Path) {
    let store = SqliteStore::open(folder.join("limited.db")).build().await.unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match store.append("s", batch(), Expect::Any).await {
            Ok(appended) => acknowledged += appended.len(),
            Err(error) => break error,
        }
    };
    let StoreError::Backend(failure) = &error else { panic!("{error:?}") };
    assert!(failure.outcome_unknown && failure.advice.contains("dedup keys"), "{error}");
    // The store was reopened: it serves, and refuses again without hanging.
    for _ in 0..3 {
        assert_eq!(store.read("s", &Read::new().limit(10_000)).await.unwrap().len(), acknowledged);
        assert!(store.append("s", batch(), Expect::Any).await.is_err());
    }
    println!("{acknowledged}");
}

async fn limit_a_child_and_look() {
    let folder = tempfile::tempdir().unwrap();
    // Half a MiB per file, in the blocks of 512 bytes that `ulimit` counts in; the signal that comes with it ignored.
    let child = Command::new("sh")
        .args(["-c", r#"trap '' XFSZ; ulimit -f 1024; exec "$0""#])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    let acknowledged: u64 = output.trim().parse().unwrap();
    assert!(acknowledged > 0);

    let store = SqliteStore::open(folder.path().join("limited.db")).build().await.unwrap();
    let there = store.count("s").await.unwrap();
    // "Unknown" is the honest word for the refused ones: they may be there, but only as whole batches.
    assert!(there >= acknowledged && there.is_multiple_of(BATCH as u64), "{there} of {acknowledged}");
    store.append("s", batch(), Expect::Any).await.unwrap();
    println!("test a_disk_that_refuses_writes_loses_nothing_acknowledged ({acknowledged} entries) ... ok");
    println!("\n1 passed, 0 failed");
}
