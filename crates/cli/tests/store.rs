//! `ledger store`, and databases that cannot be worked on.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::Ledger;

#[test]
fn stores_are_created_and_listed() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ok(&["store", "create", "orders"]), "store \"orders\" created\n");
    assert_eq!(ledger.ok(&["store", "create", "group"]), "store \"group\" created\n");
    assert_eq!(ledger.ok(&["store", "create", "orders"]), "store \"orders\" exists already\n");
    assert_eq!(ledger.ok(&["store", "list"]), "group\norders\n");
    assert_eq!(ledger.ok(&["stream", "count", "-s", "orders"]), "0\n");
}

#[test]
fn bad_names_make_nothing() {
    let ledger = Ledger::new();
    for (name, reason) in [
        ("", "it is empty"),
        ("1a", "it must start with a letter or _"),
        ("a-b", "only letters, digits and _ are allowed"),
        ("a\n", "only letters, digits and _ are allowed"),
    ] {
        assert_eq!(
            ledger.fails(&["store", "create", name]),
            format!("Error: ledger: invalid table/collection name: {name:?}: {reason}\n")
        );
    }
    assert_eq!(ledger.fails(&["store", "create"]), "Error: accepts 1 arg(s), received 0\n");
    assert!(ledger.files().is_empty());
    assert!(ledger.fails(&["store", "list"]).starts_with("Error: ledger/sqlite: there is no database "));
    assert!(ledger.files().is_empty());
}

#[test]
fn a_database_must_be_named() {
    let ledger = Ledger::new();
    let expected = "Error: no database file is named: give --db FILE or set LEDGER_DB=FILE (this command works on \
                    local files only)\n";
    let mut command = ledger.command(&["store", "list"]);
    assert_eq!(common::Run::of(command.env_remove("LEDGER_DB").output().unwrap()).fails(), expected);
    assert_eq!(common::Run::of(command.env("LEDGER_DB", "").output().unwrap()).fails(), expected);
    // Streams are asked of a daemon then; nobody listens on this port.
    let mut command = ledger.command(&["stream", "read", "--addr", "127.0.0.1:1"]);
    let said = common::Run::of(command.env_remove("LEDGER_DB").output().unwrap()).fails();
    assert!(
        said.starts_with(
            "Error: rpc error: code = Unavailable desc = no daemon answers at http://127.0.0.1:1/: "
        ),
        "{said}"
    );
    assert!(said.contains("`ledger start`"), "{said}");
    // What is wrong with the arguments is told all the same.
    let mut command = ledger.command(&["stream", "tag"]);
    let run = common::Run::of(command.env_remove("LEDGER_DB").output().unwrap());
    assert!(run.fails().starts_with("Error: --id is required\n"));
}

#[test]
fn the_flag_wins_over_the_environment_and_may_stand_anywhere() {
    let ledger = Ledger::new();
    ledger.ok(&["--db", "flag.db", "stream", "append", "one"]);
    ledger.ok(&["stream", "--db=flag.db", "append", "two"]);
    ledger.ok(&["stream", "append", "three", "--db", "flag.db"]);
    assert_eq!(ledger.ok(&["stream", "count", "--db", "flag.db"]), "3\n");
    assert!(!ledger.path("test.db").exists());
}

#[test]
fn foreign_files_and_tables_are_left_alone() {
    let ledger = Ledger::new();
    ledger.file("test.db", "this is no database, and it is long enough to be seen as none".repeat(20));
    let before = ledger.content("test.db");
    for args in [&["stream", "append", "x"][..], &["stream", "read"], &["store", "list"]] {
        let error = ledger.fails(args);
        assert!(error.contains("is not an SQLite database; it was left as it is"), "{error}");
    }
    assert_eq!(ledger.content("test.db"), before);

    let path = ledger.path("other.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE users (id INTEGER, name TEXT)").unwrap();
    drop(connection);
    for args in [
        &["--db", "other.db", "stream", "append", "-s", "users", "x"][..],
        &["--db", "other.db", "stream", "read", "-s", "users"],
    ] {
        let error = ledger.fails(args);
        assert!(error.contains("table \"users\" in") && error.contains("is not a store"), "{error}");
    }
}

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let ledger = Ledger::new();
    let error = ledger.fails(&["--db", "missing/a.db", "stream", "append", "x"]);
    assert!(error.starts_with("Error: ledger/sqlite: \"missing/a.db\" cannot be opened: "), "{error}");
    assert!(error.ends_with("check that the folder exists and that you may write to it\n"), "{error}");
}

#[test]
fn a_damaged_record_is_reported_and_the_others_are_printed() {
    let ledger = Ledger::new();
    for payload in ["one", "two", "three"] {
        ledger.ok(&["stream", "append", payload]);
    }
    let connection = rusqlite::Connection::open(ledger.path("test.db")).unwrap();
    connection.execute("UPDATE ledger_entries SET metadata = '{\"k\": 5}' WHERE id = 2", []).unwrap();
    drop(connection);
    for (command, printed) in [
        (&["stream", "read"][..], "1\tone\n3\tthree\n"),
        (&["stream", "read", "--all", "--desc"], "3\tthree\n1\tone\n"),
        (&["stream", "search", "o"], "1\tone\n"),
    ] {
        let run = ledger.run(command);
        assert_eq!((run.code, run.out.as_str()), (Some(1), printed), "{command:?}");
        assert!(
            run.err.starts_with("Warning: entry 2 of stream \"default\" is damaged: metadata: "),
            "{}",
            run.err
        );
        assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    }
    let run = ledger.run(&["stream", "export", "--output", "out.jsonl"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(ledger.content("out.jsonl").lines().count(), 2);
}

#[test]
fn a_search_index_can_be_made_at_any_time() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "--stream", "s", "before the index"]);
    assert_eq!(
        ledger.ok(&["store", "create", "ledger_entries", "--search-index"]),
        "store \"ledger_entries\" exists already\n"
    );
    ledger.ok(&["stream", "append", "--stream", "s", "after the index"]);
    assert_eq!(ledger.ok(&["stream", "search", "the INDEX"]), "1\tbefore the index\n2\tafter the index\n");
    assert_eq!(ledger.ok(&["store", "list"]), "ledger_entries\n");
}
