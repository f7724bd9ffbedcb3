//! What every call does when all is well (specification §5.4).

use ledger_api::proto::append_request::Expect;
use ledger_api::proto::*;

use crate::support::*;

#[tokio::test]
async fn an_entry_comes_back_as_it_was_appended_under_the_callers_name() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    let input = EntryInput {
        payload: b"\x00not json\xff".as_slice().into(),
        order_key: "o".to_owned(),
        dedup_key: "d".to_owned(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        tags: vec!["t".to_owned(), "t".to_owned()],
        ..EntryInput::default()
    };
    let request = AppendRequest { stream: "user-1".to_owned(), entries: vec![input.clone()], expect: None };
    let answer = service.append(to(request.clone())).await.unwrap().into_inner();
    assert_eq!(answer.ids, ["1"]);
    assert_eq!(answer.durability(), Durability::Synced);
    let again = service.append(to(request)).await.unwrap().into_inner();
    assert_eq!((again.ids.len(), again.duplicates[0].id.as_str()), (0, "1"));

    let page = service.read(to(read("user-1"))).await.unwrap().into_inner();
    let [entry] = page.entries.as_slice() else { panic!("{page:?}") };
    assert_eq!((&entry.id[..], &entry.stream[..]), (&b"1"[..], &b"user-1"[..]));
    assert_eq!(entry.payload, input.payload);
    assert_eq!(
        (&entry.order_key, &entry.dedup_key, &entry.tags),
        (&input.order_key, &input.dedup_key, &input.tags)
    );
    assert_eq!((entry.schema_version, &entry.metadata), (1, &input.metadata));
    assert!(entry.created_at.is_some() && entry.updated_at.is_none());
    assert_eq!(page.more, Some(false));
}

#[tokio::test]
async fn pages_follow_cursor_limit_order_and_filters() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["a", "b", "c", "d"]))).await.unwrap();
    let ids = async |service: &mut Service, options: ReadOptions| {
        let page = service.read(to(read_with("s", options))).await.unwrap().into_inner();
        page.entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    let options = ReadOptions::default;
    assert_eq!(ids(&mut service, options()).await, ["1", "2", "3", "4"]);
    assert_eq!(ids(&mut service, ReadOptions { after: "2".into(), ..options() }).await, ["3", "4"]);
    assert_eq!(ids(&mut service, ReadOptions { limit: 2, ..options() }).await, ["1", "2"]);
    assert_eq!(ids(&mut service, ReadOptions { limit: -1, ..options() }).await.len(), 4);
    assert_eq!(ids(&mut service, ReadOptions { limit: i64::MAX, ..options() }).await.len(), 4);
    let newest = ReadOptions { desc: true, after: "3".into(), ..options() };
    assert_eq!(ids(&mut service, newest).await, ["2", "1"]);
    assert!(ids(&mut service, ReadOptions { tag: "none".into(), ..options() }).await.is_empty());
}

#[tokio::test]
async fn tags_and_annotations_change_and_deleting_wins() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    service.append(to(append("s", ["a"]))).await.unwrap();
    let tags = vec!["x".to_owned()];
    service.set_tags(to(SetTagsRequest { stream: "s".into(), id: "1".into(), tags })).await.unwrap();
    let set = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let delete = vec!["b".to_owned()];
    let annotate = SetAnnotationsRequest { stream: "s".into(), id: "1".into(), set, delete };
    service.set_annotations(to(annotate)).await.unwrap();
    let page = service.read(to(read("s"))).await.unwrap().into_inner();
    assert_eq!(page.entries[0].tags, ["x"]);
    assert_eq!(page.entries[0].annotations, [("a".to_owned(), "1".to_owned())].into());
    assert!(page.entries[0].updated_at.is_some());
}

#[tokio::test]
async fn streams_are_counted_listed_renamed_searched_and_trimmed() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    for stream in ["z-b", "z-a", "z-c"] {
        service.append(to(append(stream, ["needle", "hay"]))).await.unwrap();
    }
    let count = service.count(to(CountRequest { stream: "z-a".into() })).await.unwrap().into_inner();
    assert_eq!(count.count, 2);
    let stat = service.stat(to(StatRequest { stream: "z-b".into() })).await.unwrap().into_inner();
    assert_eq!(
        stat,
        StatResponse { stream: "z-b".into(), count: 2, first_id: "1".into(), last_id: "2".into() }
    );
    let list = ListStreamIDsRequest { after: "z-a".into(), limit: 0 };
    assert_eq!(service.list_stream_i_ds(to(list)).await.unwrap().into_inner().stream_ids, ["z-b", "z-c"]);

    let found = |stream: &str| SearchRequest {
        stream: stream.into(),
        query: "NEED".into(),
        ..SearchRequest::default()
    };
    let page = service.search(to(found("z-c"))).await.unwrap().into_inner();
    assert_eq!((page.entries.len(), &page.entries[0].stream[..]), (1, &b"z-c"[..]));
    let page = service.search(to(found(""))).await.unwrap().into_inner();
    let streams: Vec<_> = page.entries.iter().map(|entry| entry.stream.clone()).collect();
    assert_eq!(streams, ["z-b", "z-a", "z-c"]);

    let rename = RenameStreamRequest { name: "z-a".into(), new_name: "new".into() };
    service.rename_stream(to(rename)).await.unwrap();
    assert_eq!(payloads(&mut service, "new").await, ["needle", "hay"]);
    assert!(payloads(&mut service, "z-a").await.is_empty());

    let trim = TrimRequest { stream: "z-b".into(), before_id: "9999".into() };
    assert_eq!(service.trim(to(trim)).await.unwrap().into_inner().deleted, 2);
    let list = ListStreamIDsRequest::default();
    assert_eq!(service.list_stream_i_ds(to(list)).await.unwrap().into_inner().stream_ids, ["new", "z-c"]);
}

#[tokio::test]
async fn an_unknown_store_or_stream_is_empty_and_reading_does_not_make_it() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    for _ in 0..2 {
        let page = service.read(to(read("s"))).await.unwrap().into_inner();
        assert!(page.entries.is_empty());
        let count = service.count(to(CountRequest { stream: "s".into() })).await.unwrap().into_inner();
        assert_eq!(count.count, 0);
        let stat = service.stat(to(StatRequest { stream: "s".into() })).await.unwrap().into_inner();
        assert_eq!(stat, StatResponse { stream: "s".into(), ..StatResponse::default() });
        let trim = TrimRequest { stream: "s".into(), before_id: "no id".into() };
        assert_eq!(service.trim(to(trim)).await.unwrap().into_inner().deleted, 0);
        let search = SearchRequest { query: "x".into(), ..SearchRequest::default() };
        assert!(service.search(to(search)).await.unwrap().into_inner().entries.is_empty());
        let list = service.list_stream_i_ds(to(ListStreamIDsRequest::default())).await.unwrap();
        assert!(list.into_inner().stream_ids.is_empty());
        let database = ledger_sqlite::Database::open(daemon.folder.path().join("ledger.db"));
        let database = database.access(ledger_sqlite::Access::ReadOnly).connect().await.unwrap();
        let stores = database.stores().await.unwrap();
        assert!(stores.iter().all(|store| store == "other"), "{stores:?}");
        // The second time in a database that has another store.
        service.append(to_store("other", append("x", ["y"]))).await.unwrap();
    }
}

#[tokio::test]
async fn an_append_that_expects_something_else_is_refused_with_the_facts() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    let expecting = |expect| AppendRequest { expect: Some(expect), ..append("s", ["a"]) };
    service.append(to(expecting(Expect::ExpectEmpty(true)))).await.unwrap();
    let status = service.append(to(expecting(Expect::ExpectEmpty(true)))).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Aborted);
    let detail = ledger_api::status::detail_in(&status).unwrap();
    let Some(error_detail::Fact::Conflict(conflict)) = detail.fact else { panic!("{detail:?}") };
    assert_eq!(conflict.actual_last_id.as_deref(), Some("1"));
    service.append(to(expecting(Expect::ExpectLastId("1".into())))).await.unwrap();
}

#[tokio::test]
async fn a_page_that_would_not_fit_is_cut_short_and_goes_on() {
    let daemon = Daemon::start("").await;
    let mut service = daemon.service().await;
    let payload = "x".repeat(60_000);
    for _ in 0..5 {
        service.append(to(append("s", [payload.as_str(); 20]))).await.unwrap();
    }
    // A client of the original: no bound in the request, and no more than 4 MiB taken.
    let (mut after, mut seen, mut pages) = (String::new(), 0, 0);
    while seen < 100 {
        let options = ReadOptions { after, ..ReadOptions::default() };
        let page = service.read(to(read_with("s", options))).await.unwrap().into_inner();
        assert!(!page.entries.is_empty());
        seen += page.entries.len();
        pages += 1;
        after = String::from_utf8(page.entries.last().unwrap().id.to_vec()).unwrap();
    }
    assert_eq!((seen, pages), (100, 2));
}
