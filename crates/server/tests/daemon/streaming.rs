//! Append sessions and subscriptions.

use ledger_api::proto::append_session_response::Result as Answer;
use ledger_api::proto::subscribe_response::Event;
use ledger_api::proto::*;
use tokio_stream::iter;
use tonic::{Code, Streaming as Messages};

use crate::support::*;

fn session_of(requests: Vec<AppendRequest>) -> Vec<AppendSessionRequest> {
    let numbered = (1..).zip(requests);
    numbered.map(|(sequence, append)| AppendSessionRequest { sequence, append: Some(append) }).collect()
}

#[tokio::test]
async fn a_session_answers_in_order_and_a_failed_append_does_not_end_it() {
    let daemon = Daemon::start("").await;
    let mut requests: Vec<_> = (0..2000).map(|n| append("s", [n.to_string().as_str()])).collect();
    requests[700] = append("", ["no stream"]);
    requests[900].expect = Some(append_request::Expect::ExpectEmpty(true));
    let session = daemon.streaming().await.append_session(to(iter(session_of(requests)))).await.unwrap();
    let mut answers = session.into_inner();
    let (mut ids, mut failed) = (Vec::new(), Vec::new());
    for sequence in 1..=2000 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.sequence, sequence);
        match answer.result.unwrap() {
            Answer::Appended(appended) => ids.extend(appended.ids),
            Answer::Error(error) => failed.push((sequence, Code::from(error.code))),
        }
    }
    assert!(answers.message().await.unwrap().is_none());
    assert_eq!(failed, [(701, Code::InvalidArgument), (901, Code::Aborted)]);
    assert_eq!(ids.len(), 1998);

    let mut service = daemon.service().await;
    let options = ReadOptions { limit: 5000, ..ReadOptions::default() };
    let page = service.read(to(read_with("s", options))).await.unwrap().into_inner();
    let stored: Vec<u32> = page
        .entries
        .iter()
        .map(|entry| std::str::from_utf8(&entry.payload).unwrap().parse().unwrap())
        .collect();
    let sent: Vec<u32> = (0..2000).filter(|n| ![700, 900].contains(n)).collect();
    assert_eq!(stored, sent, "entries stand in the order of the session");
}

async fn next(messages: &mut Messages<SubscribeResponse>) -> (String, Event) {
    loop {
        let message = messages.message().await.unwrap().unwrap();
        match message.event.unwrap() {
            Event::Heartbeat(_) => {}
            event => return (message.position, event),
        }
    }
}

fn texts(event: Event) -> Vec<String> {
    let Event::Entries(batch) = event else { panic!("{event:?}") };
    batch.entries.iter().map(|entry| String::from_utf8(entry.payload.to_vec()).unwrap()).collect()
}

fn subscribe(after: &str, position: subscribe_request::Position) -> tonic::Request<SubscribeRequest> {
    to(SubscribeRequest {
        stream: "s".into(),
        position: position.into(),
        after: after.into(),
        ..SubscribeRequest::default()
    })
}

#[tokio::test]
async fn a_subscription_catches_up_follows_and_goes_on_after_a_position() {
    let daemon = Daemon::start("").await;
    let (mut service, mut streaming) = (daemon.service().await, daemon.streaming().await);
    service.append(to(append("s", ["a", "b"]))).await.unwrap();
    let start = subscribe("", subscribe_request::Position::Start);
    let mut live = streaming.subscribe(start).await.unwrap().into_inner();
    let (position, event) = next(&mut live).await;
    assert_eq!((position.as_str(), texts(event)), ("2", vec!["a".to_owned(), "b".to_owned()]));
    assert!(matches!(next(&mut live).await, (position, Event::CaughtUp(_)) if position == "2"));

    let now = subscribe("", subscribe_request::Position::Now);
    let mut new = streaming.subscribe(now).await.unwrap().into_inner();
    assert!(matches!(next(&mut new).await, (position, Event::CaughtUp(_)) if position == "2"));
    service.append(to(append("s", ["c"]))).await.unwrap();
    assert_eq!(texts(next(&mut live).await.1), ["c"]);
    assert_eq!(texts(next(&mut new).await.1), ["c"]);

    let after = subscribe("1", subscribe_request::Position::Start);
    let mut resumed = streaming.subscribe(after).await.unwrap().into_inner();
    assert_eq!(texts(next(&mut resumed).await.1), ["b", "c"]);
    let wrong = subscribe("x", subscribe_request::Position::Start);
    assert_eq!(streaming.subscribe(wrong).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_subscription_with_conditions_passes_the_others_over() {
    let daemon = Daemon::start("").await;
    let (mut service, mut streaming) = (daemon.service().await, daemon.streaming().await);
    let mut batch = append("s", ["a", "b", "c"]);
    batch.entries[1].tags = vec!["wanted".into()];
    service.append(to(batch)).await.unwrap();
    let mut request = subscribe("", subscribe_request::Position::Start);
    request.get_mut().options = Some(ReadOptions { tag: "wanted".into(), ..ReadOptions::default() });
    let mut live = streaming.subscribe(request).await.unwrap().into_inner();
    let (position, event) = next(&mut live).await;
    assert_eq!((position.as_str(), texts(event)), ("3", vec!["b".to_owned()]));
    let mut request = subscribe("", subscribe_request::Position::Start);
    let until = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
    request.get_mut().options = Some(ReadOptions { until, ..ReadOptions::default() });
    assert_eq!(streaming.subscribe(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_subscription_to_a_store_that_is_not_there_waits_for_it_without_making_it() {
    let daemon = Daemon::start("").await;
    let (mut service, mut streaming) = (daemon.service().await, daemon.streaming().await);
    let now = subscribe("", subscribe_request::Position::Now);
    let mut live = streaming.subscribe(now).await.unwrap().into_inner();
    assert!(matches!(next(&mut live).await.1, Event::CaughtUp(_)));
    service.append(to_store("other", append("s", ["not this"]))).await.unwrap();
    service.append(to(append("s", ["a"]))).await.unwrap();
    // It may have caught up with the new store before the entry was in it.
    let mut seen = Vec::new();
    while seen.is_empty() {
        match next(&mut live).await.1 {
            Event::CaughtUp(_) => {}
            event => seen = texts(event),
        }
    }
    assert_eq!(seen, ["a"]);
}

#[tokio::test]
async fn a_store_that_another_program_makes_is_noticed_by_those_who_wait_for_it() {
    let daemon = Daemon::start("").await;
    let mut streaming = daemon.streaming().await;
    let mut live =
        streaming.subscribe(subscribe("", subscribe_request::Position::Start)).await.unwrap().into_inner();
    assert!(matches!(next(&mut live).await.1, Event::CaughtUp(_)));
    let database =
        ledger_sqlite::Database::open(daemon.folder.path().join("ledger.db")).connect().await.unwrap();
    let store =
        database.store("orders").stream_names(ledger_sqlite::StreamNames::Mapped).open().await.unwrap();
    let entry = ledger_streams::Append::new(bytes::Bytes::from_static(b"from outside"));
    ledger_streams::Store::append(&store, "s", vec![entry], ledger_streams::Expect::Any).await.unwrap();
    let first_entries = async {
        loop {
            match next(&mut live).await.1 {
                // It may have caught up with the new store before the entry was in it.
                Event::CaughtUp(_) => {}
                event => return texts(event),
            }
        }
    };
    let seen = tokio::time::timeout(std::time::Duration::from_secs(60), first_entries).await.unwrap();
    assert_eq!(seen, ["from outside"]);
    database.close().await;
}

#[tokio::test]
async fn a_client_that_reads_late_gets_every_entry_in_order() {
    let daemon = Daemon::start("").await;
    let (mut service, mut streaming) = (daemon.service().await, daemon.streaming().await);
    service.append(to(append("s", ["0"]))).await.unwrap();
    let start = subscribe("", subscribe_request::Position::Start);
    let mut late = streaming.subscribe(start).await.unwrap().into_inner();
    let filler = "x".repeat(50_000);
    let mut expected = vec![0];
    for batch in 0..20 {
        let entries = (0..20).map(|n| {
            expected.push(batch * 20 + n + 1);
            entry(&format!("{} {filler}", batch * 20 + n + 1))
        });
        let request = AppendRequest { stream: "s".into(), entries: entries.collect(), expect: None };
        service.append(to(request)).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        if let Event::Entries(batch) = next(&mut late).await.1 {
            seen.extend(batch.entries.iter().map(|entry| {
                let text = std::str::from_utf8(&entry.payload).unwrap();
                text.split(' ').next().unwrap().parse::<i32>().unwrap()
            }));
        }
    }
    assert_eq!(seen, expected);
}
