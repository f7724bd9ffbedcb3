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
