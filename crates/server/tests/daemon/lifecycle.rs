//! Starting, stopping, reloading.

use ledger_api::proto::*;
use ledger_server::StartError;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn entries_are_there_after_a_restart() {
    let daemon = Daemon::start("").await;
    daemon.service().await.append(to(append("s", ["a"]))).await.unwrap();
    let daemon = daemon.stop().await.start().await;
    assert_eq!(payloads(&mut daemon.service().await, "s").await, ["a"]);
}

#[tokio::test]
async fn stopping_ends_subscriptions_and_idle_sessions_and_closes_the_database() {
    let daemon = Daemon::start("shutdown_timeout: 1h").await;
    let mut streaming = daemon.streaming().await;
    let session = streaming.append_session(to(tokio_stream::pending())).await.unwrap();
    let mut session = session.into_inner();
    let subscribe = to(SubscribeRequest { stream: "s".into(), ..SubscribeRequest::default() });
    let mut live = streaming.subscribe(subscribe).await.unwrap().into_inner();
    assert!(live.message().await.unwrap().is_some());
    daemon.handle.stop();
    assert_eq!(live.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(session.message().await.unwrap_err().code(), Code::Unavailable);
    daemon.running.await.unwrap().unwrap();
    assert!(!daemon.folder.path().join("ledger.db-wal").exists(), "the log was written back");
}

#[tokio::test]
async fn a_second_stop_does_not_wait_for_requests_under_way() {
    let daemon = Daemon::start("shutdown_timeout: 1h").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["a"]))).await.unwrap();
    // Somebody else has the database locked, so this append does not end.
    let blocker = rusqlite::Connection::open(daemon.folder.path().join("ledger.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let append = tokio::spawn(async move { service.append(to(append("s", ["b"]))).await });
    tokio::task::yield_now().await;
    daemon.handle.stop();
    daemon.handle.stop();
    daemon.running.await.unwrap().unwrap();
    drop(blocker);
    assert!(append.await.unwrap().is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named_with_the_way_out() {
    let daemon = Daemon::start("").await;
    let second = Folder::new(&format!("listen: {}", daemon.address));
    let error = second.bind().await.err().unwrap();
    assert!(matches!(error, StartError::Listen { .. }));
    let text = error.to_string();
    assert!(text.contains(&daemon.address.to_string()) && text.contains("--addr"), "{text}");
}

#[tokio::test]
async fn an_open_door_to_the_network_is_refused_until_there_is_a_key() {
    let folder = Folder::new("listen: 0.0.0.0:0");
    assert!(matches!(folder.bind().await, Err(StartError::Config(_))));
    folder.configure("listen: 0.0.0.0:0\napi_key: k");
    let daemon = folder.start().await;
    // Nor can the key be taken away while the door is open.
    daemon.folder.configure("listen: 0.0.0.0:0");
    assert!(daemon.handle.reload(&daemon.folder.overrides()).is_err());
}

#[tokio::test]
async fn a_reload_takes_new_keys_and_names_what_waits_for_a_restart() {
    let daemon = Daemon::start("api_key: old").await;
    let mut service = daemon.service().await;
    daemon.folder.configure("api_key: new\nmax_message_bytes: 70000");
    let waiting = daemon.handle.reload(&daemon.folder.overrides()).unwrap();
    assert_eq!(waiting, ["max_message_bytes"]);
    assert!(service.read(with_key(to(read("s")), "old")).await.is_err());
    service.read(with_key(to(read("s")), "new")).await.unwrap();
    daemon.folder.configure("api_kee: x");
    assert!(daemon.handle.reload(&daemon.folder.overrides()).is_err());
    service.read(with_key(to(read("s")), "new")).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_none_is_named() {
    let folder = Folder::new("");
    std::fs::write(folder.path().join("ledger.db"), "certainly not a database, however long this text is")
        .unwrap();
    let error = folder.bind().await.err().unwrap().to_string();
    assert!(error.contains("not an SQLite database") && error.contains("db.sqlite.path"), "{error}");
}
