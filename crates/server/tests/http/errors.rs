//! How the gateway says no (specification §5.5, §5.7).

use crate::curl::Served;

fn owned(status: u16, code: i64, message: &str) -> (u16, i64, String) {
    (status, code, message.to_owned())
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told_apart() {
    let served = Served::start("").await;
    let not_found = owned(404, 5, "Not Found");
    for path in [
        "/",
        "/v1",
        "/v1/streams/",
        "/v1/streams/s",
        "/v1/streams/a%2Fb/entries",
        "/v1/streams/a%2fb/entries",
        "/v1/streams/a/b/entries",
        "/v1/streams/s/entries/",
        "/v1/streams/s/entries:nonsense",
        "/v1/streams/:stat",
        "//v1/streams",
        "/v1//streams",
        "/v1/streams/../../v1/streams",
        "/v1/x/%2e%2e/streams",
        "/etc/passwd",
        "/../../etc/passwd",
    ] {
        assert_eq!(served.curl("GET", path).run().await.refusal(), not_found, "{path}");
    }
    let wrong = owned(501, 12, "Method Not Allowed");
    for (method, path) in [
        ("DELETE", "/v1/streams/s/entries"),
        ("PUT", "/v1/streams/s/entries"),
        ("GET", "/v1/streams/s:rename"),
        ("POST", "/v1/streams"),
        ("POST", "/v1/streams/s/entries/1/tags"),
        ("OPTIONS", "/v1/streams"),
        ("BREW", "/v1/health"),
    ] {
        assert_eq!(served.curl(method, path).run().await.refusal(), wrong, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let served = Served::start("").await;
    served.append("s", &["a"]).await;
    served.append("t", &["a"]).await;
    let cases = [
        ("GET", "/v1/streams//entries", "", 400, 3, "stream must not be empty"),
        ("POST", "/v1/streams/s/entries:search", "{}", 400, 3, "query must not be empty"),
        ("POST", "/v1/streams/s/entries:trim", "", 400, 3, "before_id must not be empty"),
        ("PUT", "/v1/streams/s/entries//tags", "{}", 400, 3, "id must not be empty"),
        ("POST", "/v1/streams/s:rename", "{}", 400, 3, "name and new_name must not be empty"),
        ("GET", "/v1/streams/s/entries?options.limit=many", "", 400, 3, "parsing field \"limit\": "),
        ("GET", "/v1/streams/s/entries?options.after=x", "", 400, 3, "ledger: invalid cursor type: expected"),
        ("GET", "/v1/streams/s/entries?x=%zz", "", 400, 3, "invalid URL escape"),
        ("GET", "/v1/streams/%/entries", "", 400, 3, "invalid URL escape"),
        ("GET", "/v1/streams/%ff/entries", "", 400, 3, "the URL is not UTF-8"),
        ("POST", "/v1/streams/%00/entries", "{\"entries\":[{}]}", 400, 3, ""),
        ("POST", "/v1/streams/s/entries", "{\"entries\":", 400, 3, "malformed JSON: "),
        ("POST", "/v1/streams/s/entries", "{\"entries\":[{\"payload\":\"*\"}]}", 400, 3, "malformed JSON: "),
        ("PUT", "/v1/streams/s/entries/9/tags", "{}", 404, 5, "entry not found"),
        (
            "PUT",
            "/v1/streams/none/entries/1/tags",
            "{}",
            404,
            5,
            "ledger: stream not found: \"none\" in store \"orders\"",
        ),
        (
            "PATCH",
            "/v1/streams/none/entries/1/annotations",
            "{}",
            404,
            5,
            "ledger: stream not found: \"none\" in store \"orders\"",
        ),
        (
            "POST",
            "/v1/streams/none:rename",
            "{\"newName\":\"x\"}",
            404,
            5,
            "ledger: stream not found: \"none\" in store \"orders\"",
        ),
        (
            "POST",
            "/v1/streams/s:rename",
            "{\"newName\":\"t\"}",
            409,
            6,
            "ledger: stream already exists: \"t\" in store \"orders\"",
        ),
        ("POST", "/v1/streams/s/entries", "{\"expectEmpty\":true,\"entries\":[{}]}", 409, 10, ""),
        ("GET", "/v1/streams/s/entries:subscribe?after=x", "", 400, 3, "ledger: invalid cursor type"),
        ("GET", "/v1/streams/s/entries:subscribe?from=x", "", 400, 3, "parsing field \"from\": "),
    ];
    for (method, path, body, http, code, message) in cases {
        let curl = served.curl(method, path);
        let answer = if body.is_empty() { curl } else { curl.body(body) }.run().await;
        let (status, actual, text) = answer.refusal();
        assert_eq!((status, actual), (http, code), "{method} {path}: {text}");
        assert!(text.starts_with(message), "{method} {path}: {text}");
        assert_eq!(answer.header("grpc-metadata-content-type"), None);
    }
}

#[tokio::test]
async fn a_missing_store_is_the_clients_error_and_a_bad_name_too() {
    let served = Served::start("").await;
    let missing = served.bare("GET", "/v1/streams/s/entries").run().await.refusal();
    assert_eq!(missing, owned(400, 3, "missing x-ledger-store metadata header"));
    let bad = served
        .bare("POST", "/v1/streams/s/entries")
        .header("x-ledger-store: bad name")
        .body("{\"entries\":[{}]}");
    let (status, code, message) = bad.run().await.refusal();
    assert_eq!((status, code), (400, 3));
    assert!(message.starts_with("ledger: invalid table/collection name: \"bad name\""), "{message}");
}

#[tokio::test]
async fn a_deadline_that_passes_is_told_and_one_that_is_none_is_refused() {
    let served = Served::start("").await;
    served.append("s", &["a"]).await;
    // Somebody else has the database locked, so this append has to wait.
    let blocker = rusqlite::Connection::open(served.daemon.folder.path().join("ledger.db")).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let append = served.curl("POST", "/v1/streams/s/entries").body("{\"entries\":[{}]}");
    let late = append.header("Grpc-Timeout: 100m").run().await;
    assert_eq!(late.refusal(), owned(504, 4, "deadline exceeded"));
    drop(blocker);
    let none = served.curl("GET", "/v1/streams").header("Grpc-Timeout: soon").run().await.refusal();
    assert_eq!((none.0, none.1), (400, 3));
    assert!(none.2.starts_with("invalid grpc-timeout: "), "{none:?}");
    served.curl("GET", "/v1/streams").header("Grpc-Timeout: 60S").run().await.ok();
}

#[tokio::test]
async fn a_broken_database_is_internal_and_its_words_stay_in_the_daemon() {
    let served = Served::start("").await;
    served.append("s", &["a"]).await;
    let database = rusqlite::Connection::open(served.daemon.folder.path().join("ledger.db")).unwrap();
    database.execute_batch("DROP TABLE orders").unwrap();
    let answer = served.curl("GET", "/v1/streams/s/entries").run().await;
    let (status, code, _) = answer.refusal();
    assert_eq!((status, code), (500, 13));
    for secret in ["orders", "no such table", "ledger.db"] {
        assert!(!answer.body.contains(secret), "{answer:?}");
    }
}
