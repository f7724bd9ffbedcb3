//! What is printed: lists, logs, files for proxies.

use std::process::{Command, Stdio};

use crate::support::*;

#[test]
fn one_odd_file_hides_no_other() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let folder = yard.session();
    std::fs::write(folder.join("odd.db.context.json"), "{\"pid\": 1}").unwrap();
    std::fs::write(folder.join("half.db.context.json"), "{\"pid\":").unwrap();
    let output = yard.run(&["ls"]);
    assert!(output.status.success());
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.contains("dashboard.db") && out.contains("audit.sqlite.db"), "{out}");
    assert!(err.contains("half.db.context.json"), "{err}");
}

#[test]
fn logs_are_followed_from_several_services() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let out = std::fs::File::create(yard.at("logs.out")).unwrap();
    let mut logs = yard.command(&["logs", "-f"]).stdout(out).spawn().unwrap();
    let read = || std::fs::read_to_string(yard.at("logs.out")).unwrap();
    until("what is there", || {
        read().contains("dashboard.db err | started") && read().contains("audit.sqlite.db err | started")
    });
    get(&yard.context("apps/dashboard.db"));
    until("what comes", || read().contains("dashboard.db out | \"GET / HTTP/1.0\" 200"));
    logs.kill().unwrap();
    logs.wait().unwrap();
    assert_eq!(yard.ok(&["logs", "dashboard.db", "--stderr", "-n", "1"]), "started successfully\n");
}

#[test]
fn on_a_terminal_every_service_has_its_colour() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let shown = |command: &str| {
        let mut script = Command::new("script");
        script.args(["-qec", command, "/dev/null"]).current_dir(yard.at("")).env_remove("NO_COLOR");
        String::from_utf8(script.stdin(Stdio::null()).output().unwrap().stdout).unwrap()
    };
    let ledger = format!("{} yard logs --stderr", env!("CARGO_BIN_EXE_ledger"));
    let coloured = shown(&ledger);
    assert!(coloured.contains("\u{1b}[36mdashboard.db err |\u{1b}[0m started"), "{coloured:?}");
    assert!(coloured.contains("\u{1b}[33maudit.sqlite.db err |\u{1b}[0m started"), "{coloured:?}");
    let plain = shown(&format!("NO_COLOR=1 {ledger}"));
    assert!(!plain.contains('\u{1b}') && plain.contains("dashboard.db err | started"), "{plain:?}");
}

#[test]
fn a_log_has_a_limit_and_following_it_loses_no_line_over_a_rotation() {
    let yard = Yard::empty();
    std::fs::write(yard.at("yard.yaml"), "max_log_bytes: 8192").unwrap();
    yard.database("talker.db", "sqlpage_files");
    yard.behaviour("talker.db", "talk 1000");
    yard.ok(&["start"]);
    let log = |end: &str| yard.session().join(format!("talker.db.stdout.log{end}"));
    until("all is written", || {
        std::fs::read_to_string(log("")).unwrap().lines().any(|line| line.ends_with("999"))
    });
    for end in ["", ".1", ".2"] {
        let text = std::fs::read_to_string(log(end)).unwrap();
        assert!(text.len() <= 8192 && text.ends_with('\n'), "{end}: {}", text.len());
        let is_whole = |line: &str| line.len() == 99 || line.contains("GET /");
        assert!(text.lines().all(is_whole), "{end}: a line is cut");
    }
    assert!(!log(".3").exists());
    let out = std::fs::File::create(yard.at("logs.out")).unwrap();
    let mut logs = yard.command(&["logs", "-f", "--stdout", "-n", "0"]).stdout(out).spawn().unwrap();
    // Enough for two rotations, in pieces that are shorter than the pause between two looks.
    for number in 0..200 {
        ask(&yard.context("talker.db"), &format!("/{number}/{}", "x".repeat(60)));
    }
    until("the last request", || std::fs::read_to_string(yard.at("logs.out")).unwrap().contains("/199/"));
    logs.kill().unwrap();
    logs.wait().unwrap();
    let seen = std::fs::read_to_string(yard.at("logs.out")).unwrap();
    let first = seen.lines().next().unwrap().split('/').nth(1).unwrap().parse::<usize>().unwrap();
    for number in first..200 {
        assert_eq!(
            seen.matches(&format!("GET /{number}/")).count(),
            1,
            "request {number}, first seen: {first}"
        );
    }
}

#[test]
fn the_page_shows_what_runs_and_no_secret() {
    let yard = Yard::new();
    yard.database("<b>odd & \"quoted\"</b>.db", "sqlpage_files");
    std::fs::write(yard.cargo("apps/.env"), "TOKEN=hush\n").unwrap();
    yard.ok(&["start"]);
    let page = yard.ok(&["ps", "--html"]);
    assert!(page.contains("<title>Operational Truth Yard Services</title>"), "{page}");
    assert!(
        page.contains("3 services discovered") && page.contains("/apps/sqlpage/apps/dashboard"),
        "{page}"
    );
    assert!(page.contains("&lt;b&gt;odd &amp; &quot;quoted&quot;") && !page.contains("<b>odd"), "{page}");
    assert!(page.contains("TRUTH_YARD_PROVENANCE") && !page.contains("hush"), "{page}");
    assert!(!page.contains("https://"), "it needs nothing from elsewhere");
    for shown in [vec!["ps", "--json"], vec!["ps", "--extended"], vec!["ls", "--json"]] {
        assert!(!yard.ok(&shown).contains("hush"), "{shown:?}");
    }
    assert!(
        yard.ok(&["ps", "--strategy", "native"]).contains("apps/dashboard.db"),
        "an old flag is no error"
    );
    assert_ne!(yard.run(&["ps", "--html", "--reconcile"]).status.code(), Some(0));
}
