//! `config` and `key`.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::home::Home;

#[test]
fn a_configuration_is_checked_before_it_is_needed() {
    let home = Home::new();
    let path = home.path("config.yaml").display().to_string();
    assert_eq!(home.ok(&["config", "check"]), format!("config {path} is fine\n"));
    home.configure("start_timout: 5s");
    let run = home.run(&["config", "check"]);
    let expected = format!(
        "Error: ledger: config: unknown key \"start_timout\" in {path}; did you mean \"start_timeout\"?\n"
    );
    assert_eq!((run.code, run.err), (Some(1), expected));
    home.configure("hooks: [{name: audit}]");
    assert!(home.run(&["config", "check"]).err.contains("delivers no webhooks"));
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let home = Home::new();
    assert_eq!(home.ok(&["key", "list"]), "");
    let key = home.ok(&["key", "create", "ci", "--right", "read", "-s", "orders", "-s", "events"]);
    assert!(key.starts_with("ledger_") && key.len() == 72, "{key}");
    assert!(!home.content("keys.json").contains(key.trim_end()));
    home.ok(&["key", "create", "app"]);
    let list = home.ok(&["key", "list"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("ci\tread\tevents,orders\t2"), "{list}");
    assert!(lines[1].starts_with("app\tread,write\t(all stores)\t2"), "{list}");
    let taken = home.run(&["key", "create", "ci"]);
    assert_eq!(
        taken.err,
        "Error: ledger: there is a key \"ci\" already; revoke it first or take another name\n"
    );
    assert_eq!(home.run(&["key", "create"]).err, "Error: accepts 1 arg(s), received 0\n");
    home.ok(&["key", "revoke", "ci"]);
    let missing = home.run(&["key", "revoke", "ci"]);
    assert_eq!(missing.err, "Error: ledger: there is no key \"ci\"; there are: app\n");
}

#[test]
fn a_running_daemon_is_told_of_new_keys() {
    let home = Home::new();
    let pid = home.start();
    let run = home.run(&["key", "create", "ci"]);
    assert_eq!(
        run.err,
        format!(
            "This is the first key: from now on every request needs one.\n\
             The running daemon (pid {pid}) was told to read its keys again.\n"
        )
    );
    home.ok(&["stop"]);
    assert!(home.content("ledger.log").contains("keys reloaded"), "signals are served in order");
}

#[test]
fn a_file_with_a_key_that_others_can_reach_is_refused_with_the_way_out() {
    let home = Home::new();
    home.configure("api_key: s3cret");
    let path = home.path("config.yaml").display().to_string();
    for mode in [0o644, 0o640, 0o620, 0o602] {
        std::fs::set_permissions(home.path("config.yaml"), PermissionsExt::from_mode(mode)).unwrap();
        for arguments in [&["start"][..], &["config", "check"], &["stream", "list"]] {
            let run = home.run(arguments);
            assert_eq!(run.code, Some(1), "{mode:o} {arguments:?}: {run:?}");
            let way_out = if mode & 0o002 == 0 { "chmod 600" } else { "chmod o-w" };
            assert!(run.err.contains(&format!("{way_out} {path}")), "{mode:o} {arguments:?}: {run:?}");
            assert!(!run.err.contains("s3cret"), "{run:?}");
        }
    }
    std::fs::set_permissions(home.path("config.yaml"), PermissionsExt::from_mode(0o600)).unwrap();
    home.start();
    // Without a key there is no secret in it.
    home.ok(&["stop"]);
    home.configure("");
    std::fs::set_permissions(home.path("config.yaml"), PermissionsExt::from_mode(0o664)).unwrap();
    home.start();
}

#[test]
fn a_key_on_the_command_line_of_a_daemon_does_not_stay_in_the_list_of_processes() {
    let home = Home::new();
    let mut daemon = home
        .command(&["start", "--foreground", "--api-key", "s3cret"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("ledger daemon listening")));
    let arguments = std::fs::read(format!("/proc/{}/cmdline", daemon.id())).unwrap();
    let arguments = String::from_utf8(arguments).unwrap();
    assert!(arguments.contains("--foreground") && !arguments.contains("s3cret"), "{arguments}");
    let address = home.address();
    let count = |key: &[&str]| home.run(&[&["stream", "count", "--addr", &address], key].concat());
    assert_eq!(count(&[]).code, Some(1));
    assert_eq!(count(&["--api-key", "s3cret"]).out, "0\n");
    home.ok(&["stop"]);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}
