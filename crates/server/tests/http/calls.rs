//! Every route of specification §5.7, and what the JSON of its answers looks like.

use serde_json::{Value, json};

use crate::curl::Served;

/// An entry as in the sample of specification §5.7, at a time of its own.
const SAMPLE: &str = r#"{"entries":[{"payload":"eyJhIjoxfQ==","orderKey":"o","schemaVersion":"3",
    "metadata":{"k":"v"},"tags":["t"],"createdAt":"2026-11-21T03:55:21.444Z"}]}"#;

/// Fields that clients of the original do not know are left out.
fn classic(mut page: Value) -> Value {
    for field in ["more", "next", "damaged", "cutShort", "duplicates", "durability"] {
        page.as_object_mut().unwrap().remove(field);
    }
    for entry in page.get_mut("entries").and_then(Value::as_array_mut).into_iter().flatten() {
        entry.as_object_mut().unwrap().remove("sourceId");
    }
    page
}

#[tokio::test]
async fn an_appended_entry_is_read_to_the_byte_as_the_sample_of_the_original() {
    let served = Served::start("").await;
    let appended = served.curl("POST", "/v1/streams/s1/entries").body(SAMPLE).run().await.ok();
    assert_eq!(appended, json!({ "ids": ["1"], "duplicates": [], "durability": "DURABILITY_SYNCED" }));
    let page = served.curl("GET", "/v1/streams/s1/entries").run().await;
    page.ok();
    let sample = r#"{"entries":[{"id":"1","stream":"s1","payload":"eyJhIjoxfQ==","orderKey":"o","dedupKey":"","schemaVersion":"3","metadata":{"k":"v"},"tags":["t"],"annotations":{},"createdAt":"2026-11-21T03:55:21.444Z","updatedAt":null"#;
    let additions = r#","sourceId":""}],"more":false,"next":"1","damaged":[],"cutShort":false}"#;
    assert_eq!(page.body, format!("{sample}{additions}"));
}

#[tokio::test]
async fn every_route_does_what_its_call_does() {
    let served = Served::start("").await;
    let call = async |method: &str, path: &str, body: &str| {
        let curl = served.curl(method, path);
        if body.is_empty() { curl } else { curl.body(body) }.run().await.ok()
    };
    assert_eq!(served.append("s", &["one", "two", "three"]).await, ["1", "2", "3"]);
    served.append("t", &["one more"]).await;

    assert_eq!(call("GET", "/v1/streams/s/entries:count", "").await, json!({ "count": "3" }));
    assert_eq!(
        call("GET", "/v1/streams/s:stat", "").await,
        json!({ "stream": "s", "count": "3", "firstId": "1", "lastId": "3" })
    );
    assert_eq!(call("GET", "/v1/streams", "").await, json!({ "streamIds": ["s", "t"], "cutShort": false }));
    assert_eq!(call("GET", "/v1/streams?after=s&limit=1", "").await["streamIds"], json!(["t"]));

    assert_eq!(call("PUT", "/v1/streams/s/entries/2/tags", r#"{"tags":["x","y"]}"#).await, json!({}));
    let change = r#"{"set":{"b":"2","a":"1"},"delete":["c"]}"#;
    assert_eq!(call("PATCH", "/v1/streams/s/entries/2/annotations", change).await, json!({}));
    let page = call("GET", "/v1/streams/s/entries?options.tag=x", "").await;
    let entry = &page["entries"][0];
    assert_eq!((&entry["id"], &entry["tags"]), (&json!("2"), &json!(["x", "y"])));
    assert_eq!(entry["annotations"].to_string(), r#"{"a":"1","b":"2"}"#, "keys are sorted");
    assert!(entry["updatedAt"].as_str().unwrap().ends_with('Z'));

    let found = call("POST", "/v1/streams//entries:search", r#"{"query":"one"}"#).await;
    let streams: Vec<_> = found["entries"].as_array().unwrap().iter().map(|entry| &entry["stream"]).collect();
    assert_eq!(streams, ["s", "t"]);
    let found =
        call("POST", "/v1/streams/t/entries:search", r#"{"query":"one","options":{"limit":5}}"#).await;
    assert_eq!(found["entries"].as_array().unwrap().len(), 1);

    assert_eq!(
        call("POST", "/v1/streams/s/entries:trim", r#"{"beforeId":"2"}"#).await,
        json!({ "deleted": "2" })
    );
    assert_eq!(call("POST", "/v1/streams/s:rename", r#"{"newName":"renamed"}"#).await, json!({}));
    assert_eq!(call("GET", "/v1/streams/renamed/entries:count", "").await, json!({ "count": "1" }));
    assert_eq!(served.bare("GET", "/v1/health").run().await.ok(), json!({ "status": "ok" }));
}

#[tokio::test]
async fn unknown_streams_and_stores_are_empty_and_not_made() {
    let served = Served::start("").await;
    for _ in 0..2 {
        let get = async |path: &str| classic(served.curl("GET", path).run().await.ok());
        assert_eq!(get("/v1/streams/none/entries").await, json!({ "entries": [] }));
        assert_eq!(get("/v1/streams/none/entries:count").await, json!({ "count": "0" }));
        assert_eq!(
            get("/v1/streams/none:stat").await,
            json!({ "stream": "none", "count": "0", "firstId": "", "lastId": "" })
        );
        assert_eq!(get("/v1/streams").await, json!({ "streamIds": [] }));
        let trim = served.curl("POST", "/v1/streams/none/entries:trim").body(r#"{"beforeId":"x"}"#);
        assert_eq!(trim.run().await.ok(), json!({ "deleted": "0" }));
    }
    let database = rusqlite::Connection::open(served.daemon.folder.path().join("ledger.db")).unwrap();
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'orders%'";
    assert_eq!(database.query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[tokio::test]
async fn requests_may_be_written_in_every_way_that_proto3_json_allows() {
    let served = Served::start("").await;
    let append = async |entry: &str| {
        let body = format!("{{\"entries\":[{entry}]}}");
        let curl = served.curl("POST", "/v1/streams/s/entries").header("content-type: text/nonsense");
        curl.body(&body).run().await.ok()["ids"][0].as_str().unwrap().to_owned()
    };
    for (entry, field, value) in [
        (r#"{"payload":"_-8="}"#, "payload", "/+8="),
        (r#"{"payload":"/+8"}"#, "payload", "/+8="),
        (r#"{"payload":""}"#, "payload", ""),
        (r#"{"order_key":"o"}"#, "orderKey", "o"),
        (r#"{"orderKey":"o","unknown":[{"x":null}]}"#, "orderKey", "o"),
        (r#"{"schemaVersion":7}"#, "schemaVersion", "7"),
        (r#"{"schema_version":"9007199254740993"}"#, "schemaVersion", "9007199254740993"),
        (r#"{"schemaVersion":null,"tags":null,"metadata":null}"#, "schemaVersion", "1"),
        (r#"{"payload":"YQ==","dedupKey":"\u00e9\ud83d\ude00"}"#, "dedupKey", "é😀"),
    ] {
        let id = append(entry).await;
        let before = id.parse::<u64>().unwrap() - 1;
        let path = format!("/v1/streams/s/entries?options.after={before}&options.limit=1");
        let page = served.curl("GET", &path).run().await.ok();
        assert_eq!(page["entries"][0][field], *value, "{entry}");
    }
}

#[tokio::test]
async fn what_is_added_to_the_protocol_is_there_in_json_too() {
    let served = Served::start("").await;
    let append = |body: &str| served.curl("POST", "/v1/streams/s/entries").body(body);
    let copy = r#"{"expectEmpty":true,"entries":[{"payload":"YQ==","dedupKey":"d","sourceId":"origin-1",
        "annotations":{"a":"b"},"createdAt":"2001-02-03T04:05:06.789Z","updatedAt":"2002-02-03T04:05:06Z"}]}"#;
    append(copy).run().await.ok();
    let again = append(r#"{"entries":[{"payload":"Yg==","dedupKey":"d"}]}"#).run().await.ok();
    let expected =
        json!({ "ids": [], "duplicates": [{ "index": "0", "id": "1" }], "durability": "DURABILITY_SYNCED" });
    assert_eq!(again, expected);

    let page =
        served.curl("GET", "/v1/streams/s/entries?options.until=2001-02-03T04:05:07Z").run().await.ok();
    let entry = &page["entries"][0];
    assert_eq!(
        (&entry["createdAt"], &entry["updatedAt"]),
        (&json!("2001-02-03T04:05:06.789Z"), &json!("2002-02-03T04:05:06Z"))
    );
    let none =
        served.curl("GET", "/v1/streams/s/entries?options.since=2001-02-03T04:05:07Z").run().await.ok();
    assert_eq!(none["entries"], json!([]));

    let conflict = append(r#"{"expectLastId":"9","entries":[{"payload":"YQ=="}]}"#).run().await;
    assert_eq!(conflict.refusal().1, 10);
    assert_eq!(
        conflict.json()["fact"],
        json!({ "conflict": { "stream": "s", "expectedLastId": "9", "actualLastId": "1" } })
    );
}

#[tokio::test]
async fn filters_of_a_read_are_query_parameters() {
    let served = Served::start("").await;
    let entries = r#"{"entries":[
        {"payload":"YQ==","orderKey":"o","tags":["a","b"],"metadata":{"env":"prod"}},
        {"payload":"Yg==","tags":["a"],"metadata":{"env":"test"}},
        {"payload":"Yw==","tags":["b","a"],"metadata":{"env":"prod"}}]}"#;
    served.curl("POST", "/v1/streams/s/entries").body(entries).run().await.ok();
    for (query, expected) in [
        ("", vec!["1", "2", "3"]),
        ("options.after=1", vec!["2", "3"]),
        ("options.limit=2", vec!["1", "2"]),
        ("options.desc=true&options.limit=2", vec!["3", "2"]),
        ("options.order_key=o", vec!["1"]),
        ("options.orderKey=o", vec!["1"]),
        ("options.tag=a", vec!["1", "2", "3"]),
        ("options.all_tags=a&options.all_tags=b", vec!["1", "3"]),
        ("options.metadata_filters[env]=prod", vec!["1", "3"]),
        ("options.metadata_filters%5Benv%5D=test", vec!["2"]),
        ("options.annotation_filters[x]=y", vec![]),
        ("limit=1&tag=nothing&stream=other", vec!["1", "2", "3"]),
    ] {
        let page = served.curl("GET", &format!("/v1/streams/s/entries?{query}")).run().await.ok();
        let ids: Vec<_> =
            page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn names_with_any_characters_but_a_slash_can_stand_in_a_path() {
    let served = Served::start("").await;
    for (path, name) in [
        ("a%3Ab", "a:b"),
        ("a:b", "a:b"),
        ("..", ".."),
        ("%2e%2e", ".."),
        (".", "."),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("%252F", "%2F"),
        ("%C3%A9%F0%9F%98%80", "é😀"),
        ("x%3Fy%23z", "x?y#z"),
        ("..%5c..%5cetc", "..\\..\\etc"),
    ] {
        served.append(path, &["x"]).await;
        let page = served.curl("GET", &format!("/v1/streams/{path}/entries")).run().await.ok();
        assert_eq!(page["entries"][0]["stream"], name);
        let stat = served.curl("GET", &format!("/v1/streams/{path}:stat")).run().await.ok();
        assert_eq!(stat["stream"], name);
    }
    let names = served.curl("GET", "/v1/streams").run().await.ok();
    assert_eq!(names["streamIds"].as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn metadata_can_come_behind_a_prefix() {
    let served = Served::start("").await;
    served.append("s", &["x"]).await;
    for header in [
        "X-Ledger-Store: orders",
        "Grpc-Metadata-x-ledger-store: orders",
        "GRPC-METADATA-X-LEDGER-STORE: orders",
    ] {
        let count = served.bare("GET", "/v1/streams/s/entries:count").header(header).run().await.ok();
        assert_eq!(count, json!({ "count": "1" }), "{header}");
    }
    // Its own name wins.
    let both =
        served.curl("GET", "/v1/streams/s/entries:count").header("Grpc-Metadata-x-ledger-store: other");
    assert_eq!(both.run().await.ok(), json!({ "count": "1" }));
    let exact = served.bare("GET", "/v1/streams//entries:count").header("x-ledger-store: orders");
    assert_eq!(exact.header("x-ledger-exact: 1").run().await.ok(), json!({ "count": "0" }));
}
