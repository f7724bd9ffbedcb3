//! What is served of a folder, under which names; what is not, and how that is said.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::*;

/// The services and prefixes of the sample, as the original program has them, but for the two that share a prefix.
const SAMPLE: [(&str, &str, &str); 14] = [
    (".hidden/secret.db", "sqlpage", "/.hidden/secret"),
    ("apps/dashboard.db", "sqlpage", "/apps/dashboard"),
    ("apps/it's a name.db", "sqlpage", "/apps/it's a name"),
    ("apps/metrics.sqlite.db", "sqlpage", "/apps/metrics"),
    ("controls/scf-2025.3.sqlite.db", "sqlpage", "/controls/scf-2025.3"),
    ("data/empty-table.db", "sqlpage", "/data/empty-table"),
    ("data/upper-table.db", "sqlpage", "/data/upper-table"),
    ("data/wal-mode.db", "sqlpage", "/data/wal-mode"),
    ("deep/nested/path/app.sqlite3", "sqlpage", "/deep/nested/path/app"),
    ("evidence/audit.sqlite.db", "surveilr", "/evidence/audit"),
    ("evidence/plain-rssd.sqlite", "surveilr", "/evidence/plain-rssd"),
    ("root-level.db", "sqlpage", "/root-level"),
    ("same/twin.db", "sqlpage", "/same/twin"),
    ("with-env/app.sqlite", "sqlpage", "/with-env/app"),
];

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_sample_is_served_as_the_original_serves_it_and_what_is_not_is_said() {
    let yard = Yard::empty();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../yard/tests/fixtures/cargo.d"), &yard.cargo(""));
    let lock = rusqlite::Connection::open(yard.cargo("data/locked.db")).unwrap();
    lock.execute_batch("CREATE TABLE sqlpage_files(path); BEGIN EXCLUSIVE").unwrap();
    let output = yard.run(&["start", "--prefix", "/{path}"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("same/twin.db") && error.contains("same/twin.sqlite"), "{error}");
    for (file, trouble) in [
        ("broken/empty.db", "empty"),
        ("broken/text.db", "not a SQLite database"),
        ("broken/random.db", "not a SQLite database"),
        ("broken/corrupt-schema.db", "damaged"),
        ("broken/truncated.sqlite", "damaged"),
        ("data/locked.db", "locked"),
    ] {
        assert!(error.lines().any(|line| line.contains(file) && line.contains(trouble)), "{file}: {error}");
    }
    let mut served: Vec<(String, String, String)> = yard
        .ps()
        .iter()
        .map(|context| {
            ["relativePath", "kind", "proxyPrefix"]
                .map(|key| context[key].as_str().unwrap().to_owned())
                .into()
        })
        .collect();
    served.sort();
    let sample = SAMPLE.map(|(file, kind, prefix)| (file.to_owned(), kind.to_owned(), prefix.to_owned()));
    assert_eq!(served, sample);
    lock.execute_batch("COMMIT").unwrap();
    yard.run(&["start", "--prefix", "/{path}"]);
    assert_eq!(yard.state("data/locked.db"), "ready", "what was locked is served when it is not any more");
}

#[test]
fn one_file_is_one_service_however_many_names_it_has() {
    let yard = Yard::empty();
    yard.database("real.db", "sqlpage_files");
    symlink("real.db", yard.cargo("first.db")).unwrap();
    symlink("real.db", yard.cargo("second.db")).unwrap();
    let output = yard.run(&["start"]);
    assert!(output.status.success(), "{output:?}");
    let services = yard.ps();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0]["relativePath"], "real.db");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("first.db") && error.contains("second.db"), "the other names are told: {error}");
}

#[test]
fn a_folder_called_like_the_root_and_links_that_lead_out_of_it_share_nothing() {
    let yard = Yard::empty();
    yard.database("x.db", "sqlpage_files");
    yard.database("cargo.d/x.db", "sqlpage_files");
    for folder in ["one", "two"] {
        std::fs::create_dir(yard.at(folder)).unwrap();
        std::fs::copy(yard.cargo("x.db"), yard.at(folder).join("same.db")).unwrap();
        symlink(yard.at(folder).join("same.db"), yard.cargo(&format!("{folder}.db"))).unwrap();
    }
    yard.ok(&["start"]);
    let services = yard.ps();
    for key in ["serviceId", "proxyPrefix", "port", "relativePath", "provenance"] {
        let mut values: Vec<String> = services.iter().map(|context| context[key].to_string()).collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 4, "{key}: {values:?}");
    }
}

#[test]
fn several_roots_are_one_yard() {
    let yard = Yard::empty();
    yard.database("a.db", "sqlpage_files");
    std::fs::create_dir(yard.at("more.d")).unwrap();
    std::fs::copy(yard.cargo("a.db"), yard.at("more.d/b.db")).unwrap();
    yard.ok(&["start", "--cargo-home", "cargo.d", "--cargo-home", "more.d"]);
    assert_eq!(yard.ps().len(), 2);
    // A file of the same name in both would have one place in the ledger.
    std::fs::copy(yard.cargo("a.db"), yard.at("more.d/a.db")).unwrap();
    let error = yard.fails(&["start", "--cargo-home", "cargo.d", "--cargo-home", "more.d"]);
    assert!(error.contains("cargo.d/a.db") && error.contains("more.d/a.db"), "{error}");
}

#[test]
fn a_service_gets_a_private_empty_folder_to_publish_from() {
    let yard = Yard::new();
    std::fs::write(yard.at("secret.txt"), "hush").unwrap();
    yard.ok(&["start"]);
    let context = yard.context("apps/dashboard.db");
    let plan = &context["spawned"]["plan"];
    let cwd = Path::new(plan["cwd"].as_str().unwrap());
    assert_eq!(std::fs::read_link(format!("/proc/{}/cwd", yard.pid("apps/dashboard.db"))).unwrap(), cwd);
    for variable in ["SQLPAGE_WEB_ROOT", "SQLPAGE_CONFIGURATION_DIRECTORY"] {
        let folder = Path::new(plan["env"][variable].as_str().unwrap());
        assert!(folder.starts_with(cwd), "{variable}");
        assert_eq!(mode(folder), 0o700, "{variable}");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "{variable}");
    }
}

#[test]
fn sessions_are_named_by_universal_time() {
    let yard = Yard::new();
    let before = jiff::Timestamp::now().strftime("%Y-%m-%d-%H-%M-%S").to_string();
    assert!(yard.command(&["start"]).env("TZ", "Asia/Tokyo").status().unwrap().success());
    let name = yard.session().file_name().unwrap().to_str().unwrap().to_owned();
    let after = jiff::Timestamp::now().strftime("%Y-%m-%d-%H-%M-%S").to_string();
    assert!(before <= name && name <= after, "{before} {name} {after}");
}
