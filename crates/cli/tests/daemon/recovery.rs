//! Clients of the library that go on by themselves while the daemon is killed again and again.
//!
//! `LEDGER_KILL_ROUNDS` sets how often (50 without it).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ledger_api::Client;
use ledger_streams::{Append, Event, Expect, Position, Read, Store, Subscribe};

use crate::home::Home;

/// Clients that append at the same time.
const CLIENTS: usize = 8;
/// Acknowledgements between two kills.
const ACKNOWLEDGED_BEFORE_KILL: usize = 100;
/// Longer than any restart of the daemon takes.
const RETRY_FOR: Duration = Duration::from_secs(120);

/// An address that the daemon can have again after every kill: connections of other programs do not begin there.
fn address() -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{}.{}.{low}:7350", 64 | (high >> 6), 1 | (high & 0x3f))
}

async fn connect(address: &str) -> Client<i64> {
    let builder = Client::<i64>::at(address).store("orders").retry_for(RETRY_FOR);
    builder.connect().await.unwrap()
}

/// Appends until told to stop; answers which entry has which text. It knows nothing of kills.
async fn append_until(
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    address: String,
    client: usize,
) -> BTreeMap<i64, String> {
    let store = connect(&address).await;
    let mut entries = BTreeMap::new();
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{client}-{number}");
        let entry = Append::new(Bytes::from(text.clone())).dedup_key(text.clone());
        let answer = store.append("s", vec![entry], Expect::Any).await.unwrap();
        // If the daemon was killed between the commit and its answer, the client has tried again and was told so.
        let id = answer.ids.first().copied().unwrap_or_else(|| answer.duplicates.first().unwrap().id);
        assert!(entries.insert(id, text).is_none(), "an id was given twice");
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    entries
}

/// Follows the stream until this many entries have come.
async fn follow(address: String, expected: tokio::sync::oneshot::Receiver<usize>) -> Vec<(i64, String)> {
    let store = connect(&address).await;
    let mut live = store.subscribe("s", Position::Start).await.unwrap();
    let mut expected = std::pin::pin!(expected);
    let (mut seen, mut enough) = (Vec::new(), None);
    while enough != Some(seen.len()) {
        tokio::select! {
            event = live.next() => {
                if let Event::Entry(entry) = event.unwrap().unwrap() {
                    seen.push((entry.id, String::from_utf8(entry.payload.to_vec()).unwrap()));
                }
            }
            expected = &mut expected, if enough.is_none() => enough = Some(expected.unwrap()),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_subscribers_go_on_by_themselves_while_the_daemon_is_killed_under_load() {
    let rounds: usize = std::env::var("LEDGER_KILL_ROUNDS").map_or(50, |rounds| rounds.parse().unwrap());
    let home = Home::new();
    let address = address();
    std::fs::write(home.path("config.yaml"), format!("listen: {address}\n")).unwrap();
    let mut pid = home.start();
    let (is_over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            tokio::spawn(append_until(is_over.clone(), acknowledged.clone(), address.clone(), client))
        })
        .collect();
    let (expect, expected) = tokio::sync::oneshot::channel();
    let follower = tokio::spawn(follow(address.clone(), expected));
    for round in 1..=rounds {
        while acknowledged.load(Ordering::Relaxed) < round * ACKNOWLEDGED_BEFORE_KILL {
            assert!(clients.iter().all(|client| !client.is_finished()), "a client gave up in round {round}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        crate::kill::kill(pid);
        pid = home.start();
    }
    is_over.store(true, Ordering::Relaxed);
    let mut sent = BTreeMap::new();
    for client in clients {
        sent.append(&mut client.await.unwrap());
    }
    assert!(sent.len() >= rounds * ACKNOWLEDGED_BEFORE_KILL);

    let store = connect(&address).await;
    let (mut stored, mut after) = (Vec::new(), None);
    loop {
        let page = store.read("s", &Read { after, ..Read::new().limit(10_000) }).await.unwrap();
        stored
            .extend(page.iter().map(|entry| (entry.id, String::from_utf8(entry.payload.to_vec()).unwrap())));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    // Every client has an answer for everything that it sent, so exactly that is there.
    let texts: BTreeSet<_> = stored.iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), stored.len(), "none twice");
    assert_eq!(stored, sent.into_iter().collect::<Vec<_>>(), "everything that was acknowledged, in order");
    expect.send(stored.len()).unwrap();
    let seen = tokio::time::timeout(RETRY_FOR, follower).await.unwrap().unwrap();
    assert_eq!(seen, stored, "a subscriber has met every entry once and in order");
}
