//! The request's page, read as a manual: true from its first line to its last.

use std::process::Command;

use serde_json::Value;

use crate::support::*;

/// Runs a recipe of the page in the folder of the yard.
fn recipe(yard: &Yard, text: &str) -> Vec<String> {
    let output = Command::new("bash").args(["-c", text]).current_dir(yard.at("")).output().unwrap();
    assert!(output.status.success(), "{text}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn layout_fields_and_recipes_are_as_the_page_says() {
    need("jq", "jq");
    let yard = Yard::new();
    yard.database("top.db", "sqlpage_files");
    yard.ok(&["start"]);
    let session = yard.session();
    let session = session.file_name().unwrap().to_str().unwrap();
    let parts: Vec<usize> = session.split('-').map(str::len).collect();
    assert_eq!(parts, [4, 2, 2, 2, 2, 2], "{session}");
    for (folder, name) in [("apps", "dashboard.db"), ("evidence", "audit.sqlite.db")] {
        for end in ["context.json", "stdout.log", "stderr.log"] {
            let path = yard.at("ledger.d").join(session).join(folder).join(format!("{name}.{end}"));
            assert!(path.is_file(), "{}", path.display());
        }
    }

    let context = yard.context("apps/dashboard.db");
    let provenance = std::fs::canonicalize(yard.cargo("apps/dashboard.db")).unwrap();
    assert_eq!(context["serviceId"], "dashboard.db");
    assert_eq!(context["sessionId"], session);
    assert_eq!(context["provenance"], provenance.to_str().unwrap());
    assert_eq!(context["relativePath"], "apps/dashboard.db");
    assert_eq!(context["kind"], "sqlpage");
    assert!(context["port"].as_u64().unwrap() >= 3000);
    assert_eq!(context["proxyPrefix"], "/apps/sqlpage/apps/dashboard");
    assert!(lives(yard.pid("apps/dashboard.db")));
    assert!(context["spawnedAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(context["executable"], "sqlpage");
    assert!(context["args"].is_array());
    // The shape that the original program writes is there too.
    assert_eq!(context["spawned"]["pid"], context["pid"]);
    assert_eq!(context["service"]["id"], "cargo.d/apps/dashboard.db");
    assert_eq!(context["listen"]["port"], context["port"]);
    assert!(get(&context).contains("served"));

    let ports = recipe(&yard, "cat ledger.d/*/**.context.json | jq -r '.port'");
    assert_eq!(ports, [yard.context("top.db")["port"].to_string()]);
    let ids =
        recipe(&yard, "cat ledger.d/*/**.context.json | jq -r 'select(.kind == \"sqlpage\") | .serviceId'");
    assert_eq!(ids, ["top.db"]);
    let ids = recipe(
        &yard,
        "shopt -s globstar; cat ledger.d/*/**/*.context.json | jq -r 'select(.kind == \"sqlpage\") | .serviceId'",
    );
    assert_eq!(ids, ["dashboard.db", "top.db"]);
    let shown = recipe(&yard, "cat ledger.d/*/apps/dashboard.db.context.json | jq .");
    assert_eq!(serde_json::from_str::<Value>(&shown.join("\n")).unwrap(), context);

    until("the request is in the log", || {
        let log = yard.at("ledger.d").join(session).join("apps/dashboard.db.stdout.log");
        std::fs::read_to_string(log).unwrap().contains("GET / HTTP/1.0")
    });
    assert!(yard.ok(&["ls"]).contains("dashboard.db"));
    assert!(yard.ok(&["ps", "--reconcile"]).contains("3 services are as the ledger says"));
    yard.ok(&["kill", "--clean"]);
    assert!(!yard.at("ledger.d").join(session).exists());
}

#[test]
fn a_one_shot_run_is_a_snapshot_and_a_watch_has_a_session_that_stays() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let first = yard.session();
    let snapshot = std::fs::read(first.join("apps/dashboard.db.context.json")).unwrap();
    yard.ok(&["start"]);
    assert_ne!(yard.session(), first, "each run has its own session");
    assert_eq!(std::fs::read(first.join("apps/dashboard.db.context.json")).unwrap(), snapshot);
    yard.ok(&["kill"]);
    for _ in 0..2 {
        let watch = yard.watch(&[]);
        until("the first round", || watch.output().contains("PROXY PREFIX"));
        assert_eq!(yard.session(), yard.at("ledger.d/watch"));
        // The log of the page, as it is being written.
        let mut tail = Command::new("tail");
        tail.args(["-n", "0", "-f", "ledger.d/watch/apps/dashboard.db.stdout.log"]).current_dir(yard.at(""));
        let mut tail = tail.stdout(std::fs::File::create(yard.at("tail.out")).unwrap()).spawn().unwrap();
        until("a request appears", || {
            get(&yard.context("apps/dashboard.db"));
            std::fs::read_to_string(yard.at("tail.out")).unwrap().contains("GET / HTTP/1.0")
        });
        tail.kill().unwrap();
        tail.wait().unwrap();
        watch.interrupt();
    }
}

#[test]
fn a_copy_of_the_ledger_can_be_read_elsewhere() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    yard.ok(&["start"]);
    let copied = Command::new("cp").args(["-a", "ledger.d", "copy.d"]).current_dir(yard.at("")).status();
    assert!(copied.unwrap().success());
    let listed = yard.ok(&["ls", "--ledger-home", "copy.d"]);
    assert!(listed.contains("dashboard.db") && listed.contains("audit.sqlite.db"), "{listed}");
    let session = yard.session().file_name().unwrap().to_str().unwrap().to_owned();
    let context = yard.at("copy.d").join(session).join("apps/dashboard.db.context.json");
    assert!(context.is_file(), "the links of the newest session lead to the copy");
    assert!(context.canonicalize().unwrap().starts_with(yard.at("copy.d").canonicalize().unwrap()));
    let nginx = yard.ok(&["proxy-conf", "--include-dead", "--ledger-home", "copy.d"]);
    assert!(nginx.contains("/apps/sqlpage/apps/dashboard"), "configurations are generated from it: {nginx}");
    yard.ok(&["kill", "--ledger-home", "copy.d"]);
    assert_eq!(yard.ps().len(), 2, "killing a copy kills nothing of the original");
}

#[test]
fn what_crashed_and_what_is_orphaned_is_told_by_reconcile() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let (dashboard, audit) = (yard.context("apps/dashboard.db"), yard.context("evidence/audit.sqlite.db"));
    // A service and its keeper are killed: nobody can have recorded it.
    for pid in [&dashboard["keeper"]["pid"], &dashboard["pid"]] {
        signal(u32::try_from(pid.as_u64().unwrap()).unwrap(), "KILL");
    }
    // The context of the other one is taken away.
    std::fs::remove_file(audit["paths"]["context"].as_str().unwrap()).unwrap();
    let gone = u32::try_from(dashboard["pid"].as_u64().unwrap()).unwrap();
    until("the process is gone", || !lives(gone));
    let output = yard.run(&["ps", "--reconcile", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let drift: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(drift["summary"]["ledgerWithoutProcess"], 1, "{drift}");
    assert_eq!(drift["summary"]["processWithoutLedger"], 1, "{drift}");
    let text = String::from_utf8(yard.run(&["ps", "--reconcile"]).stdout).unwrap();
    assert!(text.contains("ledger yard start"), "it says what to do: {text}");
    yard.ok(&["kill"]);
    let audit = u32::try_from(audit["pid"].as_u64().unwrap()).unwrap();
    until("kill ends what only its marks tell", || !lives(audit));
    yard.ok(&["start"]);
    yard.ok(&["ps", "--reconcile"]);
}
