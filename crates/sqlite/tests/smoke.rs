//! temporary
use ledger_sqlite::*;
use ledger_streams::*;
#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let folder = tempfile::tempdir().unwrap();
    for names in [StreamNames::Direct, StreamNames::Mapped] {
        let store = SqliteStore::open(folder.path().join(format!("a{names:?}.db")))
            .stream_names(names)
            .table("order")
            .full_text_search(true)
            .build()
            .await
            .unwrap();
        let s = Stream::<String, _>::json(&store, "user");
        let mut live = s.subscribe(Position::Start).await.unwrap();
        let ids = s
            .append([
                Append::new("hello <world>".to_owned()).dedup_key("k").tag("x"),
                Append::new("b\0binary".to_owned()),
            ])
            .await
            .unwrap();
        assert_eq!(ids.ids, [1, 2]);
        assert_eq!(
            s.append([Append::new("again".to_owned()).dedup_key("k")]).await.unwrap().duplicates[0].id,
            1
        );
        let page = s.read(Read::new().tag("x")).await.unwrap();
        assert_eq!(page.len(), 1);
        assert_eq!(live.next_entry().await.unwrap().unwrap().payload, "hello <world>");
        assert_eq!(live.next_entry().await.unwrap().unwrap().payload, "b\0binary");
        assert_eq!(s.search("o <W", Read::new()).await.unwrap().len(), 1);
        assert_eq!(s.search("binary", Read::new()).await.unwrap().len(), 1);
        let tx = store.begin().await.unwrap();
        let t = Stream::<String, _>::json(&tx, "user");
        t.append([Append::new("in tx".to_owned())]).await.unwrap();
        assert_eq!(t.count().await.unwrap(), 3);
        assert_eq!(s.count().await.unwrap(), 2);
        tx.commit().await.unwrap();
        assert_eq!(s.count().await.unwrap(), 3);
        assert_eq!(live.next_entry().await.unwrap().unwrap().payload, "in tx");
        assert_eq!(store.list_streams(None, 10).await.unwrap(), ["user"]);
        assert_eq!(store.database().stores().await.unwrap(), ["order"]);
        store.database().close().await;
        assert!(s.count().await.is_err());
    }
}
