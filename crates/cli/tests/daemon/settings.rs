//! `config` and `key`.

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
