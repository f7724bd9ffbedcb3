//! How calls fail (specification §5.5).

use ledger_api::proto::*;
use tonic::{Code, Request};

use crate::support::*;

#[tokio::test]
async fn forgotten_fields_are_named() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    let missing = |text: &str| (Code::InvalidArgument, format!("{text} must not be empty"));
    assert_eq!(failure(service.append(to(append("", ["a"]))).await), missing("stream"));
    assert_eq!(failure(service.read(to(read(""))).await), missing("stream"));
    assert_eq!(failure(service.count(to(CountRequest::default())).await), missing("stream"));
    assert_eq!(failure(service.stat(to(StatRequest::default())).await), missing("stream"));
    assert_eq!(failure(service.search(to(SearchRequest::default())).await), missing("query"));
    let tags = |stream: &str, id: &str| SetTagsRequest { stream: stream.into(), id: id.into(), tags: vec![] };
    assert_eq!(failure(service.set_tags(to(tags("", "1"))).await), missing("stream"));
    assert_eq!(failure(service.set_tags(to(tags("s", ""))).await), missing("id"));
    let annotate = |stream: &str| SetAnnotationsRequest { stream: stream.into(), ..Default::default() };
    assert_eq!(failure(service.set_annotations(to(annotate(""))).await), missing("stream"));
    assert_eq!(failure(service.set_annotations(to(annotate("s"))).await), missing("id"));
    let trim = |stream: &str| TrimRequest { stream: stream.into(), before_id: String::new() };
    assert_eq!(failure(service.trim(to(trim(""))).await), missing("stream"));
    assert_eq!(failure(service.trim(to(trim("s"))).await), missing("before_id"));
    let rename = RenameStreamRequest { name: "a".into(), new_name: String::new() };
    assert_eq!(failure(service.rename_stream(to(rename)).await), missing("name and new_name"));
    let header = (Code::InvalidArgument, "missing x-ledger-store metadata header".to_owned());
    assert_eq!(failure(service.read(Request::new(read("s"))).await), header);
    assert_eq!(failure(service.append(Request::new(append("s", ["a"]))).await), header);
    assert_eq!(
        failure(service.list_stream_i_ds(Request::new(ListStreamIDsRequest::default())).await),
        header
    );
    // Health needs no store.
    assert_eq!(service.health(Request::new(HealthRequest {})).await.unwrap().into_inner().status, "ok");
}

#[tokio::test]
async fn ids_and_names_that_are_none_are_refused_with_their_text() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["a"]))).await.unwrap();
    let options = ReadOptions { after: "x1".into(), ..ReadOptions::default() };
    let (code, message) = failure(service.read(to(read_with("s", options))).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.starts_with("ledger: invalid cursor type: expected"), "{message}");
    assert!(message.contains("\"x1\""), "{message}");
    let trim = TrimRequest { stream: "s".into(), before_id: "x".into() };
    assert_eq!(failure(service.trim(to(trim)).await).0, Code::InvalidArgument);

    for store in ["bad name", "1a", "", "ledger_stream_metadata", "a_cursors", "Orders"] {
        let (code, message) = failure(service.append(to_store(store, append("s", ["a"]))).await);
        assert_eq!(code, Code::InvalidArgument, "{store}: {message}");
        assert!(message.contains("ledger: invalid table/collection name:"), "{message}");
    }
    let (code, _) = failure(service.read(to_store("bad name", read("s"))).await);
    assert_eq!(code, Code::InvalidArgument);
    // Words that are reserved in SQL are fine.
    service.append(to_store("order", append("s", ["a"]))).await.unwrap();
    let list = service.list_stream_i_ds(to_store("bad name", ListStreamIDsRequest::default())).await.unwrap();
    assert!(list.into_inner().stream_ids.is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_is_taken_exists() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    let tags = |stream: &str, id: &str| SetTagsRequest { stream: stream.into(), id: id.into(), tags: vec![] };
    let no_stream = (Code::NotFound, "ledger: stream not found: \"s\" in store \"orders\"".to_owned());
    assert_eq!(failure(service.set_tags(to(tags("s", "1"))).await), no_stream);
    service.append(to(append("other", ["a"]))).await.unwrap();
    assert_eq!(failure(service.set_tags(to(tags("s", "no id"))).await), no_stream);
    let annotate = SetAnnotationsRequest { stream: "s".into(), id: "1".into(), ..Default::default() };
    assert_eq!(failure(service.set_annotations(to(annotate)).await), no_stream);
    let rename = |from: &str, to: &str| RenameStreamRequest { name: from.into(), new_name: to.into() };
    assert_eq!(failure(service.rename_stream(to(rename("s", "t"))).await), no_stream);

    service.append(to(append("s", ["a"]))).await.unwrap();
    // Entry 1 is another stream's.
    let no_entry = (Code::NotFound, "entry not found".to_owned());
    assert_eq!(failure(service.set_tags(to(tags("s", "1"))).await), no_entry);
    let taken =
        (Code::AlreadyExists, "ledger: stream already exists: \"other\" in store \"orders\"".to_owned());
    assert_eq!(failure(service.rename_stream(to(rename("s", "other"))).await), taken);
    service.rename_stream(to(rename("s", "s"))).await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_lives_on() {
    let daemon = Daemon::start("max_message_bytes: 70000").await;
    let mut service = daemon.service().await;
    let large = "x".repeat(80_000);
    let (code, message) = failure(service.append(to(append("s", [large.as_str()]))).await);
    assert_eq!(code, Code::ResourceExhausted, "{message}");
    service.append(to(append("s", ["small"]))).await.unwrap();
    assert_eq!(payloads(&mut service, "s").await, ["small"]);
}

#[tokio::test]
async fn a_call_that_there_is_not_is_unimplemented() {
    let daemon = Daemon::start("").await;
    let mut grpc = tonic::client::Grpc::new(daemon.channel().await);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/ledger.v1.LedgerService/Nonsense");
    let codec = tonic_prost::ProstCodec::<HealthRequest, HealthResponse>::default();
    let status = grpc.unary(Request::new(HealthRequest {}), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_broken_database_is_internal_and_its_words_stay_in_the_daemon() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["a"]))).await.unwrap();
    let database = rusqlite::Connection::open(daemon.folder.path().join("ledger.db")).unwrap();
    database.execute_batch("DROP TABLE orders").unwrap();
    let (code, message) = failure(service.read(to(read("s"))).await);
    assert_eq!(code, Code::Internal, "{message}");
    assert!(message.starts_with("internal error: "), "{message}");
    for secret in ["orders", "no such table", "ledger.db"] {
        assert!(!message.contains(secret), "{message}");
    }
}

#[tokio::test]
async fn a_deadline_that_passes_is_said_by_the_daemon_too() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["a"]))).await.unwrap();
    let blocker = rusqlite::Connection::open(daemon.folder.path().join("ledger.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Generated clients give up by themselves at their deadline; this one listens to what the daemon says.
    let connection = tokio::net::TcpStream::connect(daemon.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(connection).await.unwrap();
    let connection = tokio::spawn(connection);
    let path = format!("http://{}/ledger.v1.LedgerService/Append", daemon.address);
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-ledger-store", "orders")
        .header("grpc-timeout", "100m");
    let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let message = prost::Message::encode_to_vec(&append("s", ["b"]));
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    body.send_data(frame.into(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4");
    assert_eq!(answer.headers()["grpc-message"], "deadline%20exceeded");
    connection.abort();
    blocker.execute_batch("ROLLBACK").unwrap();
    service.append(to(append("s", ["c"]))).await.unwrap();
    // What was too late may still be written, once.
    let stored = payloads(&mut service, "s").await;
    assert!(stored == ["a", "c"] || stored == ["a", "b", "c"], "{stored:?}");
}

#[tokio::test]
async fn a_client_that_gives_up_hears_that_the_outcome_is_unknown() {
    use std::time::Duration;

    use ledger_streams::{Append, Expect, Store as _, StoreError};

    let daemon = Daemon::start("").await;
    let client = || ledger_api::Client::<i64>::at(daemon.address.to_string()).store("orders");
    let patient = client().connect().await.unwrap();
    let hasty = client().retry_for(Duration::ZERO).request_timeout(Duration::from_millis(200));
    let hasty = hasty.connect().await.unwrap();
    patient.append("s", vec![Append::new("a".into())], Expect::Any).await.unwrap();
    let blocker = rusqlite::Connection::open(daemon.folder.path().join("ledger.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = hasty.append("s", vec![Append::new("b".into()).dedup_key("b")], Expect::Any).await;
    let StoreError::Backend(late) = late.unwrap_err() else { panic!("a failed connection") };
    assert!(late.outcome_unknown && late.step.starts_with("append"), "{late}");
    assert_eq!(hasty.count("s").await.unwrap(), 1, "reads do not wait for writes");
    blocker.execute_batch("ROLLBACK").unwrap();
    // The dedup key makes the retry safe, whatever became of the first try.
    patient.append("s", vec![Append::new("b".into()).dedup_key("b")], Expect::Any).await.unwrap();
    assert_eq!(patient.count("s").await.unwrap(), 2);
}
