//! What the daemon runs out of: room on the disk, file descriptors.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use bytes::Bytes;
use ledger_api::Client;
use ledger_streams::{Append, Expect, Read, Store, StoreError};

use crate::disk::SmallDisk;
use crate::home::Home;

fn entry(bytes: usize) -> Append<Bytes> {
    Append::new(Bytes::from(vec![b'x'; bytes]))
}

async fn ids(store: &Client<i64>) -> Vec<i64> {
    store.read("s", &Read::new().limit(10_000)).await.unwrap().iter().map(|entry| entry.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_appends_serves_reads_and_is_over_when_there_is_room() {
    let disk = SmallDisk::new("16m");
    // Database, log and everything else of the daemon are on it.
    let home = Home::on(disk.path());
    home.start();
    let address = home.address();
    let store = Client::<i64>::at(&address).store("orders").connect().await.unwrap();
    let mut acknowledged = store.append("s", vec![entry(10)], Expect::Any).await.unwrap().ids;
    let filler = disk.path().join("filler");
    let available = rustix::fs::statvfs(disk.path()).unwrap();
    let leave = 2 << 20;
    let bytes = usize::try_from(available.f_bavail * available.f_frsize).unwrap() - leave;
    std::fs::write(&filler, vec![0; bytes]).unwrap();
    for _ in 0..2 {
        let error = loop {
            match store.append("s", vec![entry(50_000), entry(50_000)], Expect::Any).await {
                Ok(appended) => acknowledged.extend(appended.ids),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::StorageFull(_)), "{error:?}");
    }
    assert_eq!(ids(&store).await, acknowledged, "reads go on, and nothing is there that was refused");
    assert!(home.ok(&["status"]).contains("is running"));
    std::fs::remove_file(&filler).unwrap();
    acknowledged.extend(store.append("s", vec![entry(50_000)], Expect::Any).await.unwrap().ids);
    assert_eq!(ids(&store).await, acknowledged);
    home.ok(&["stop"]);
    home.start();
    let store = Client::<i64>::at(home.address()).store("orders").connect().await.unwrap();
    assert_eq!(ids(&store).await, acknowledged, "after a restart too");
}

#[test]
fn a_daemon_without_descriptors_left_serves_again_when_there_are_some() {
    let home = Home::new();
    let mut daemon = Command::new("sh")
        .args(["-c", "ulimit -n 48; exec \"$0\" start --foreground", env!("CARGO_BIN_EXE_ledger")])
        .env_clear()
        .env("HOME", home.folder())
        .env("PATH", "/usr/bin:/bin")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("ledger daemon listening")));
    let address = home.address();
    let greedy: Vec<_> = (0..64).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert!(log.any(|line| line.contains("no connection can be accepted for now")));
    drop(greedy);
    // The command line tries again for a while by itself.
    assert_eq!(home.ok(&["stream", "append", "a", "--addr", &address]), "1\n");
    home.ok(&["stop"]);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn a_copy_made_by_sqlite_of_a_database_in_use_is_whole() {
    let home = Home::new();
    home.start();
    let address = home.address();
    let lines: String = (0..2000).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let file = home.path("lines.jsonl");
    std::fs::write(&file, lines).unwrap();
    home.ok(&["stream", "append", "--addr", &address, "--json", "--input", file.to_str().unwrap()]);
    let copy = home.path("copy.db");
    let copy = copy.to_str().unwrap();
    let database = rusqlite::Connection::open(home.path("ledger.db")).unwrap();
    database.execute("VACUUM INTO ?1", [copy]).unwrap();
    assert_eq!(home.ok(&["stream", "count", "--db", copy]), "2000\n");
    // The daemon has not noticed.
    assert_eq!(home.ok(&["stream", "append", "--addr", &address, "one more"]), "2001\n");
}
