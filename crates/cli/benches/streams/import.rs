//! `ledger stream import` of a large file, by the binary itself.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bare;
use crate::common::report::Report;
use crate::common::support::{folder, from_environment, payload};

/// Bytes of the file in MB, unless the environment says otherwise.
const MEGABYTES: usize = 1000;

/// Lines per second and peak memory, beside a bare loop that writes as many rows.
pub(crate) fn import(report: &mut Report) {
    let megabytes = from_environment("LEDGER_BENCH_IMPORT_MB", MEGABYTES) as u64;
    let folder = folder();
    let file = folder.path().join("entries.jsonl");
    let lines = write_file(&file, megabytes * 1_000_000);
    let empty = folder.path().join("empty.jsonl");
    std::fs::write(&empty, "").unwrap();

    let (_, idle) = run_import(&empty, &folder.path().join("idle.db"));
    let (took, peak) = run_import(&file, &folder.path().join("ours.db"));
    let theirs = bare::rows_in_transactions(&folder.path().join("bare.db"), lines, 1000);
    let rate = |took: Duration| lines as f64 / took.as_secs_f64();
    let case = format!("import of {lines} lines");
    report.rate(&case, rate(took), "bare loop, transactions of 1,000, the same rows", rate(theirs), 0.5);
    report.at_most("import: peak memory above idle (MiB)", peak.saturating_sub(idle) as f64 / 1024.0, 64.0);
}

/// Writes a file in the format of `export`; answers its number of lines.
fn write_file(path: &Path, bytes: u64) -> u64 {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    let payload = String::from_utf8(payload().to_vec()).unwrap();
    let (mut written, mut lines) = (0, 0);
    while written < bytes {
        lines += 1;
        let line = format!(
            "{{\"id\":\"{lines}\",\"stream\":\"bench\",\"payload\":{payload},\"schema_version\":1,\"created_at\":\"2026-01-12T08:00:00.123Z\"}}\n"
        );
        file.write_all(line.as_bytes()).unwrap();
        written += line.len() as u64;
    }
    file.flush().unwrap();
    lines
}

/// Runs the command; answers how long it took and its peak memory in KiB.
fn run_import(file: &Path, database: &Path) -> (Duration, u64) {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ledger"))
        .args(["stream", "import", "--db"])
        .arg(database)
        .arg(file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_memory_kib(child.id()).unwrap_or(0));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    assert!(status.success(), "{status}");
    (started.elapsed(), peak)
}

fn peak_memory_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
