//! The programs that a yard is made for, themselves: `datasette` always, `sqlpage` where it is built.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::*;

/// How the real SQLPage is had. Debian has no package of it, and building it takes a quarter of an hour.
const HOW: &str = "apt-get install -y unixodbc-dev && cargo install sqlpage --root ~/.cache/ledger/sqlpage";

/// A database with two rows.
fn ordinary(yard: &Yard, name: &str) {
    yard.database(name, "city");
    let database = rusqlite::Connection::open(yard.cargo(name)).unwrap();
    database.execute_batch("INSERT INTO city VALUES ('Ghent', 1, 1), ('Izola', 2, 2)").unwrap();
}

#[test]
fn datasette_serves_ordinary_databases_where_it_is_switched_on() {
    let bin = python("datasette", &["datasette==0.65.5"]);
    let yard = Yard::without_programs().with_programs(&bin);
    ordinary(&yard, "data/cities.db");
    yard.ok(&["start"]);
    assert_eq!(yard.ps().len(), 0, "it is off unless somebody wants it");
    std::fs::write(yard.at("yard.yaml"), "kinds: {datasette: {enabled: true}}").unwrap();
    yard.ok(&["start"]);
    let context = yard.context("data/cities.db");
    assert_eq!((&context["kind"], &context["state"]["name"]), (&"datasette".into(), &"ready".into()));
    let prefix = "/apps/datasette/data/cities";
    let index = ask(&context, &format!("{prefix}/"));
    assert!(index.contains("200 OK"), "{index}");
    assert!(index.contains(&format!("href=\"{prefix}/cities/city\"")), "its links carry the prefix: {index}");
    assert!(ask(&context, &format!("{prefix}/cities/city.json?_shape=array")).contains("Izola"));
    let pid = yard.pid("data/cities.db");
    yard.ok(&["restart", "cities.db"]);
    assert!(!lives(pid));
    let again = yard.pid("data/cities.db");
    let nginx = Nginx::start(&yard, &[]);
    assert!(nginx.ask(&format!("{prefix}/"), &[]).contains(&format!("href=\"{prefix}/cities/city\"")));
    drop(nginx);
    yard.ok(&["stop", "cities.db"]);
    assert!(!lives(again));
    assert_eq!(yard.context("data/cities.db")["state"]["name"], "stopped");
}

/// Where the real SQLPage is: `LEDGER_TEST_SQLPAGE`, the cache folder, or the search path.
fn sqlpage() -> Option<PathBuf> {
    let named = std::env::var_os("LEDGER_TEST_SQLPAGE").map(PathBuf::from);
    let cached = std::env::home_dir().map(|home| home.join(".cache/ledger/sqlpage/bin/sqlpage"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join("sqlpage")).collect();
    let program = named.into_iter().chain(cached).chain(found).find(|program| program.is_file());
    if program.is_none() {
        // Past the harness, which shows what a test says only if it fails.
        let text =
            format!("LEFT OUT: the tests with the real SQLPage, which is not here. To have it: {HOW}\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    program
}

/// A yard over one database with pages, served by the real SQLPage.
fn with_sqlpage(program: &std::path::Path) -> Yard {
    let version = Command::new(program).arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        need("odbcinst", "unixodbc");
    }
    let yard = Yard::without_programs().with_programs(program.parent().unwrap());
    yard.database("apps/hello.db", "sqlpage_files");
    let database = rusqlite::Connection::open(yard.cargo("apps/hello.db")).unwrap();
    let page = "SELECT 'text' AS component, 'Hello from the yard' AS contents;";
    let away = "SELECT 'cookie' AS component, 'who' AS name, 'me' AS value; SELECT 'redirect' AS component, 'about.sql' AS link;";
    for (path, contents) in [("index.sql", page), ("about.sql", page), ("away.sql", away)] {
        let insert = "INSERT INTO sqlpage_files VALUES (?1, ?2, CURRENT_TIMESTAMP)";
        database.execute(insert, [path, contents]).unwrap();
    }
    yard
}

#[test]
fn sqlpage_serves_its_pages_and_nothing_else() {
    let Some(program) = sqlpage() else { return };
    let yard = with_sqlpage(&program);
    std::fs::write(yard.at("secret.txt"), "hush").unwrap();
    std::fs::write(yard.at("evil.sql"), "SELECT 'text' AS component, 'hush' AS contents;").unwrap();
    yard.ok(&["start"]);
    let context = yard.context("apps/hello.db");
    let prefix = "/apps/sqlpage/apps/hello";
    assert!(ask(&context, &format!("{prefix}/")).contains("Hello from the yard"));
    assert!(ask(&context, &format!("{prefix}/about.sql")).contains("Hello from the yard"));
    assert!(ask(&context, prefix).starts_with("HTTP/1.0 301"));
    // What lies in the folder of the yard and in the one that the service works in.
    let session = yard.session().file_name().unwrap().to_str().unwrap().to_owned();
    for path in [
        "secret.txt".to_owned(),
        "evil.sql".to_owned(),
        "cargo.d/apps/hello.db".to_owned(),
        format!("ledger.d/{session}/apps/hello.db.context.json"),
        "keeper.log".to_owned(),
        "port".to_owned(),
        "../keeper.log".to_owned(),
        "%2e%2e/keeper.log".to_owned(),
        "config".to_owned(),
    ] {
        let answer = ask(&context, &format!("{prefix}/{path}"));
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(status.starts_with('4') && !answer.contains("hush"), "{path}: {answer}");
    }
    let log = || std::fs::read_to_string(context["paths"]["stderr"].as_str().unwrap()).unwrap();
    assert!(log().contains("started successfully"), "{}", log());
    yard.ok(&["stop", "hello.db"]);
    assert!(log().contains("Goodbye"), "it was told to end, not killed: {}", log());
    assert_eq!(yard.context("apps/hello.db")["state"]["exitCode"], 0);
}

#[test]
fn sqlpage_behind_nginx_keeps_its_redirects_and_cookies_with_and_without_stripping() {
    let Some(program) = sqlpage() else { return };
    let yard = with_sqlpage(&program);
    yard.ok(&["start"]);
    let prefix = "/apps/sqlpage/apps/hello";
    let cases: [(&[&str], &str); 3] =
        [(&[], prefix), (&["--strip-prefix"], prefix), (&["--location-prefix", "/public"], "/public")];
    for (flags, public) in cases {
        let nginx = Nginx::start(&yard, flags);
        let page = nginx.ask(&format!("{public}/"), &[]);
        assert!(page.contains("Hello from the yard"), "{flags:?}: {page}");
        let away = nginx.ask(&format!("{public}/away.sql"), &[]);
        assert!(
            away.contains(" 302 ") && away.to_ascii_lowercase().contains("set-cookie: who=me"),
            "{flags:?}: {away}"
        );
        let followed = nginx.ask(&format!("{public}/away.sql"), &["-L", "--max-redirs", "3"]);
        assert!(followed.contains("Hello from the yard"), "{flags:?}: {followed}");
        drop(nginx);
        std::fs::remove_dir_all(yard.at("nginx")).unwrap();
    }
}

#[test]
fn sqlpage_that_cannot_have_its_port_is_a_failure_that_says_so() {
    let Some(program) = sqlpage() else { return };
    let yard = with_sqlpage(&program);
    std::fs::write(yard.at("yard.yaml"), "restart: {limit: 0}").unwrap();
    yard.ok(&["start"]);
    let pid = yard.pid("apps/hello.db");
    signal(pid, "KILL");
    until("it is given up", || yard.state("apps/hello.db") == "failed");
    yard.ok(&["start"]);
    assert_ne!(yard.pid("apps/hello.db"), pid);
    // A port that only looks free: the kind's own variable sends it to one that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "kinds: {{sqlpage: {{match: {{tables: [sqlpage_files]}}, command: sqlpage, env: {{DATABASE_URL: 'sqlite://{{path}}', LISTEN_ON: '{}'}}}}}}",
        taken.local_addr().unwrap()
    );
    yard.ok(&["stop", "hello.db"]);
    std::fs::write(yard.at("yard.yaml"), config).unwrap();
    let error = yard.fails(&["start"]);
    assert!(error.contains("exit code 1") && error.contains("port"), "{error}");
}
