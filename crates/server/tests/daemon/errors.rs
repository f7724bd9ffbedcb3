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
