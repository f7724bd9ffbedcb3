//! Append sessions against a daemon of this test.

mod common;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use common::{Daemon, Service};
use ledger_streams::limits::MAX_KEY_BYTES;
use ledger_streams::{Append, Expect, MemoryStore, Read, Store, StoreError};

fn entry(text: &str) -> Vec<Append<Bytes>> {
    vec![Append::new(Bytes::copy_from_slice(text.as_bytes()))]
}

#[tokio::test]
async fn appends_stand_in_the_order_they_were_sent() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    // More than may be under way at a time, so that the sender has to wait for room.
    let mut pending = Vec::new();
    for n in 0..3000 {
        pending.push(session.append("s", entry(&n.to_string()), Expect::Any).await.unwrap());
    }
    let mut ids = Vec::new();
    for acknowledgement in pending {
        ids.extend(acknowledgement.await.unwrap().ids);
    }
    session.finish().await;
    let page = daemon.store.read("s", &Read::new().limit(5000)).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
    let expected: Vec<_> = (0..3000).map(|n| n.to_string()).collect();
    assert_eq!(
        page.iter().map(|entry| String::from_utf8_lossy(&entry.payload)).collect::<Vec<_>>(),
        expected
    );
}

#[tokio::test]
async fn acknowledgements_come_in_order() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    let mut pending = Vec::new();
    for n in 0..100 {
        pending.push(session.append("s", entry(&n.to_string()), Expect::Any).await.unwrap());
    }
    let last = pending.pop().unwrap();
    last.await.unwrap();
    for earlier in pending {
        let answer = futures_util::FutureExt::now_or_never(earlier);
        assert!(answer.expect("acknowledged before the last").is_ok());
    }
}

#[tokio::test]
async fn an_append_that_fails_does_not_keep_back_those_behind_it() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    let first = session.append("s", entry("1"), Expect::Empty).await.unwrap();
    let second = session.append("s", entry("2"), Expect::Empty).await.unwrap();
    let third = session.append("s", entry("3"), Expect::LastId(1)).await.unwrap();
    assert_eq!(first.await.unwrap().ids, [1]);
    match second.await {
        Err(StoreError::Conflict(facts)) => assert_eq!(facts.actual_last_id.as_deref(), Some("1")),
        other => panic!("{other:?}"),
    }
    assert_eq!(third.await.unwrap().ids, [2]);
}

#[tokio::test]
async fn a_batch_out_of_bounds_is_refused_at_once() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    let entry = Append::new(Bytes::new()).dedup_key("k".repeat(MAX_KEY_BYTES + 1));
    let refused = session.append("s", vec![entry], Expect::Any).await;
    assert!(matches!(refused, Err(StoreError::LimitExceeded(_))));
}

#[tokio::test]
async fn appends_larger_than_the_room_go_alone() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    for _ in 0..3 {
        let huge = vec![Append::new(Bytes::from(vec![0; 20 << 20]))];
        drop(session.append("s", huge, Expect::Any).await.unwrap());
    }
    session.finish().await;
    assert_eq!(daemon.store.count("s").await.unwrap(), 3);
}

#[tokio::test]
async fn a_session_that_breaks_says_that_the_outcome_is_unknown() {
    let service = Service::new(MemoryStore::new("orders").unwrap());
    let lose = service.lost_answers.clone();
    let daemon = Daemon::serve(service, "127.0.0.1:0").await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    lose.store(1, Ordering::SeqCst);
    let lost = session.append("s", entry("1"), Expect::Any).await.unwrap();
    match lost.await {
        Err(StoreError::Backend(facts)) => assert!(facts.outcome_unknown, "{facts}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(daemon.store.count("s").await.unwrap(), 1, "it was carried out indeed");
    // Later appends fail too: at once, or when they would be sent.
    let later = match session.append("s", entry("2"), Expect::Any).await {
        Ok(pending) => pending.await.map(drop),
        Err(error) => Err(error),
    };
    assert!(matches!(later, Err(StoreError::Backend(_))), "{later:?}");

    let session = client.append_session().await.unwrap();
    assert!(session.append("s", entry("3"), Expect::Any).await.unwrap().await.is_ok());
}

#[tokio::test]
async fn a_killed_daemon_leaves_no_append_without_an_answer() {
    let daemon = Daemon::start().await;
    let store = daemon.store.clone();
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    let sending = tokio::spawn(async move {
        let mut pending = Vec::new();
        for n in 0.. {
            match session.append("s", entry(&n.to_string()), Expect::Any).await {
                Ok(append) => pending.push(append),
                Err(_) => break,
            }
        }
        pending
    });
    while store.count("s").await.unwrap() < 100 {
        tokio::task::yield_now().await;
    }
    daemon.kill().await;
    let mut acknowledged = 0;
    let mut unknown = 0;
    let mut broken = false;
    for append in sending.await.unwrap() {
        match append.await {
            Ok(answer) => {
                assert!(!broken, "acknowledgements come in order");
                acknowledged += answer.ids.len() as u64;
            }
            Err(StoreError::Backend(facts)) => {
                broken = true;
                unknown += u64::from(facts.outcome_unknown);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let written = store.count("s").await.unwrap();
    assert!(acknowledged <= written, "what was acknowledged is there");
    assert!(written <= acknowledged + unknown, "what was not acknowledged was said to be uncertain");
    assert!(unknown > 0, "some were under way");
}

#[tokio::test]
async fn closing_the_client_waits_for_appends_under_way() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let session = client.append_session().await.unwrap();
    for n in 0..500 {
        drop(session.append("s", entry(&n.to_string()), Expect::Any).await.unwrap());
    }
    client.close().await.unwrap();
    assert_eq!(daemon.store.count("s").await.unwrap(), 500);
    assert!(matches!(session.append("s", entry("x"), Expect::Any).await, Err(StoreError::Closed(_))));
}
