//! Composite SQL, run by the engines that it is for.

use std::process::{Command, Stdio};

use crate::support::*;

/// DuckDB and its extension for SQLite, of one version.
const DUCKDB: [&str; 2] = ["duckdb==1.4.4", "duckdb-ext-sqlite==1.4.4.20260205"];

/// Runs SQL from standard input in DuckDB, then prints what every attached database holds.
const RUN_DUCKDB: &str = r#"
import pathlib, sys, duckdb, duckdb_ext
extensions = pathlib.Path(list(duckdb_ext.__path__)[0]) / "extensions"
connection = duckdb.connect(config={"extension_directory": str(extensions)})
connection.execute(sys.stdin.read())
names = connection.execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal ORDER BY 1").fetchall()
for (name,) in names:
    if name != "memory":
        print(name, connection.execute(f"SELECT origin FROM {name}.t").fetchone()[0])
"#;

/// Names that are hard to attach, and what they are called then.
const NAMES: [(&str, &str); 8] = [
    ("9.db", "db_9"),
    ("a/x.db", "x"),
    ("b/X.db", "X_2"),
    ("it's; DROP TABLE t.db", "it_s__DROP_TABLE_t"),
    ("main.sqlite", "main_2"),
    ("my-db.sqlite3", "my_db"),
    ("order.sqlite.db", "db_order"),
    ("plain.db", "plain"),
];

/// A folder of databases, each of which holds its own name; another that is no database of the scope.
fn databases() -> Yard {
    let yard = Yard::empty();
    for (name, _) in NAMES {
        let path = yard.at("embedded/admin").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let database = rusqlite::Connection::open(path).unwrap();
        database.execute_batch("CREATE TABLE t(origin TEXT)").unwrap();
        database.execute("INSERT INTO t VALUES (?1)", [name]).unwrap();
    }
    std::fs::copy(yard.at("embedded/admin/plain.db"), yard.at("embedded/admin/composite.sqlite.auto.db"))
        .unwrap();
    std::fs::copy(yard.at("embedded/admin/plain.db"), yard.at("embedded/admin/left-out.db")).unwrap();
    yard
}

fn expected() -> Vec<String> {
    let mut expected: Vec<String> = NAMES.iter().map(|(name, alias)| format!("{alias} {name}")).collect();
    expected.sort();
    expected
}

/// What a program prints that is given this on its standard input, in the folder of the databases.
fn run(yard: &Yard, command: &mut Command, input: &str) -> Vec<String> {
    use std::io::Write;
    command.current_dir(yard.at("embedded/admin")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{input}");
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn sqlite_attaches_databases_with_any_name() {
    need("sqlite3", "sqlite3");
    let yard = databases();
    let mut sql = yard.ok(&["cc", "--ignore", "left-out.db"]);
    for (_, alias) in NAMES {
        sql.push_str(&format!("SELECT '{alias}', origin FROM {alias}.t;\n"));
    }
    assert!(!sql.contains(yard.at("").to_str().unwrap()), "paths are relative: {sql}");
    let lines = run(&yard, Command::new("sqlite3").args(["-batch", "-bail", "-separator", " "]), &sql);
    assert_eq!(lines, expected());
}

#[test]
fn duckdb_attaches_databases_with_any_name() {
    let python = python("duckdb", &DUCKDB).join("python");
    let yard = databases();
    let sql = yard.ok(&["cc", "--dialect", "DuckDB", "--duckdb-sqlite-ext", "--ignore", "left-out.db"]);
    assert_eq!(run(&yard, Command::new(python).args(["-c", RUN_DUCKDB]), &sql), expected());
}
