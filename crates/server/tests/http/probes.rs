//! Liveness, readiness and health.

use serde_json::json;

use crate::curl::Served;

#[tokio::test]
async fn probes_tell_a_daemon_that_lives_from_one_that_can_serve() {
    let served = Served::start("").await;
    served.append("s", &["a"]).await;
    for path in ["/healthz", "/readyz"] {
        let answer = served.bare("GET", path).run().await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })), "{path}");
    }
    // The database file becomes something else under the daemon.
    let path = served.daemon.folder.path().join("ledger.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    let break_it = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'nonsense'; PRAGMA schema_version = 9999";
    database.execute_batch(break_it).unwrap();
    drop(database);
    let refused = served.bare("GET", "/readyz").run().await.refusal();
    assert_eq!((refused.0, refused.1), (503, 14), "{refused:?}");
    assert_eq!(served.bare("GET", "/healthz").run().await.status, 200);
    assert_eq!(served.bare("GET", "/v1/health").run().await.ok(), json!({ "status": "degraded" }));
}

#[tokio::test]
async fn metrics_are_there_for_prometheus_and_count_this_face_too() {
    let served = Served::start("").await;
    served.append("s", &["a", "b"]).await;
    served.curl("PUT", "/v1/streams/none/entries/1/tags").body("{}").run().await;
    let mut live = served.curl("GET", "/v1/streams/s/entries:subscribe").follow();
    live.until("caught_up").await;
    let metrics = served.bare("GET", "/metrics").run().await;
    assert_eq!(
        metrics.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    for line in [
        "ledger_appended_entries_total 2",
        "ledger_requests_total{rpc=\"Append\",code=\"OK\"} 1",
        "ledger_requests_total{rpc=\"SetTags\",code=\"NOT_FOUND\"} 1",
        "ledger_open_calls{rpc=\"Subscribe\"} 1",
    ] {
        assert!(metrics.body.lines().any(|other| other == line), "{line}: {}", metrics.body);
    }
    assert!(metrics.body.ends_with("# EOF\n"));
    served.daemon.handle.stop();
    live.until("end").await;
    served.daemon.running.await.unwrap().unwrap();
    let ended = served.daemon.handle.metrics();
    let line = "ledger_requests_total{rpc=\"Subscribe\",code=\"UNAVAILABLE\"} 1";
    assert!(ended.lines().any(|other| other == line), "{ended}");
}
