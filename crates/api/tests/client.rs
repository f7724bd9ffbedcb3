//! The client against a daemon of this test: what it does beyond passing the conformance suite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "it is test code")]

mod common;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::{Daemon, Service};
use ledger_api::{Client, ClientError};
use ledger_streams::{
    Append, Event, Expect, MemoryStore, Origin, Position, Read, Store, StoreError, Stream, Timestamp,
};

fn entry(text: &str) -> Append<Bytes> {
    Append::new(Bytes::copy_from_slice(text.as_bytes()))
}

fn backend(error: StoreError) -> ledger_streams::Backend {
    match error {
        StoreError::Backend(facts) => facts,
        other => panic!("expected a failure of the daemon, got {other:?}"),
    }
}

/// The address of a daemon that is no longer there.
async fn dead_address() -> String {
    let daemon = Daemon::start().await;
    let address = daemon.address.to_string();
    daemon.kill().await;
    address
}

#[tokio::test]
async fn a_program_moves_from_embedded_to_served_by_changing_one_line() {
    async fn program(store: impl Store<Id = i64, Payload = Bytes> + Clone + 'static) -> Vec<String> {
        let names = Stream::<String, _>::json(&store, "names");
        let ids =
            names.append([Append::new("Ada".to_owned()), Append::new("Grace".to_owned())]).await.unwrap();
        let page = names.read(Read::new().after(ids[0])).await.unwrap();
        page.into_iter().map(|entry| entry.payload).collect()
    }
    let daemon = Daemon::start().await;
    let embedded = program(MemoryStore::new("orders").unwrap()).await;
    let served = program(daemon.client::<i64>().connect().await.unwrap()).await;
    assert_eq!(embedded, served);
    assert_eq!(served, ["Grace"]);
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address_and_what_to_do() {
    let address = dead_address().await;
    let error = Client::<i64>::at(&address).connect().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }));
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("refused") && text.contains("`ledger start`"), "{text}");

    let lazy = Client::<i64>::at(&address).retry_for(Duration::ZERO).lazy().unwrap();
    let failure = backend(lazy.append("s", vec![entry("x")], Expect::Any).await.unwrap_err());
    assert!(!failure.outcome_unknown, "it was never sent");
    let text = failure.to_string();
    assert!(text.contains(&address) && text.contains("refused") && text.contains("`ledger start`"), "{text}");
}

#[tokio::test]
async fn wrong_settings_are_named() {
    for address in ["localhost", "http://", "no address:50051", ""] {
        let error = Client::<i64>::at(address).lazy().unwrap_err();
        assert!(matches!(error, ClientError::InvalidAddress { .. }), "{address}: {error:?}");
    }
    let error = Client::<i64>::at("localhost:1").store("1st").lazy().unwrap_err();
    assert!(matches!(error, ClientError::InvalidStoreName(_)), "{error:?}");
    let error = Client::<i64>::at("localhost:1").api_key("line\nbreak").lazy().unwrap_err();
    assert!(matches!(error, ClientError::InvalidApiKey), "{error:?}");
    assert!(!error.to_string().contains("break"), "the key is not told");
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn a_program_without_tls_says_so() {
    let error = Client::<i64>::at("https://localhost:1").lazy().unwrap_err();
    assert!(matches!(error, ClientError::TlsMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn the_api_key_is_sent_and_never_shown() {
    let service = Service { api_key: Some("hunter2"), ..Service::new(MemoryStore::new("orders").unwrap()) };
    let daemon = Daemon::serve(service, "127.0.0.1:0").await;
    let client = daemon.client::<i64>().api_key("hunter2").connect().await.unwrap();
    client.append("s", vec![entry("x")], Expect::Any).await.unwrap();
    assert!(!format!("{client:?}").contains("hunter2"));

    let stranger = daemon.client::<i64>().connect().await.unwrap();
    let failure = backend(stranger.append("s", vec![entry("x")], Expect::Any).await.unwrap_err());
    assert!(!failure.outcome_unknown);
    assert!(failure.to_string().contains("invalid api key"), "{failure}");
}

#[tokio::test]
async fn pages_that_the_daemon_cuts_are_continued() {
    let service = Service { max_message_bytes: 10_000, ..Service::new(MemoryStore::new("orders").unwrap()) };
    let daemon = Daemon::serve(service, "127.0.0.1:0").await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let batch = (0..50).map(|_| Append::new(Bytes::from(vec![b'x'; 1500]))).collect();
    let ids = client.append("s", batch, Expect::Any).await.unwrap().ids;
    let page = client.read("s", &Read::new()).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
    assert!(!page.more);

    let page = client.read("s", &Read::new().limit(30)).await.unwrap();
    assert_eq!((page.len(), page.more, page.next), (30, true, Some(ids[29])));
    let page = client.read("s", &Read::new().max_bytes(20 * 1500)).await.unwrap();
    assert_eq!((page.len(), page.more, page.next), (20, true, Some(ids[19])));
    let page = client.read("s", &Read::new().descending().after(ids[40])).await.unwrap();
    assert_eq!((page.len(), page.next), (40, Some(ids[0])));
    let search = client.capabilities().search.unwrap();
    assert_eq!(search.search(None, "xxx", &Read::new()).await.unwrap().len(), 50);
}

#[tokio::test]
async fn lists_that_the_daemon_cuts_are_continued() {
    let service = Service { max_streams: 3, ..Service::new(MemoryStore::new("orders").unwrap()) };
    let daemon = Daemon::serve(service, "127.0.0.1:0").await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let names: Vec<String> = ["", "a", "b", "c", "d", "e", "f"].map(str::to_owned).into();
    for name in &names {
        client.append(name, vec![entry("x")], Expect::Any).await.unwrap();
    }
    assert_eq!(client.list_streams(None, 100).await.unwrap(), names);
    assert_eq!(client.list_streams(None, 5).await.unwrap(), names[..5]);
    for limit in 1..7 {
        let expected = &names[1..(1 + limit).min(7)];
        assert_eq!(client.list_streams(Some(""), limit).await.unwrap(), expected, "{limit}");
    }
    assert_eq!(client.list_streams(Some("d"), 100).await.unwrap(), ["e", "f"]);
}

#[tokio::test]
async fn what_is_harmless_is_tried_again_and_what_is_not_says_so() {
    let service = Service::new(MemoryStore::new("orders").unwrap());
    let lose = service.lost_answers.clone();
    let daemon = Daemon::serve(service, "127.0.0.1:0").await;
    let client = daemon.client::<i64>().connect().await.unwrap();

    lose.store(1, Ordering::SeqCst);
    let keyed = vec![entry("1").dedup_key("k1"), entry("2").dedup_key("k2")];
    let appended = client.append("s", keyed, Expect::Any).await.unwrap();
    assert_eq!((appended.ids.len(), appended.duplicates.len()), (0, 2), "the first try had written them");

    lose.store(1, Ordering::SeqCst);
    let mixed = vec![entry("3").dedup_key("k3"), entry("4")];
    let failure = backend(client.append("s", mixed, Expect::Any).await.unwrap_err());
    assert!(failure.outcome_unknown, "{failure}");
    assert_eq!(daemon.store.count("s").await.unwrap(), 4, "nothing was written twice");

    for call in ["read", "count", "list"] {
        lose.store(1, Ordering::SeqCst);
        match call {
            "read" => assert_eq!(client.read("s", &Read::new()).await.unwrap().len(), 4),
            "count" => assert_eq!(client.count("s").await.unwrap(), 4),
            _ => assert_eq!(client.list_streams(None, 1).await.unwrap(), ["s"]),
        }
        assert_eq!(lose.load(Ordering::SeqCst), 0, "{call}");
    }
    lose.store(1, Ordering::SeqCst);
    assert!(backend(client.trim("s", &1).await.unwrap_err()).outcome_unknown);
}

#[tokio::test]
async fn operations_outlive_a_restart_of_the_daemon() {
    let daemon = Daemon::start().await;
    let (address, store) = (daemon.address.to_string(), daemon.store.clone());
    let client = daemon.client::<i64>().retry_for(Duration::from_secs(60)).connect().await.unwrap();
    client.append("s", vec![entry("before")], Expect::Any).await.unwrap();
    daemon.kill().await;

    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.count("s").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!reading.is_finished(), "it waits for the daemon");
    let _daemon = Daemon::serve(Service::new(store), &address).await;
    assert_eq!(reading.await.unwrap().unwrap(), 1);
    client.append("s", vec![entry("after")], Expect::Any).await.unwrap();
}

#[tokio::test]
async fn a_subscription_outlives_restarts_without_loss_or_repeat() {
    let first = Daemon::start().await;
    let (address, store) = (first.address.to_string(), first.store.clone());
    let client = first.client::<i64>().connect().await.unwrap();
    let mut daemon = Some(first);
    let subscribe = client.capabilities().subscribe.unwrap();
    let mut subscription = subscribe.subscribe("s", Position::Start).await.unwrap();
    assert_eq!(subscription.next().await.unwrap(), Some(Event::CaughtUp));

    for round in 0..5 {
        let mut ids = Vec::new();
        for text in ["before", "while away", "after"] {
            if text == "while away" {
                daemon.take().unwrap().kill().await;
            }
            if text == "after" {
                daemon = Some(Daemon::serve(Service::new(store.clone()), &address).await);
            }
            let entry = entry(&format!("{round} {text}"));
            ids.extend(store.append("s", vec![entry], Expect::Any).await.unwrap().ids);
        }
        for id in ids {
            match subscription.next().await.unwrap() {
                Some(Event::Entry(entry)) => assert_eq!(entry.id, id),
                other => panic!("it had caught up and is told nothing twice: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_subscription_from_now_begins_where_it_was_made() {
    let daemon = Daemon::start().await;
    let (address, store) = (daemon.address.to_string(), daemon.store.clone());
    let client = daemon.client::<i64>().connect().await.unwrap();
    store.append("s", vec![entry("old")], Expect::Any).await.unwrap();
    let subscribe = client.capabilities().subscribe.unwrap();
    let mut subscription = subscribe.subscribe("s", Position::Now).await.unwrap();
    daemon.kill().await;
    let id = store.append("s", vec![entry("new")], Expect::Any).await.unwrap()[0];
    let _daemon = Daemon::serve(Service::new(store), &address).await;
    assert_eq!(subscription.next_entry().await.unwrap().unwrap().id, id);
}

#[tokio::test]
async fn an_impatient_consumer_loses_nothing() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let subscribe = client.capabilities().subscribe.unwrap();
    let mut subscription = subscribe.subscribe("s", Position::Start).await.unwrap();
    let batch = (0..2000).map(|n| entry(&n.to_string())).collect();
    let ids = daemon.store.append("s", batch, Expect::Any).await.unwrap().ids;
    let mut seen = Vec::new();
    while seen.len() < ids.len() {
        tokio::select! {
            biased;
            event = subscription.next() => if let Some(Event::Entry(entry)) = event.unwrap() {
                seen.push(entry.id);
            },
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn subscriptions_that_nobody_reads_do_not_hold_up_other_calls() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let megabyte = Bytes::from(vec![b'x'; 1 << 20]);
    let batch = (0..8).map(|_| Append::new(megabyte.clone())).collect();
    client.append("s", batch, Expect::Any).await.unwrap();
    let subscribe = client.capabilities().subscribe.unwrap();
    let mut unread = Vec::new();
    for _ in 0..50 {
        unread.push(subscribe.subscribe("s", Position::Start).await.unwrap());
        assert_eq!(client.count("s").await.unwrap(), 8);
    }
    assert_eq!(client.read("s", &Read::new()).await.unwrap().len(), 8);
    for mut subscription in unread {
        for _ in 0..8 {
            assert_eq!(subscription.next_entry().await.unwrap().unwrap().payload, megabyte);
        }
    }
}

#[tokio::test]
async fn a_silent_connection_is_given_up() {
    // The daemon of this test sends no heartbeats, so an idle subscription looks like a half-open connection.
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().silence_timeout(Duration::from_millis(50)).connect().await.unwrap();
    let subscribe = client.capabilities().subscribe.unwrap();
    let mut subscription = subscribe.subscribe("s", Position::Start).await.unwrap();
    assert_eq!(subscription.next().await.unwrap(), Some(Event::CaughtUp));
    let waiting = tokio::spawn(async move { subscription.next_entry().await });
    while daemon.subscriptions.load(Ordering::SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let id = daemon.store.append("s", vec![entry("x")], Expect::Any).await.unwrap()[0];
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().id, id);
}

#[tokio::test]
async fn closing_the_client_ends_its_subscriptions_and_leaves_the_store() {
    let daemon = Daemon::start().await;
    let client = daemon.client::<i64>().connect().await.unwrap();
    let subscribe = client.capabilities().subscribe.unwrap();
    let mut subscription = subscribe.subscribe("s", Position::Start).await.unwrap();
    assert_eq!(subscription.next().await.unwrap(), Some(Event::CaughtUp));
    let waiting = tokio::spawn(async move { subscription.next().await });
    client.clone().close().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), None);
    assert!(matches!(client.count("s").await, Err(StoreError::Closed(_))));
    daemon.store.append("s", vec![entry("x")], Expect::Any).await.unwrap();
}

mod with_a_daemon_of_the_original {
    use super::*;

    #[tokio::test]
    async fn streams_work() {
        let daemon = Daemon::original().await;
        let client = daemon.client::<i64>().connect().await.unwrap();
        let ids = client
            .append("s", (0..5).map(|n| entry(&n.to_string())).collect(), Expect::Any)
            .await
            .unwrap()
            .ids;
        let page = client.read("s", &Read::new().limit(2).tag("")).await.unwrap();
        assert_eq!((page.len(), page.more, page.next), (2, true, Some(ids[1])));
        let page = client.read("s", &Read::new().max_bytes(3)).await.unwrap();
        assert_eq!((page.len(), page.more, page.next), (3, true, Some(ids[2])), "cut on this side");
        let page = client.read("s", &Read::new().until(Timestamp::UNIX_EPOCH)).await.unwrap();
        assert_eq!((page.len(), page.more, page.next), (0, false, Some(ids[4])), "filtered on this side");
        let page = client.read("s", &Read::new().since(Timestamp::UNIX_EPOCH)).await.unwrap();
        assert_eq!(page.len(), 5);
        client.set_tags("s", &ids[0], vec!["t".into()]).await.unwrap();
        assert_eq!(client.stat("s").await.unwrap().last_id, Some(ids[4]));
    }

    #[tokio::test]
    async fn its_errors_have_types() {
        let daemon = Daemon::original().await;
        let client = daemon.client::<String>().connect().await.unwrap();
        client.append("s", vec![entry("x")], Expect::Any).await.unwrap();
        let error = client.set_tags("s", &"99".to_owned(), Vec::new()).await.unwrap_err();
        assert!(matches!(&error, StoreError::EntryNotFound(facts) if facts.id == "99"), "{error:?}");
        let error = client.set_tags("s", &"x".to_owned(), Vec::new()).await.unwrap_err();
        assert!(matches!(&error, StoreError::InvalidCursor(facts) if facts.text == "x"), "{error:?}");
        let rename = client.capabilities().rename.unwrap();
        let error = rename.rename_stream("unknown", "new").await.unwrap_err();
        assert!(
            matches!(&error, StoreError::StreamNotFound(facts) if facts.stream == "unknown"),
            "{error:?}"
        );
        client.append("t", vec![entry("x")], Expect::Any).await.unwrap();
        let error = rename.rename_stream("s", "t").await.unwrap_err();
        assert!(matches!(&error, StoreError::StreamExists(facts) if facts.stream == "t"), "{error:?}");
    }

    #[tokio::test]
    async fn what_it_would_ignore_is_refused() {
        let daemon = Daemon::original().await;
        let client = daemon.client::<i64>().connect().await.unwrap();
        let error = client.append("s", vec![entry("x")], Expect::Empty).await.unwrap_err();
        assert!(matches!(error, StoreError::NotSupported(_)), "{error:?}");
        let copy = entry("x").origin(Origin { source_id: "1".into(), ..Origin::default() });
        let error = client.append("s", vec![copy], Expect::Any).await.unwrap_err();
        assert!(matches!(error, StoreError::NotSupported(_)), "{error:?}");
        assert_eq!(daemon.store.count("s").await.unwrap(), 0);
        assert!(matches!(client.append_session().await, Err(StoreError::NotSupported(_))));
        let consumers = client.capabilities().cursors.unwrap();
        assert!(matches!(consumers.get_cursor("c").await, Err(StoreError::NotSupported(_))));
        assert!(matches!(consumers.set_cursor("c", "1").await, Err(StoreError::NotSupported(_))));
        let copies = client.capabilities().find_by_source.unwrap();
        assert!(matches!(copies.find_by_source("s", "1").await, Err(StoreError::NotSupported(_))));
    }

    #[tokio::test]
    async fn a_subscription_polls() {
        let daemon = Daemon::original().await;
        let client = daemon.client::<i64>().poll_interval(Duration::from_millis(1)).connect().await.unwrap();
        let batch = (0..600).map(|n| entry(&n.to_string())).collect();
        let ids = daemon.store.append("s", batch, Expect::Any).await.unwrap().ids;
        let subscribe = client.capabilities().subscribe.unwrap();
        let mut subscription = subscribe.subscribe("s", Position::After(ids[9])).await.unwrap();
        for id in &ids[10..] {
            match subscription.next().await.unwrap() {
                Some(Event::Entry(entry)) => assert_eq!(entry.id, *id),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(subscription.next().await.unwrap(), Some(Event::CaughtUp));
        let id = daemon.store.append("s", vec![entry("new")], Expect::Any).await.unwrap()[0];
        match subscription.next().await.unwrap() {
            Some(Event::Entry(entry)) => assert_eq!(entry.id, id),
            other => panic!("it had caught up and is told nothing twice: {other:?}"),
        }
    }
}
