//! Services and yards that end in every way but the right one.

use std::process::{Command, Stdio};

use crate::support::*;

#[test]
fn a_service_that_dies_comes_back_and_its_end_is_recorded() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let first = yard.pid("apps/dashboard.db");
    let port = yard.context("apps/dashboard.db")["port"].clone();
    signal(first, "KILL");
    until("it is started again", || {
        yard.state("apps/dashboard.db") == "ready" && yard.pid("apps/dashboard.db") != first
    });
    let context = yard.context("apps/dashboard.db");
    assert_eq!(context["state"]["restarts"], 1);
    assert_eq!(context["state"]["signal"], 9);
    assert_eq!(context["port"], port);
    assert!(get(&context).contains("served"));
}

#[test]
fn a_service_that_keeps_dying_is_given_up_after_a_limit() {
    let yard = Yard::new();
    std::fs::write(yard.at("yard.yaml"), "restart: {limit: 2, backoff_ms: 1}").unwrap();
    yard.ok(&["start"]);
    yard.behaviour("apps/dashboard.db", "die");
    signal(yard.pid("apps/dashboard.db"), "KILL");
    until("it is given up", || yard.state("apps/dashboard.db") == "failed");
    let context = yard.context("apps/dashboard.db");
    assert!(context["state"]["reason"].as_str().unwrap().contains("2 times in a row"), "{context}");
    assert_eq!(context["state"]["exitCode"], 7);
}

#[test]
fn a_service_that_ignores_the_signal_is_killed_and_so_is_what_it_forked() {
    let yard = Yard::new();
    yard.behaviour("apps/dashboard.db", "deaf");
    yard.behaviour("evidence/audit.sqlite.db", "fork");
    std::fs::write(yard.at("yard.yaml"), "stop_timeout_seconds: 1").unwrap();
    yard.ok(&["start"]);
    let (deaf, forker) = (yard.pid("apps/dashboard.db"), yard.pid("evidence/audit.sqlite.db"));
    let forked = yard.forked("evidence/audit.sqlite.db");
    assert!(lives(forked));
    yard.ok(&["kill"]);
    assert!(!lives(deaf) && !lives(forker) && !lives(forked));
    assert_eq!(yard.state("apps/dashboard.db"), "stopped");
}

#[test]
fn a_stopped_service_stays_stopped_and_a_restart_starts_it() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    yard.ok(&["stop", "apps/dashboard.db"]);
    let context = yard.context("apps/dashboard.db");
    assert_eq!(context["state"]["name"], "stopped");
    assert!(
        !context["state"]["reason"].as_str().unwrap_or_default().contains("without a keeper"),
        "{context}"
    );
    assert_eq!(context["state"]["exitCode"], 0, "it was asked to end, and its end is known: {context}");
    assert_eq!(yard.state("evidence/audit.sqlite.db"), "ready");
    assert!(yard.ok(&["ps", "--reconcile"]).contains("2 services"), "being stopped is no disagreement");
    assert_eq!(yard.ok(&["restart", "dashboard.db"]), "started dashboard.db\n");
    assert!(get(&yard.context("apps/dashboard.db")).contains("served"));
    let unknown = yard.run(&["stop", "dashbord.db"]);
    let error = String::from_utf8(unknown.stderr).unwrap();
    assert!(error.contains("dashboard.db"), "it names those that there are: {error}");
}

#[test]
fn kill_touches_no_other_yard_and_no_stranger_with_a_recorded_pid() {
    let (yard, other) = (Yard::new(), Yard::new());
    yard.ok(&["start"]);
    other.ok(&["start"]);
    let mut stranger = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    // A context of the original program, which records no more than a pid; and one of ours after a reboot.
    let forged = yard.at("ledger.d/2020-01-01-00-00-00");
    std::fs::create_dir_all(&forged).unwrap();
    let context =
        serde_json::json!({"spawned": {"pid": stranger.id()}, "service": {"id": "x"}, "supplier": {}});
    std::fs::write(forged.join("x.db.context.json"), context.to_string()).unwrap();
    let mut rebooted = yard.context("apps/dashboard.db");
    rebooted["process"] = serde_json::json!({"pid": stranger.id(), "startTicks": 1, "bootId": "another"});
    rebooted["keeper"] = rebooted["process"].clone();
    std::fs::create_dir_all(yard.at("ledger.d/.run/old.db")).unwrap();
    std::fs::write(forged.join("old.db.context.json"), rebooted.to_string()).unwrap();
    std::os::unix::fs::symlink(forged.join("old.db.context.json"), yard.at("ledger.d/.run/old.db/current"))
        .unwrap();
    assert!(!yard.ok(&["ps"]).contains("old.db"));
    yard.ok(&["kill"]);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    assert!(lives(other.pid("apps/dashboard.db")), "so does the other yard");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn clean_removes_sessions_and_nothing_else() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let session = std::fs::read_to_string(yard.at("ledger.d/.current-session")).unwrap();
    let stray = yard.at("ledger.d").join(session.trim()).join("thesis.txt");
    std::fs::write(&stray, "years of work").unwrap();
    let refused = yard.run(&["kill", "--clean"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("thesis.txt"));
    assert!(stray.exists());
    std::fs::remove_file(&stray).unwrap();
    yard.ok(&["kill", "--clean"]);
    assert!(!yard.at("ledger.d").join(session.trim()).exists());
    let nothing = yard.run(&["kill", "--clean", "--ledger-home", "cargo.d"]);
    assert!(yard.cargo("apps/dashboard.db").exists(), "{nothing:?}");
}

#[test]
fn a_service_that_forks_away_and_ends_is_a_failure_and_nothing_of_it_is_left() {
    let yard = Yard::new();
    yard.behaviour("apps/dashboard.db", "daemon");
    let error = yard.fails(&["start"]);
    assert!(error.contains("ended with exit code 0"), "{error}");
    let away = yard.forked("apps/dashboard.db");
    assert!(!lives(away), "what it left in the background has ended with it");
    assert_eq!(yard.state("apps/dashboard.db"), "failed");
}

#[test]
fn a_port_that_was_taken_in_the_meantime_is_replaced_and_whoever_took_it_is_not_the_service() {
    let yard = Yard::new();
    std::fs::write(
        yard.at("yard.yaml"),
        "restart: {limit: 1, backoff_ms: 1500}\n\
        kinds: {sqlpage: {match: {tables: [sqlpage_files]}, command: sqlpage, ready: {timeout_seconds: 5}, \
        env: {LISTEN_ON: '{address}', DATABASE_URL: 'sqlite://{path}'}}}",
    )
    .unwrap();
    yard.ok(&["start"]);
    let port = u16::try_from(number(&yard.context("apps/dashboard.db")["port"])).unwrap();
    // The service dies; before it is back, somebody else listens there and answers whatever is asked.
    yard.behaviour("apps/dashboard.db", "hang");
    signal(yard.pid("apps/dashboard.db"), "KILL");
    until("it is down", || yard.state("apps/dashboard.db") == "restarting");
    let squatter = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in squatter.incoming().map_while(Result::ok) {
            let (mut stream, mut request) = (stream, [0; 1024]);
            let _ =
                stream.read(&mut request).and_then(|_| stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nsquatter"));
        }
    });
    until("it is given up", || yard.state("apps/dashboard.db") == "failed");
    let context = yard.context("apps/dashboard.db");
    assert!(context["state"]["reason"].as_str().unwrap().contains("did not answer"), "{context}");
    std::fs::remove_file(yard.cargo("apps/dashboard.db.behaviour")).unwrap();
    yard.ok(&["start"]);
    let context = yard.context("apps/dashboard.db");
    assert_ne!(number(&context["port"]), u32::from(port));
    assert!(get(&context).contains("served"));
    assert!(
        !yard.ok(&["proxy-conf"]).contains(&format!(":{port}\"")),
        "proxies are not sent to the squatter"
    );
}

#[test]
fn a_keeper_that_is_killed_is_told_and_a_start_gives_its_service_another() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let service = yard.pid("apps/dashboard.db");
    signal(yard.keeper("apps/dashboard.db"), "KILL");
    let drift = String::from_utf8(yard.run(&["ps", "--reconcile"]).stdout).unwrap();
    assert!(drift.contains("service without keeper: dashboard.db"), "{drift}");
    assert!(lives(service));
    let output = yard.run(&["start"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("its keeper was killed"));
    assert!(!lives(service));
    assert!(get(&yard.context("apps/dashboard.db")).contains("served"));
    yard.ok(&["ps", "--reconcile"]);
}

#[test]
fn a_service_whose_context_is_gone_is_not_started_a_second_time_and_kill_ends_it_for_good() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let (service, keeper) = (yard.pid("apps/dashboard.db"), yard.keeper("apps/dashboard.db"));
    std::fs::remove_file(yard.context("apps/dashboard.db")["paths"]["context"].as_str().unwrap()).unwrap();
    let error = yard.fails(&["start"]);
    assert!(error.contains("its keeper lives"), "{error}");
    assert!(lives(service) && lives(keeper));
    yard.ok(&["kill"]);
    assert!(!lives(service) && !lives(keeper), "a keeper that lived on would start its service again");
    yard.ok(&["start"]);
    yard.ok(&["ps", "--reconcile"]);
}
