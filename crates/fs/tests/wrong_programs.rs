//! Programs that are wrong on purpose are caught; the right ones beside them pass.
#![cfg(feature = "crash")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ledger_fs::crash::{
    Cause, Crash, CrashFs, CrashPolicy, Failure, Fault, History, Tried, for_each_crash, for_each_fault,
};
use ledger_fs::{Dir, File, Open, append_all, read_all, replace};

/// What a workload notes: the number of a record that it was told is safe.
type Safe = u8;

fn p(name: &str) -> &Path {
    Path::new(name)
}

#[track_caller]
fn is_caught(run: impl FnOnce() -> Tried) {
    let result = catch_unwind(AssertUnwindSafe(run));
    assert!(result.is_err(), "a wrong program passed: {}", result.unwrap());
}

fn content(crash_dir: &dyn Dir, name: &str) -> Option<Vec<u8>> {
    read_all(crash_dir, p(name), 1 << 20).ok()
}

/// A log of one-byte records: all that were acknowledged must be there, and nothing else in front of them.
fn check_log(crash: &Crash<'_, Safe>) {
    let log = content(&*crash.image.fs.dir(), "log").unwrap_or_default();
    assert_eq!(log.get(..crash.events.len()), Some(crash.events), "{:?}", crash.cause);
}

fn log_program(sync_dir: bool, sync_data: bool, ack_first: bool) -> Tried {
    let workload = |fs: &CrashFs, history: &History<Safe>| {
        let dir = fs.dir();
        let log = dir.open(p("log"), Open::APPEND.create_new()).unwrap();
        if sync_dir {
            dir.sync(p("")).unwrap();
        }
        for record in 1..6 {
            append_all(&*log, &[record], 0).unwrap();
            if ack_first {
                history.note(record);
            }
            if sync_data {
                log.sync_data().unwrap();
            }
            if !ack_first {
                history.note(record);
            }
        }
    };
    for_each_crash(CrashPolicy::default(), workload, check_log)
}

#[test]
fn a_log_that_syncs_before_it_acknowledges_loses_nothing() {
    let tried = log_program(true, true, false);
    assert!(tried.points > 20 && tried.images > 60, "{tried}");
}

#[test]
fn a_log_whose_folder_is_not_synced_is_caught() {
    is_caught(|| log_program(false, true, false));
}

#[test]
fn a_log_that_never_syncs_is_caught() {
    is_caught(|| log_program(true, false, false));
}

#[test]
fn a_log_that_acknowledges_before_the_sync_is_caught() {
    is_caught(|| log_program(true, true, true));
}

#[test]
fn a_log_that_never_syncs_survives_a_kill() {
    let workload = |fs: &CrashFs, history: &History<Safe>| {
        let log = fs.dir().open(p("log"), Open::APPEND.create_new()).unwrap();
        for record in 1..6 {
            append_all(&*log, &[record], 0).unwrap();
            history.note(record);
        }
    };
    for_each_crash(CrashPolicy::default(), workload, |crash| {
        if crash.cause == Cause::Kill {
            check_log(crash);
        }
    });
}

/// Replaces a file again and again; it must hold the content that was acknowledged last or the one under way, whole.
fn replacing_program(replace: fn(&dyn Dir, &[u8])) -> Tried {
    let workload = |fs: &CrashFs, history: &History<Safe>| {
        for version in 1..4 {
            replace(&*fs.dir(), &[version; 700]);
            history.note(version);
        }
    };
    for_each_crash(CrashPolicy::default(), workload, |crash| {
        let last = crash.events.last().copied().unwrap_or(0);
        match content(&*crash.image.fs.dir(), "f") {
            None => assert_eq!(last, 0, "the file is gone"),
            Some(found) => {
                let version = found.first().copied().unwrap_or(0);
                assert_eq!(found, [version; 700], "torn");
                assert!(version == last || version == last + 1, "{version} after {last}");
            }
        }
    })
}

fn write_and_rename(dir: &dyn Dir, bytes: &[u8], sync_data: bool, sync_dir: bool) {
    let file = dir.open(p("t"), Open::WRITE.create().truncate()).unwrap();
    file.write_at(bytes, 0).unwrap();
    if sync_data {
        file.sync_data().unwrap();
    }
    dir.rename(p("t"), p("f")).unwrap();
    if sync_dir {
        dir.sync(p("")).unwrap();
    }
}

#[test]
fn replace_is_atomic_and_lasts() {
    replacing_program(|dir, bytes| replace(dir, p("f"), bytes).unwrap());
    replacing_program(|dir, bytes| write_and_rename(dir, bytes, true, true));
}

#[test]
fn a_rename_before_the_data_is_synced_is_caught() {
    is_caught(|| replacing_program(|dir, bytes| write_and_rename(dir, bytes, false, true)));
}

#[test]
fn a_rename_that_is_not_synced_is_caught() {
    is_caught(|| replacing_program(|dir, bytes| write_and_rename(dir, bytes, true, false)));
}

#[test]
fn a_file_rewritten_in_place_is_caught() {
    is_caught(|| {
        replacing_program(|dir, bytes| {
            let file = dir.open(p("f"), Open::WRITE.create().truncate()).unwrap();
            file.write_at(bytes, 0).unwrap();
            file.sync_data().unwrap();
            dir.sync(p("")).unwrap();
        })
    });
}

const FAULTS: [Fault; 5] =
    [Fault::NoSpace, Fault::Io, Fault::ShortWrite(1), Fault::TornWrite(1), Fault::FailedSync];

/// A log of two-byte records; after a failure the program goes on as `after_failure` says.
fn failing_program(retry_sync: bool, cut_back: bool) -> Tried {
    let append = |log: &dyn File, record: u8, end: u64| -> std::io::Result<()> {
        if cut_back {
            append_all(log, &[record; 2], end)?;
        } else if log.append(&[record; 2])? < 2 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        match log.sync_data() {
            Err(_) if retry_sync => log.sync_data(),
            result => result,
        }
    };
    let workload = |fs: &CrashFs, history: &History<Safe>| {
        let dir = fs.dir();
        let Ok(log) = dir.open(p("log"), Open::APPEND.create_new()) else { return };
        let Ok(()) = dir.sync(p("")) else { return };
        let mut end = 0;
        for record in 1..5 {
            match append(&*log, record, end) {
                Ok(()) => {
                    history.note(record);
                    end += 2;
                }
                // Without the cut a wrong program goes on in the same file; the right one stops here.
                Err(_) if cut_back => return,
                Err(_) => {}
            }
        }
    };
    let check = |failure: &Failure<Safe>| {
        for image in failure.fs.images(CrashPolicy::default()) {
            let log = content(&*image.fs.dir(), "log").unwrap_or_default();
            let safe: Vec<u8> = failure.events.iter().flat_map(|record| [*record; 2]).collect();
            assert_eq!(log.get(..safe.len()), Some(safe.as_slice()));
        }
    };
    for_each_fault(&FAULTS, workload, check)
}

#[test]
fn a_log_that_stops_at_a_failure_loses_nothing() {
    let tried = failing_program(false, true);
    assert!(tried.points == 10 && tried.images > 40, "{tried}");
}

#[test]
fn a_log_that_repeats_a_failed_sync_is_caught() {
    is_caught(|| failing_program(true, true));
}

#[test]
fn a_log_that_goes_on_behind_half_a_record_is_caught() {
    is_caught(|| failing_program(false, false));
}
