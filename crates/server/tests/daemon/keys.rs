//! Keys over the wire (specification §5.6).

use std::collections::BTreeSet;

use ledger_api::proto::*;
use ledger_server::{KeyFile, Right};
use tonic::{Code, Request};

use crate::support::*;

const NO_KEY: &str = "authentication failed: rpc error: code = Unauthenticated desc = invalid api key";

fn key(folder: &Folder, name: &str, stores: &[&str], rights: &[Right]) -> String {
    let stores: BTreeSet<_> = stores.iter().map(|&store| store.to_owned()).collect();
    let rights = rights.iter().copied().collect();
    KeyFile::new(folder.path()).create(name, stores, rights, jiff::Timestamp::UNIX_EPOCH).unwrap()
}

#[tokio::test]
async fn the_simple_key_is_needed_for_everything_and_opens_its_stores() {
    let daemon = Daemon::start("api_key: s3cret\nallowed_stores: [orders]").await;
    let mut service = daemon.service().await;
    let refused = (Code::Unauthenticated, NO_KEY.to_owned());
    assert_eq!(failure(service.read(to(read("s"))).await), refused);
    assert_eq!(failure(service.append(with_key(to(append("s", ["a"])), "s3cre")).await), refused);
    assert_eq!(failure(service.health(Request::new(HealthRequest {})).await), refused);
    service.append(with_key(to(append("s", ["a"])), "s3cret")).await.unwrap();
    service.health(with_key(Request::new(HealthRequest {}), "s3cret")).await.unwrap();
    let denied = "access denied: store \"other\" is not accessible with this API key".to_owned();
    let other = with_key(to_store("other", read("s")), "s3cret");
    assert_eq!(failure(service.read(other).await), (Code::PermissionDenied, denied));
    // A request without a store is let through to the error that it deserves.
    let (code, _) = failure(service.read(with_key(Request::new(read("s")), "s3cret")).await);
    assert_eq!(code, Code::InvalidArgument);
}

#[tokio::test]
async fn allowed_stores_hold_without_any_key() {
    let daemon = Daemon::start("allowed_stores: [orders]").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["a"]))).await.unwrap();
    assert_eq!(
        failure(service.append(to_store("other", append("s", ["a"]))).await).0,
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn a_key_does_what_its_rights_say_on_every_kind_of_call() {
    let folder = Folder::new("");
    let reader = key(&folder, "reader", &["orders"], &[Right::Read]);
    let writer = key(&folder, "writer", &["orders"], &[Right::Write]);
    let admin = key(&folder, "admin", &[], &Right::ALL);
    let daemon = folder.start().await;
    let (mut service, mut streaming) = (daemon.service().await, daemon.streaming().await);
    service.append(with_key(to(append("s", ["a"])), &writer)).await.unwrap();
    service.append(with_key(to_store("private", append("s", ["secret"])), &admin)).await.unwrap();

    let denied = |right: &str| {
        (Code::PermissionDenied, format!("access denied: this API key has no right to {right}"))
    };
    assert_eq!(failure(service.append(with_key(to(append("s", ["a"])), &reader)).await), denied("write"));
    assert_eq!(failure(service.read(with_key(to(read("s")), &writer)).await), denied("read"));
    let trim = || TrimRequest { stream: "s".into(), before_id: "1".into() };
    assert_eq!(failure(service.trim(with_key(to(trim()), &writer)).await), denied("admin"));
    assert_eq!(service.read(with_key(to(read("s")), &reader)).await.unwrap().into_inner().entries.len(), 1);

    // What a key may not touch it cannot see by any way.
    let everywhere = || SearchRequest { query: "secret".into(), ..SearchRequest::default() };
    let found = service.search(with_key(to(everywhere()), &reader)).await.unwrap().into_inner();
    assert!(found.entries.is_empty());
    assert_eq!(
        failure(service.search(with_key(to_store("private", everywhere()), &reader)).await).0,
        Code::PermissionDenied
    );
    let list = with_key(to_store("private", ListStreamIDsRequest::default()), &reader);
    assert_eq!(failure(service.list_stream_i_ds(list).await).0, Code::PermissionDenied);
    let subscribe = || SubscribeRequest { stream: "s".into(), ..SubscribeRequest::default() };
    let refused = streaming.subscribe(with_key(to_store("private", subscribe()), &reader)).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let session = with_key(to(tokio_stream::empty::<AppendSessionRequest>()), &reader);
    assert_eq!(streaming.append_session(session).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(service.trim(with_key(to(trim()), &admin)).await.unwrap().into_inner().deleted, 1);
}

#[tokio::test]
async fn a_revoked_key_loses_its_open_subscription_too_and_others_keep_theirs() {
    let folder = Folder::new("");
    let (gone, kept) = (key(&folder, "gone", &[], &[Right::Read]), key(&folder, "kept", &[], &Right::ALL));
    let daemon = folder.start().await;
    let (mut service, mut streaming) = (daemon.service().await, daemon.streaming().await);
    service.append(with_key(to(append("s", ["a"])), &kept)).await.unwrap();
    let subscribe = || to(SubscribeRequest { stream: "s".into(), ..SubscribeRequest::default() });
    let mut lost = streaming.subscribe(with_key(subscribe(), &gone)).await.unwrap().into_inner();
    let mut live = streaming.subscribe(with_key(subscribe(), &kept)).await.unwrap().into_inner();
    for stream in [&mut lost, &mut live] {
        stream.message().await.unwrap().unwrap();
        stream.message().await.unwrap().unwrap();
    }
    KeyFile::new(daemon.folder.path()).revoke("gone").unwrap();
    service.health(with_key(Request::new(HealthRequest {}), &gone)).await.unwrap();
    assert!(daemon.handle.reload(&daemon.folder.overrides()).unwrap().is_empty());
    assert_eq!(lost.message().await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(
        failure(service.health(with_key(Request::new(HealthRequest {}), &gone)).await).0,
        Code::Unauthenticated
    );
    service.append(with_key(to(append("s", ["b"])), &kept)).await.unwrap();
    assert!(live.message().await.unwrap().is_some());
}

#[tokio::test]
async fn a_client_that_is_late_learns_all_the_same_that_its_key_was_revoked() {
    let folder = Folder::new("");
    let (gone, kept) = (key(&folder, "gone", &[], &Right::ALL), key(&folder, "kept", &[], &Right::ALL));
    let daemon = folder.start().await;
    let mut service = daemon.service().await;
    let filler = "x".repeat(2000);
    for _ in 0..20 {
        service.append(with_key(to(append("s", [filler.as_str(); 100])), &kept)).await.unwrap();
    }
    let mut streaming = daemon.tight_streaming().await;
    let subscribe = to(SubscribeRequest { stream: "s".into(), ..SubscribeRequest::default() });
    let mut late = streaming.subscribe(with_key(subscribe, &gone)).await.unwrap().into_inner();
    // As long as nothing is read there is no room for the status either.
    let (sent, taken) = tokio::sync::mpsc::channel(1);
    let messages = tokio_stream::wrappers::ReceiverStream::new(taken);
    let session = daemon.tight_streaming().await.append_session(with_key(to(messages), &gone)).await;
    let mut session = session.unwrap().into_inner();
    // Answers with many ids fill it soon.
    for sequence in 0.. {
        let request = AppendSessionRequest { sequence, append: Some(append("t", ["a"; 300])) };
        if tokio::time::timeout(std::time::Duration::from_secs(2), sent.send(request)).await.is_err() {
            break;
        }
    }
    KeyFile::new(daemon.folder.path()).revoke("gone").unwrap();
    daemon.handle.reload(&daemon.folder.overrides()).unwrap();
    let end = loop {
        match late.message().await {
            Ok(message) => assert!(message.is_some(), "a good end"),
            Err(status) => break status.code(),
        }
    };
    assert_eq!(end, Code::Unauthenticated);
    let end = loop {
        match session.message().await {
            Ok(message) => assert!(message.is_some(), "a good end"),
            Err(status) => break status.code(),
        }
    };
    assert_eq!(end, Code::Unauthenticated);
}
