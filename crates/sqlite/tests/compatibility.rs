//! Databases of the original open here, and ours are laid out like its own (specification §4.1, §4.5, §13).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;

use ledger_sqlite::rusqlite::{Connection, params};
use ledger_sqlite::{Access, OpenError, SqliteStore, StreamNames};
use ledger_streams::{
    AnnotationChanges, Append, Expect, Origin, Read, RenameStream, Search, Store, StoreError, Subscribe,
};

/// The tables and indexes as the original declares them.
const ORIGINAL_SCHEMA: &str = "
    CREATE TABLE ledger_entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stream TEXT NOT NULL,
        payload BLOB NOT NULL,
        order_key TEXT NOT NULL DEFAULT '',
        dedup_key TEXT NOT NULL DEFAULT '',
        schema_version INTEGER NOT NULL DEFAULT 1,
        metadata TEXT,
        tags TEXT NOT NULL DEFAULT '[]',
        annotations TEXT,
        source_id TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f','now')),
        updated_at TEXT
    );
    CREATE INDEX idx_ledger_entries_stream_id ON ledger_entries(stream, id);
    CREATE INDEX idx_ledger_entries_stream ON ledger_entries(stream);
    CREATE INDEX idx_ledger_entries_stream_order ON ledger_entries(stream, order_key, id);
    CREATE UNIQUE INDEX idx_ledger_entries_dedup ON ledger_entries(stream, dedup_key) WHERE dedup_key != '';
    CREATE UNIQUE INDEX idx_ledger_entries_source ON ledger_entries(source_id) WHERE source_id != '';
    CREATE INDEX idx_ledger_entries_tags ON ledger_entries(stream, tags);
    CREATE TABLE ledger_entries_cursors (name TEXT NOT NULL PRIMARY KEY, cursor TEXT NOT NULL);
    CREATE TABLE ledger_stream_metadata (
        store_name TEXT NOT NULL,
        name TEXT NOT NULL,
        stream_id TEXT NOT NULL,
        created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        PRIMARY KEY (store_name, name),
        UNIQUE (store_name, stream_id)
    );";

/// Rows of every kind that the original writes or tolerates.
const ORIGINAL_ROWS: &str = r#"
    INSERT INTO ledger_entries (stream, payload) VALUES ('s', CAST('{"a":1}' AS BLOB));
    INSERT INTO ledger_entries (stream, payload, order_key, dedup_key, schema_version, metadata, tags, annotations,
        source_id, created_at, updated_at)
    VALUES ('s', x'00ff', 'o', 'd', 0, '{"env":"prod","html":"\u003cb\u003e"}', '["a\u003cb","x","x"]',
        '{"k":"v"}', '17', '1999-12-31T23:59:59.999', '2026-01-02T03:04:05.006');
    INSERT INTO ledger_entries (stream, payload, tags, annotations, metadata, created_at)
    VALUES ('s', x'', 'null', 'null', 'null', '0001-01-01T00:00:00.000');
    INSERT INTO ledger_entries (stream, payload, annotations) VALUES ('s', 'stored as text', '{}');
    INSERT INTO ledger_entries (stream, payload) VALUES ('gone', x'01');
    DELETE FROM ledger_entries WHERE stream = 'gone';"#;

fn original(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(ORIGINAL_SCHEMA).unwrap();
    connection.execute_batch(ORIGINAL_ROWS).unwrap();
    connection
}

#[tokio::test]
async fn a_database_of_the_original_opens_reads_and_takes_appends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    drop(original(&path));
    let store = SqliteStore::open(&path).build().await.unwrap();

    let page = store.read("s", &Read::new()).await.unwrap();
    assert_eq!(page.damaged, []);
    assert_eq!(page.len(), 4);
    assert_eq!(&page[0].payload[..], br#"{"a":1}"#);
    assert_eq!(page[0].schema_version, 1);
    assert_eq!(page[0].updated_at, None);
    let full = &page[1];
    assert_eq!(&full.payload[..], [0, 0xff]);
    assert_eq!((full.order_key.as_str(), full.dedup_key.as_str(), full.schema_version), ("o", "d", 0));
    assert_eq!(full.metadata, BTreeMap::from([("env".into(), "prod".into()), ("html".into(), "<b>".into())]));
    assert_eq!(full.tags, ["a<b", "x", "x"]);
    assert_eq!(full.annotations, BTreeMap::from([("k".into(), "v".into())]));
    assert_eq!(full.source_id, "17");
    assert_eq!(full.created_at, "1999-12-31T23:59:59.999Z".parse().unwrap());
    assert_eq!(full.updated_at, Some("2026-01-02T03:04:05.006Z".parse().unwrap()));
    assert!(page[2].payload.is_empty() && page[2].tags.is_empty() && page[2].annotations.is_empty());
    assert_eq!(&page[3].payload[..], b"stored as text");

    assert_eq!(store.read("s", &Read::new().tag("a<b")).await.unwrap().len(), 1);
    assert_eq!(store.read("s", &Read::new().metadata("html", "<b>")).await.unwrap().len(), 1);
    store.set_annotations("s", &3, AnnotationChanges::new().set("now", "works")).await.unwrap();
    let again = store.append("s", vec![Append::new("x".into()).dedup_key("d")], Expect::Any).await.unwrap();
    assert_eq!(again.duplicates[0].id, 2);
    let appended = store.append("s", vec![Append::new("x".into())], Expect::LastId(4)).await.unwrap();
    assert!(appended[0] > 5, "the id of a trimmed entry is not used again");
}

#[tokio::test]
async fn our_database_has_the_columns_tables_and_indexes_of_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.db"), folder.path().join("theirs.db"));
    let store = SqliteStore::open(&ours).stream_names(StreamNames::Mapped).build().await.unwrap();
    let origin = Origin {
        source_id: "7".into(),
        updated_at: Some(ledger_streams::Timestamp::now()),
        ..Origin::default()
    };
    let entry = Append::new("p".into()).tag("t").metadata("k", "v").origin(origin);
    store.append("s", vec![Append::new("p".into()), entry], Expect::Any).await.unwrap();
    store.set_annotations("s", &1, AnnotationChanges::new().set("a", "b").delete("c")).await.unwrap();
    store.set_annotations("s", &2, AnnotationChanges::new().delete("c")).await.unwrap();
    store.database().close().await;

    let (ours, theirs) = (Connection::open(&ours).unwrap(), original(&theirs));
    for table in ["ledger_entries", "ledger_entries_cursors", "ledger_stream_metadata"] {
        assert_eq!(columns(&ours, table), columns(&theirs, table), "{table}");
    }
    // Indexes that only cost are left out (W48); the others are the same.
    let mut expected = indexes(&theirs);
    expected
        .retain(|name, _| !["idx_ledger_entries_stream", "idx_ledger_entries_tags"].contains(&name.as_str()));
    assert_eq!(indexes(&ours), expected);

    // The rows are as the original needs them: its reads fail on any other form of time, on NULL tags, on `null`.
    let time = "____-__-__T__:__:__.___";
    let odd = "SELECT count(*) FROM ledger_entries WHERE created_at NOT LIKE ?1
        OR (updated_at IS NOT NULL AND updated_at NOT LIKE ?1) OR typeof(payload) != 'blob' OR json_type(tags) != 'array'
        OR json_type(metadata) != 'object' OR json_type(annotations) != 'object'
        OR order_key IS NULL OR dedup_key IS NULL OR source_id IS NULL";
    assert_eq!(ours.query_row(odd, [time], |row| row.get::<_, i64>(0)).unwrap(), 0);
    let mapped =
        "SELECT count(*) FROM ledger_entries e JOIN ledger_stream_metadata m ON m.stream_id = e.stream
        WHERE m.name = 's' AND m.store_name = 'ledger_entries' AND length(m.stream_id) = 36
        AND m.created_at LIKE '____-__-__ __:__:__'";
    assert_eq!(ours.query_row(mapped, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    // What the original runs when it opens a database finds everything in place.
    let reopen = ORIGINAL_SCHEMA
        .replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
        .replace("INDEX idx", "INDEX IF NOT EXISTS idx");
    ours.execute_batch(&reopen).unwrap();
    assert_eq!(ours.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

type Column = (String, String, bool, Option<String>, i64);

fn columns(connection: &Connection, table: &str) -> Vec<Column> {
    let mut select = connection
        .prepare("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?1)")
        .unwrap();
    let columns = select
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .unwrap();
    columns.map(Result::unwrap).collect()
}

/// Per index of the entries: whether it is unique, whether it is partial, its columns, its condition.
fn indexes(connection: &Connection) -> BTreeMap<String, (bool, bool, Vec<String>, Option<String>)> {
    let mut list = connection
        .prepare("SELECT name, \"unique\", partial FROM pragma_index_list('ledger_entries')")
        .unwrap();
    let indexes = list.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let describe = |(name, unique, partial): (String, bool, bool)| {
        let mut info = connection.prepare("SELECT name FROM pragma_index_info(?1)").unwrap();
        let columns = info.query_map([&name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let sql: String = connection
            .query_row("SELECT sql FROM sqlite_master WHERE name = ?1", [&name], |row| row.get(0))
            .unwrap();
        let condition = sql.split_once("WHERE").map(|(_, condition)| condition.trim().to_owned());
        (name, (unique, partial, columns, condition))
    };
    indexes.map(|index| describe(index.unwrap())).collect()
}

#[tokio::test]
async fn a_table_from_before_source_ids_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let schema = ORIGINAL_SCHEMA.replace("        source_id TEXT NOT NULL DEFAULT '',\n", "");
    let old = Connection::open(&path).unwrap();
    for statement in schema.split_inclusive(';').filter(|statement| !statement.contains("source_id")) {
        old.execute_batch(statement).unwrap();
    }
    old.execute("INSERT INTO ledger_entries (stream, payload) VALUES ('s', x'01')", []).unwrap();
    assert!(!columns(&old, "ledger_entries").iter().any(|column| column.0 == "source_id"));

    let reader = SqliteStore::open(&path).access(Access::ReadOnly).build().await.unwrap();
    assert_eq!(reader.read("s", &Read::new()).await.unwrap().len(), 1);
    assert!(
        !columns(&old, "ledger_entries").iter().any(|column| column.0 == "source_id"),
        "reading changes nothing"
    );

    let store = SqliteStore::open(&path).build().await.unwrap();
    let copy = Append::new("p".into()).origin(Origin { source_id: "9".into(), ..Origin::default() });
    store.append("s", vec![copy], Expect::Any).await.unwrap();
    assert_eq!(store.read("s", &Read::new()).await.unwrap()[1].source_id, "9");
    let fresh = Connection::open(folder.path().join("fresh.db")).unwrap();
    fresh.execute_batch(ORIGINAL_SCHEMA).unwrap();
    assert_eq!(indexes(&old), indexes(&fresh));
}

#[tokio::test]
async fn streams_of_a_daemon_are_found_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("daemon.db");
    let daemon = original(&path);
    let uuid = "466dd11e-8df5-403b-90d1-07ca19a5ef02";
    daemon.execute("INSERT INTO ledger_stream_metadata (store_name, name, stream_id) VALUES ('ledger_entries', 'orders', ?1), ('ledger_entries', 'empty', 'e'), ('other', 'orders', 'o')", [uuid]).unwrap();
    daemon
        .execute("INSERT INTO ledger_entries (stream, payload) VALUES (?1, ?2)", params![uuid, b"paid"])
        .unwrap();
    let store = SqliteStore::open(&path).stream_names(StreamNames::Mapped).build().await.unwrap();

    assert_eq!(
        store.list_streams(None, 10).await.unwrap(),
        ["orders"],
        "names without entries are not listed (W31)"
    );
    let page = store.read("orders", &Read::new()).await.unwrap();
    assert_eq!((page.len(), &*page[0].stream), (1, "orders"));
    let found = store.search(None, "paid", &Read::new()).await.unwrap();
    assert_eq!(&*found[0].stream, "orders", "a search of all streams says which one it was (W53)");
    assert_eq!(
        store.count("s").await.unwrap(),
        0,
        "what a library wrote under plain names is not a daemon's"
    );

    store.append("orders", vec![Append::new("sent".into())], Expect::LastId(page[0].id)).await.unwrap();
    let in_same_stream = "SELECT count(*) FROM ledger_entries WHERE stream = ?1";
    assert_eq!(daemon.query_row(in_same_stream, [uuid], |row| row.get::<_, i64>(0)).unwrap(), 2);
    store.rename_stream("orders", "done").await.unwrap();
    store.append("orders", vec![Append::new("new".into())], Expect::Empty).await.unwrap();
    assert_eq!(store.list_streams(None, 10).await.unwrap(), ["done", "orders"]);
    assert_eq!(daemon.query_row(in_same_stream, [uuid], |row| row.get::<_, i64>(0)).unwrap(), 2);
}

#[tokio::test]
async fn a_failed_append_leaves_no_name_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.db");
    let store = SqliteStore::open(&path).stream_names(StreamNames::Mapped).build().await.unwrap();
    store.append("new", vec![], Expect::Any).await.unwrap();
    let conflict = store.append("new", vec![Append::new("p".into())], Expect::LastId(7)).await;
    assert!(matches!(conflict, Err(StoreError::Conflict(_))));
    store.read("new", &Read::new()).await.unwrap();
    drop(store.subscribe("new", ledger_streams::Position::Start).await.unwrap());
    let names = "SELECT count(*) FROM ledger_stream_metadata";
    let connection = Connection::open(&path).unwrap();
    assert_eq!(connection.query_row(names, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test]
async fn a_malformed_row_is_reported_and_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.db");
    let store = SqliteStore::open(&path).build().await.unwrap();
    let entries = (0..5).map(|number| Append::new(format!("{number}").into()).tag("t")).collect();
    store.append("s", entries, Expect::Any).await.unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "UPDATE ledger_entries SET created_at = 'yesterday' WHERE id = 1;
            UPDATE ledger_entries SET tags = '[1]' WHERE id = 3;
            UPDATE ledger_entries SET metadata = '{\"n\":1}' WHERE id = 5;",
        )
        .unwrap();
    let page = store.read("s", &Read::new()).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.id).collect::<Vec<_>>(), [2, 4]);
    let damaged: Vec<_> = page.damaged.iter().map(|record| (record.id, record.field)).collect();
    assert_eq!(damaged, [(1, "created_at"), (3, "tags"), (5, "metadata")]);
    assert_eq!(page.next, Some(5), "the cursor passes what is damaged");
    assert_eq!(store.read("s", &Read::new().tag("t").limit(2)).await.unwrap().next, Some(2));
}

#[tokio::test]
async fn reserved_words_are_fine_and_names_that_would_collide_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.db");
    for name in ["order", "group", "select", "table"] {
        let store = SqliteStore::open(&path).table(name).full_text_search(true).build().await.unwrap();
        store.append("s", vec![Append::new("payload".into())], Expect::Any).await.unwrap();
        assert_eq!(store.search(None, "payload", &Read::new()).await.unwrap().len(), 1);
    }
    for name in
        ["order_cursors", "x_cursors", "x_fts", "order_fts_data", "sqlite_x", "ledger_stream_metadata"]
    {
        let refused = SqliteStore::open(&path).table(name).build().await.err();
        let is_right =
            matches!(refused, Some(OpenError::ReservedName { .. } | OpenError::ForeignTable { .. }));
        assert!(is_right, "{name}: {refused:?}");
    }
    let other_case = SqliteStore::open(&path).table("Order").build().await.err();
    assert!(matches!(other_case, Some(OpenError::NameTaken { .. })), "{other_case:?}");
    for name in ["", "1a", "a b", "a\"b", "ä", "a\0b", &"x".repeat(10_000)] {
        let refused = SqliteStore::open(&path).table(name).build().await.err();
        assert!(matches!(refused, Some(OpenError::InvalidName(_))), "{name}: {refused:?}");
    }
}
