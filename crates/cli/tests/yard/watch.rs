//! Watch mode.

use crate::support::*;

/// A watch that looks often.
const OFTEN: [&str; 4] = ["--watch-rescan-ms", "300", "--watch-debounce-ms", "200"];

#[test]
fn what_comes_is_started_what_goes_is_stopped_what_is_replaced_is_started_anew() {
    let yard = Yard::new();
    let watch = yard.watch(&OFTEN);
    until("the first round", || watch.output().contains("started dashboard.db"));
    assert!(yard.at("ledger.d/watch/apps/dashboard.db.context.json").is_file());

    yard.database("new.db", "sqlpage_files");
    until("a new file", || yard.state("new.db") == "ready");
    yard.database("late.db", "other");
    rusqlite::Connection::open(yard.cargo("late.db"))
        .unwrap()
        .execute_batch("CREATE TABLE sqlpage_files(a)")
        .unwrap();
    until("a file that became a service later", || yard.state("late.db") == "ready");

    let gone = yard.pid("new.db");
    std::fs::remove_file(yard.cargo("new.db")).unwrap();
    until("a removed file", || !lives(gone));

    let before = yard.pid("apps/dashboard.db");
    std::fs::copy(yard.cargo("apps/dashboard.db"), yard.at("copy")).unwrap();
    std::fs::rename(yard.at("copy"), yard.cargo("apps/dashboard.db")).unwrap();
    until("a replaced file", || !lives(before) && yard.state("apps/dashboard.db") == "ready");

    let output = watch.interrupt();
    assert!(output.contains("Stopped 3 services."), "{output}");
    assert!(!lives(yard.pid("apps/dashboard.db")));
}

#[test]
fn dead_services_come_back_and_stopped_ones_stay() {
    let yard = Yard::new();
    let watch = yard.watch(&OFTEN);
    until("the first round", || watch.output().contains("PROXY PREFIX"));
    let context = yard.context("apps/dashboard.db");
    for pid in [&context["keeper"]["pid"], &context["pid"]] {
        signal(u32::try_from(pid.as_u64().unwrap()).unwrap(), "KILL");
    }
    let first = context["pid"].clone();
    until("it comes back", || {
        yard.state("apps/dashboard.db") == "ready" && yard.context("apps/dashboard.db")["pid"] != first
    });
    yard.ok(&["stop", "audit.sqlite.db"]);
    yard.database("another.db", "sqlpage_files");
    until("another round", || yard.state("another.db") == "ready");
    assert_eq!(yard.state("evidence/audit.sqlite.db"), "stopped");
    yard.ok(&["restart", "audit.sqlite.db"]);
    assert_eq!(yard.state("evidence/audit.sqlite.db"), "ready");
    watch.interrupt();
}

#[test]
fn a_second_yard_over_the_same_ledger_is_refused_and_told_who_is_there() {
    let yard = Yard::new();
    let watch = yard.watch(&OFTEN);
    until("the first round", || watch.output().contains("PROXY PREFIX"));
    let output = yard.run(&["start"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("pid {}", watch.pid())), "{error}");
    watch.interrupt();
}

#[test]
fn after_keep_and_after_a_killed_watch_the_services_live_and_are_taken_over() {
    let yard = Yard::new();
    let watch = yard.watch(&[&OFTEN[..], &["--keep"]].concat());
    until("the first round", || watch.output().contains("PROXY PREFIX"));
    let pid = yard.pid("apps/dashboard.db");
    watch.interrupt();
    assert!(lives(pid));
    let watch = yard.watch(&OFTEN);
    until("the second watch", || watch.output().contains("PROXY PREFIX"));
    assert_eq!(yard.pid("apps/dashboard.db"), pid);
    drop(watch);
    assert!(lives(pid), "it was killed, not told to end");
    yard.ok(&["ps", "--reconcile"]);
}

#[test]
fn a_cargo_home_that_goes_and_comes_back_is_watched_again() {
    let yard = Yard::new();
    let watch = yard.watch(&OFTEN);
    until("the first round", || watch.output().contains("PROXY PREFIX"));
    let pid = yard.pid("apps/dashboard.db");
    std::fs::rename(yard.at("cargo.d"), yard.at("away")).unwrap();
    until("all stopped", || !lives(pid));
    std::fs::rename(yard.at("away"), yard.at("cargo.d")).unwrap();
    until("all started", || yard.state("apps/dashboard.db") == "ready");
    watch.interrupt();
}

#[test]
fn a_cargo_home_that_is_a_link_and_files_of_every_extension_are_watched() {
    let yard = Yard::new();
    std::fs::rename(yard.at("cargo.d"), yard.at("elsewhere")).unwrap();
    std::os::unix::fs::symlink(yard.at("elsewhere"), yard.at("cargo.d")).unwrap();
    let watch = yard.watch(&OFTEN);
    until("the first round", || watch.output().contains("PROXY PREFIX"));
    for end in ["sqlite3", "sqlite", "sqlite.db"] {
        yard.database(&format!("{end}/new.{end}"), "sqlpage_files");
    }
    until("all are started", || yard.ps().iter().filter(|one| one["state"]["name"] == "ready").count() == 5);
    let pid = yard.pid("sqlite3/new.sqlite3");
    std::fs::remove_dir_all(yard.cargo("sqlite3")).unwrap();
    until("one is stopped", || !lives(pid));
    watch.interrupt();
}

#[test]
fn a_file_that_is_being_written_all_the_time_holds_nothing_up() {
    let yard = Yard::new();
    // Hints alone: the rescan without one is far away.
    let watch = yard.watch(&["--watch-rescan-ms", "600000", "--watch-debounce-ms", "400"]);
    until("the first round", || watch.output().contains("PROXY PREFIX"));
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Several, so that no pause is long enough to look like an end.
        let (yard, over) = (&yard, &over);
        (0..4).for_each(|writer| {
            scope.spawn(move || {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    std::fs::write(yard.cargo(&format!("busy-{writer}.log")), "x").unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            });
        });
        yard.database("new.db", "sqlpage_files");
        until("it is started all the same", || yard.state("new.db") == "ready");
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    watch.interrupt();
}

#[test]
fn what_goes_wrong_in_one_round_is_told_once_and_ends_no_watch() {
    let yard = Yard::new();
    let watch = yard.watch(&OFTEN);
    until("the first round", || watch.output().contains("PROXY PREFIX"));
    let broken = yard.context("apps/dashboard.db")["paths"]["context"].as_str().unwrap().to_owned();
    let whole = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, "{\"pid\":").unwrap();
    until("it is told", || watch.output().contains("dashboard.db.context.json"));
    std::thread::sleep(std::time::Duration::from_millis(700));
    std::fs::write(&broken, whole).unwrap();
    assert!(get(&yard.context("apps/dashboard.db")).contains("served"), "what runs is left alone");
    yard.behaviour("fails.db", "die");
    yard.database("fails.db", "sqlpage_files");
    until("it is told", || watch.output().contains("nothing is right today"));
    yard.database("new.db", "sqlpage_files");
    until("the watch goes on", || yard.state("new.db") == "ready");
    assert_eq!(watch.output().matches("dashboard.db.context.json").count(), 1, "{}", watch.output());
    watch.interrupt();
}
