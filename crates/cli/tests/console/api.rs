//! Every route of the console, in the shapes of specification §10.

use serde_json::{Value, json};

use crate::support::*;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Whether an object has these keys; others are additions.
fn has(value: &Value, expected: &[&str]) {
    for key in expected {
        assert!(value.get(key).is_some(), "{key} in {value}");
    }
}

#[test]
fn every_route_answers_as_described() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    for path in ["/", "/.truth-yard", "/.truth-yard/", "/.truth-yard/ui"] {
        let answer = web.get(path);
        assert_eq!((answer.status, answer.header("location")), (302, Some("/.truth-yard/ui/")), "{path}");
    }
    for (path, media_type) in [
        ("/.truth-yard/ui/", "text/html; charset=utf-8"),
        ("/.truth-yard/asset/console.css", "text/css; charset=utf-8"),
        ("/.truth-yard/asset/console.js", "text/javascript; charset=utf-8"),
        ("/.truth-yard/asset/favicon.svg", "image/svg+xml"),
        ("/.truth-yard/ledger.d/", "text/html; charset=utf-8"),
        ("/.truth-yard/api/trace-help.json", "application/json; charset=utf-8"),
    ] {
        let answer = web.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(media_type)), "{path}");
        for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
    }
    assert_eq!(web.get("/.truth-yard/ledger.d").header("location"), Some("/.truth-yard/ledger.d/"));
    for path in ["/.truth-yard/nothing", "/.truth-yard/asset/nothing", "/.truth-yard/api/nothing.json"] {
        assert_eq!(web.get(path).status, 404, "{path}");
    }
    let posted = web.ask("POST /.truth-yard/api/reconcile.json HTTP/1.1\nContent-Length: 0");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn processes_are_told_without_what_their_environment_holds() {
    let yard = Yard::empty();
    yard.database("apps/a.db", "sqlpage_files");
    std::fs::write(yard.cargo("apps/.env"), "API_TOKEN=hunter2\n").unwrap();
    let mut start = yard.command(&["start"]);
    assert!(start.env("DATABASE_PASSWORD", "hunter3").output().unwrap().status.success());
    let web = Web::start(&yard, &[]);
    let answer = web.json("/.truth-yard/api/tagged-processes.json");
    has(&answer, &["now", "ledgerDir", "count", "taggedProcesses"]);
    assert_eq!(answer["count"], 1);
    let process = &answer["taggedProcesses"][0];
    has(
        process,
        &[
            "pid",
            "sessionId",
            "serviceId",
            "contextPath",
            "provenance",
            "env",
            "context",
            "cmdline",
            "kind",
            "label",
            "proxyEndpointPrefix",
            "upstreamUrl",
        ],
    );
    assert_eq!(process["pid"], yard.context("apps/a.db")["pid"]);
    assert!(process.get("issue").is_none(), "{process}");
    assert!(keys(&process["env"]).iter().all(|name| name.starts_with("TRUTH_YARD_")), "{process}");
    let all = format!("{answer} {}", web.get("/.truth-yard/ledger.d/").text());
    assert!(!all.contains("hunter"), "{all}");
    assert_eq!(process["context"]["spawned"]["plan"]["env"]["API_TOKEN"], "(masked)");
    // A context of the original holds the values in clear; the console does not show them.
    let context = yard.context("apps/a.db");
    let path = context["paths"]["context"].as_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap().replace("(masked)", "hunter4");
    assert!(text.contains("hunter4"));
    std::fs::write(path, text).unwrap();
    until("the new context is seen", || {
        let answer = web.json("/.truth-yard/api/tagged-processes.json").to_string();
        assert!(!answer.contains("hunter"), "{answer}");
        !web.json("/.truth-yard/api/reconcile.json").is_null()
    });
}

#[test]
fn the_table_and_where_a_path_leads_are_told() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let table = web.json("/.truth-yard/api/proxy-table.json");
    has(&table, &["now", "ledgerDir", "count", "proxyTable", "proxyConflicts"]);
    let bases: Vec<&str> =
        table["proxyTable"].as_array().unwrap().iter().map(|row| row["basePath"].as_str().unwrap()).collect();
    assert_eq!(bases, [STRIPPED, KEPT, "/plain.plain.db", "/kept.db"], "longest first");
    let kept = yard.context("apps/kept.db");
    let url = kept["service"]["upstreamUrl"].as_str().unwrap();
    assert_eq!(table["proxyTable"][1]["upstreamUrl"], url);

    let resolve = |path: &str| web.json(&format!("/.truth-yard/api/proxy-resolve.json?path={path}"));
    let found = resolve("/apps/sqlpage/apps/kept/x%3Fq=1");
    assert_eq!(
        found,
        json!({ "ok": true, "input": format!("{KEPT}/x?q=1"), "matchBasePath": KEPT, "upstreamUrl": url,
            "rest": "/x", "proxiedUrl": format!("{url}/x?q=1") })
    );
    let stripped = resolve("/plain.plain.db");
    let origin = yard.context("my apps/plain.plain.db")["listen"]["baseUrl"].as_str().unwrap().to_owned();
    assert_eq!((&stripped["rest"], &stripped["proxiedUrl"]), (&"/".into(), &format!("{origin}/").into()));
    assert_eq!(resolve("/nowhere"), json!({ "ok": false, "input": "/nowhere", "resolved": null }));
    let none = web.get("/.truth-yard/api/proxy-resolve.json");
    assert_eq!(none.status, 400);
    assert_eq!(none.json(), json!({ "ok": false, "error": "missing query param \"path\"" }));
}

#[test]
fn a_path_that_two_services_want_is_told() {
    let yard = Yard::empty();
    yard.database("a/x.db", "sqlpage_files");
    yard.database("x.db", "sqlpage_files");
    std::fs::write(yard.at("yard.yaml"), "prefix: '/{path}'\n").unwrap();
    yard.ok(&["start"]);
    // Another service takes the same prefix, which the yard itself would have refused.
    let context = yard.context("a/x.db");
    let path = context["paths"]["context"].as_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, text.replace("\"/a/x\"", "\"/x\"")).unwrap();
    let web = Web::start(&yard, &[]);
    let table = web.json("/.truth-yard/api/proxy-table.json");
    assert_eq!(table["proxyConflicts"][0]["basePath"], "/x", "{table}");
    assert_eq!(table["proxyConflicts"][0]["upstreamUrls"].as_array().unwrap().len(), 2);
}

#[test]
fn health_is_asked_of_every_service_once() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let health = web.json("/.truth-yard/api/health.json");
    has(&health, &["now", "timeoutMs", "count", "results"]);
    assert_eq!((&health["timeoutMs"], &health["count"]), (&1500.into(), &2.into()));
    for result in health["results"].as_array().unwrap() {
        has(result, &["basePath", "upstreamUrl", "ok", "status", "ms"]);
        assert_eq!((&result["ok"], &result["status"]), (&true.into(), &200.into()), "{result}");
    }
    // One hangs, the other answers.
    let pid = yard.pid("apps/kept.db");
    signal(pid, "STOP");
    let health = web.json("/.truth-yard/api/health.json?timeoutMs=300&max=1000");
    signal(pid, "CONT");
    let of = |base: &str| {
        let results = health["results"].as_array().unwrap();
        results.iter().find(|result| result["basePath"] == base).unwrap().clone()
    };
    assert_eq!(of(STRIPPED)["ok"], true);
    assert_eq!(of(KEPT)["ok"], false);
    assert!(of(KEPT)["error"].is_string(), "{health}");
    assert_eq!(web.json("/.truth-yard/api/health.json?max=1")["count"], 1);
}

#[test]
fn what_the_proxy_would_do_and_does_is_told_without_secrets() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let path = format!("path={STRIPPED_URL}/headers");
    let secrets = "Cookie: s=hunter2\nAuthorization: Basic aHVudGVyMg==\nX-Api-Key: hunter2";
    let ask = |route: &str| web.ask(&format!("GET /.truth-yard/api/{route} HTTP/1.1\n{secrets}"));
    let debug = ask(&format!("proxy-debug.json?{path}"));
    let debug = debug.json();
    has(
        &debug,
        &[
            "ok",
            "now",
            "ledgerDir",
            "input",
            "uiHint",
            "matched",
            "proxyConflicts",
            "inboundHeaders",
            "forwardedHeaders",
            "note",
        ],
    );
    has(&debug["matched"], &["basePath", "upstreamUrl", "rest", "proxiedUrl"]);
    assert_eq!(debug["inboundHeaders"]["cookie"], "(redacted)");
    assert_eq!(debug["forwardedHeaders"]["x-forwarded-for"], "127.0.0.1");
    assert!(!debug.to_string().contains("hunter2") && !debug.to_string().contains("aHVudGVyMg"));
    assert_eq!(ask("proxy-debug.json?path=/nowhere").json()["matched"], Value::Null);

    let trip = ask(&format!("proxy-roundtrip.json?{path}"));
    assert_eq!(trip.status, 200);
    let trip = trip.json();
    has(
        &trip,
        &[
            "ok",
            "now",
            "input",
            "matchedBasePath",
            "upstreamUrl",
            "proxiedUrl",
            "ms",
            "status",
            "responseHeaders",
            "bodyPreview",
        ],
    );
    assert_eq!((&trip["status"], &trip["matchedBasePath"]), (&200.into(), &STRIPPED.into()));
    assert!(trip["bodyPreview"].as_str().unwrap().contains("/headers"));
    let login = ask(&format!("proxy-roundtrip.json?path={KEPT}/login")).json();
    assert_eq!(
        (&login["status"], &login["responseHeaders"]["set-cookie"]),
        (&303.into(), &"(redacted)".into())
    );
    assert_eq!(ask("proxy-roundtrip.json?path=/nowhere").status, 404);
    let dropped = ask(&format!("proxy-roundtrip.json?path={KEPT}/drop"));
    assert_eq!((dropped.status, &dropped.json()["ok"]), (502, &false.into()));
    for route in ["proxy-debug.json", "proxy-roundtrip.json"] {
        assert_eq!(ask(route).status, 400);
    }
    has(&web.json("/.truth-yard/api/trace-help.json"), &["ok", "howTo", "redaction"]);
}

#[test]
fn what_does_not_agree_is_told_with_what_to_do() {
    let yard = yard();
    let web = Web::start(&yard, &[]);
    let reconcile = || web.json("/.truth-yard/api/reconcile.json");
    let first = reconcile();
    has(&first, &["now", "ledgerDir", "summary", "items"]);
    assert_eq!((&first["summary"]["ledgerWithoutProcess"], &first["items"]), (&0.into(), &json!([])));
    let (kept, plain) = (yard.context("apps/kept.db"), yard.context("my apps/plain.plain.db"));
    for pid in [&kept["keeper"]["pid"], &kept["pid"]] {
        signal(u32::try_from(pid.as_u64().unwrap()).unwrap(), "KILL");
    }
    std::fs::remove_file(plain["paths"]["context"].as_str().unwrap()).unwrap();
    until("both are noticed", || {
        let summary = reconcile()["summary"].clone();
        summary["ledgerWithoutProcess"] == 1 && summary["processWithoutLedger"] == 1
    });
    for item in reconcile()["items"].as_array().unwrap() {
        let expected: &[&str] = match item["kind"].as_str().unwrap() {
            "process_without_ledger" => &["pid", "serviceId", "sessionId", "contextPath", "cmdline"],
            "ledger_without_process" => &["ledgerContextPath", "pid", "serviceId", "sessionId"],
            other => panic!("{other}"),
        };
        has(item, expected);
        assert!(item["advice"].as_str().unwrap().contains("ledger yard"), "{item}");
    }
}
