//! A real disk that is full (hole H1): what does not fit is refused and costs nothing else.
//!
//! A tmpfs of some hundred kilobytes where mounting is allowed; where it is not, a limit on the size of files. This
//! program is its own child: the parent starts it in a namespace of its own or under the limit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{body, config, drain};
use ledger_buffer::{AppendError, LedgerStore};

const FOLDER: &str = "LEDGER_BUFFER_FULL_FOLDER";

fn main() {
    match std::env::var(FOLDER) {
        Ok(folder) => fill_again_and_again(Path::new(&folder)),
        Err(_) => {
            let is_mounted = on_small_disk();
            under_file_size_limit();
            println!(
                "full disk ({}), file size limit: ok",
                if is_mounted { "tmpfs" } else { "mounting is not allowed" }
            );
        }
    }
}

fn run(script: &str, folder: &Path) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env(FOLDER, folder).env("PROGRAM", std::env::current_exe().unwrap());
    command.status().unwrap().success()
}

/// Whether a small file system could be mounted.
fn on_small_disk() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=300k none \"$LEDGER_BUFFER_FULL_FOLDER\" 2>/dev/null";
    let unshare = |script: &str| format!("unshare --mount sh -c '{script}' 2>/dev/null");
    if !run(&unshare(mount), folder.path()) {
        return false;
    }
    let script = format!("unshare --mount sh -c '{mount} && \"$PROGRAM\"'");
    assert!(run(&script, folder.path()), "on a full tmpfs");
    true
}

fn under_file_size_limit() {
    let folder = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes. The signal that comes with the limit would end the process.
    assert!(run("trap '' XFSZ; ulimit -f 100; \"$PROGRAM\"", folder.path()), "under a file size limit");
}

/// Appends until it is refused, sends something, and so on; compares what was acknowledged with what comes out.
fn fill_again_and_again(folder: &Path) {
    // Files would grow beyond any limit here.
    let store = LedgerStore::new(config(folder, 10_000_000)).unwrap();
    let (mut acknowledged, mut sent, mut refused) = (Vec::new(), Vec::new(), 0);
    for number in 0..2000_usize {
        let payload = format!("{number} {}", "x".repeat(number * 101 % 5000));
        match store.append(payload.as_bytes()) {
            Ok(()) => acknowledged.push(payload),
            Err(AppendError::Write { .. } | AppendError::Create(_)) => {
                refused += 1;
                if refused % 3 == 0 {
                    send_one(&store, &mut sent);
                }
            }
            Err(error) => panic!("{error}"),
        }
        assert!(common::names(folder).len() < 100, "refused appends leave no files behind");
    }
    assert!(
        refused > 10 && acknowledged.len() > 100,
        "{refused} refused, {} acknowledged",
        acknowledged.len()
    );
    sent.extend(drain(&store));
    assert!(sent == acknowledged, "{} acknowledged, {} came out", acknowledged.len(), sent.len());
}

fn send_one(store: &LedgerStore, sent: &mut Vec<String>) {
    let Some(mut fetched) = store.fetch(Some(1), None).unwrap() else { return };
    body(&mut fetched.data[0]);
    sent.extend(common::all_payloads(&fetched));
    store.remove(&fetched.removable).unwrap();
}
