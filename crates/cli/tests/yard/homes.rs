//! Ledger homes that cannot be written to.

use serde_json::Value;

use crate::disk::SmallDisk;
use crate::support::*;

fn fill(disk: &SmallDisk) {
    let _ = std::fs::write(disk.path().join("ballast"), vec![0; 64 << 20]);
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_costs_no_service_that_runs() {
    let yard = Yard::new();
    let disk = SmallDisk::new("4m");
    let home = disk.path().join("ledger.d");
    let home = home.to_str().unwrap();
    yard.ok(&["start", "--ledger-home", home]);
    fill(&disk);
    yard.database("late.db", "sqlpage_files");
    let error = yard.fails(&["start", "--ledger-home", home]);
    assert!(error.contains("No space left on device"), "{error}");

    // What runs goes on, and when there is room again its log and its state do, too.
    let link = disk.path().join("ledger.d/.run/apps/dashboard.db/current");
    let context = || serde_json::from_slice::<Value>(&std::fs::read(&link).unwrap()).unwrap();
    let before = context();
    for _ in 0..200 {
        assert!(ask(&before, &format!("/{}", "x".repeat(1000))).contains("served"));
    }
    let pid = number(&before["pid"]);
    signal(pid, "KILL");
    until("it is gone", || !lives(pid));
    until("it is started again on a full disk", || {
        std::net::TcpStream::connect(("127.0.0.1", u16::try_from(number(&before["port"])).unwrap())).is_ok()
    });
    // Long enough for its keeper to see that it is ready, and to fail to write that down.
    std::thread::sleep(std::time::Duration::from_millis(800));
    assert_eq!(context(), before, "the file is whole and old, not half and new");
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    until("its state is written as soon as there is room", || {
        context()["state"]["name"] == "ready" && context()["pid"] != before["pid"]
    });
    assert!(ask(&context(), "/again").contains("served"));
    until("so is its log", || {
        let log = std::fs::read(context()["paths"]["stdout"].as_str().unwrap()).unwrap();
        String::from_utf8_lossy(&log).contains("GET /again")
    });
    yard.ok(&["start", "--ledger-home", home]);
    yard.ok(&["ps", "--reconcile", "--ledger-home", home]);
    yard.ok(&["kill", "--ledger-home", home]);
}

#[test]
fn a_ledger_home_that_is_read_only_can_be_read_and_says_why_it_cannot_be_written() {
    let yard = Yard::new();
    let disk = SmallDisk::new("16m");
    let home = disk.path().join("ledger.d");
    let home = home.to_str().unwrap();
    yard.ok(&["start", "--ledger-home", home]);
    yard.ok(&["kill", "--ledger-home", home]);
    disk.make_read_only();
    let error = yard.fails(&["start", "--ledger-home", home]);
    assert!(error.contains("Read-only file system") && error.contains("ledger.d"), "{error}");
    assert!(yard.ok(&["ls", "--ledger-home", home]).contains("stopped"));
    yard.ok(&["ps", "--reconcile", "--ledger-home", home]);
    let error = yard.fails(&["kill", "--clean", "--ledger-home", home]);
    assert!(error.contains("Read-only file system"), "{error}");
}

#[test]
fn a_ledger_home_that_cannot_be_used_is_an_error_that_says_so() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("ledger.d")).unwrap();
    std::fs::write(yard.at("ledger.d/.yard"), "ledger-yard 99\n").unwrap();
    for command in [vec!["start"], vec!["start", "--watch"]] {
        let error = yard.fails(&command);
        assert!(error.contains("another version") && error.contains("ledger-yard 99"), "{error}");
    }
    let error = yard.fails(&["start", "--cargo-home", "none", "--ledger-home", "other.d"]);
    assert!(error.contains("--cargo-home"), "{error}");
    std::fs::write(yard.at("file"), "").unwrap();
    let error = yard.fails(&["start", "--ledger-home", "file"]);
    assert!(error.contains("file"), "{error}");
}
