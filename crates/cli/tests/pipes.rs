//! What becomes of a command when its output has nowhere to go, and how much memory a large input takes.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use common::{Ledger, Run, signal};

fn with_many_entries() -> Ledger {
    let ledger = Ledger::new();
    // More than a pipe and all buffers hold.
    let file = ledger.file("lines.txt", format!("{}\n", "x".repeat(1000)).repeat(2000));
    ledger.ok(&["stream", "append", "--input", &file]);
    ledger
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let ledger = with_many_entries();
    for args in [
        &["stream", "read", "--all"][..],
        &["stream", "export"],
        &["stream", "search", "x", "--all", "--json"],
        &["stream", "tail"],
    ] {
        let mut child = ledger.spawn(args);
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        // The reader is gone now.
        let run = Run::of(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn entries_are_stored_even_if_nobody_reads_their_ids() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.txt", "x\n".repeat(30_000));
    let mut child = ledger.spawn(&["stream", "append", "--input", &file, "--print-ids"]);
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(ledger.ok(&["stream", "count"]), "30000\n");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let ledger = with_many_entries();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for args in [
        &["stream", "read"][..],
        &["stream", "count"],
        &["stream", "export"],
        &["version"],
        &["completions", "bash"],
    ] {
        let mut command = ledger.command(args);
        let run = Run::of(command.stdout(full()).output().unwrap());
        assert_eq!(
            run.fails(),
            "Error: cannot write to standard output: No space left on device (os error 28)\n"
        );
    }
    let file = ledger.file("two.txt", "a\nb\n");
    let mut command = ledger.command(&["stream", "append", "--input", &file, "--print-ids"]);
    assert_eq!(
        Run::of(command.stdout(full()).output().unwrap()).fails(),
        "Error: the ids cannot be written to standard output: No space left on device (os error 28)\nStored: 2 \
         entries, from the lines up to 2. Go on with --skip-lines 2\n"
    );
}

#[test]
fn an_error_needs_nobody_to_read_it() {
    let ledger = Ledger::new();
    let mut child = ledger.spawn(&["stream", "read"]);
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn ctrl_c_ends_an_export() {
    let ledger = Ledger::new();
    // Several pages, and more than the pipe holds.
    let line = format!("{{\"stream\":\"s\",\"payload\":\"{}\"}}\n", "x".repeat(1_000_000));
    ledger.run_with_input(&["stream", "import", "-"], line.repeat(20)).ok();
    let mut child = ledger.spawn(&["stream", "export", "-S", "s"]);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    signal(&child, "INT");
    let rest = std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.err.as_str()), (Some(130), "Error: interrupted\n"));
    assert!(rest < 20_000_000, "{rest}");
}

/// Most memory that a process has had, in KiB.
fn peak_memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// Feeds a line to an import again and again; answers by how many MiB its memory grew.
fn growth_mib(ledger: &Ledger, line: &str, times: usize) -> u64 {
    let mut child = ledger.spawn(&["stream", "import", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"\n").unwrap();
    let idle = peak_memory_kib(child.id());
    for _ in 0..times {
        stdin.write_all(line.as_bytes()).unwrap();
    }
    // What the pipe still holds when the memory is looked at is of no account.
    let peak = peak_memory_kib(child.id());
    drop(stdin);
    assert_eq!(Run::of(child.wait_with_output().unwrap()).ok(), format!("imported {times} entries\n"));
    peak.saturating_sub(idle) / 1024
}

#[test]
fn a_large_input_takes_little_memory() {
    let ledger = Ledger::new();
    let line = |bytes| format!("{{\"stream\":\"s\",\"payload\":\"{}\"}}\n", "x".repeat(bytes));
    for (bytes, times) in [(200, 100_000), (100_000, 1500), (3_500_000, 50), (8_000_000, 20)] {
        let grown = growth_mib(&ledger, &line(bytes), times);
        assert!(grown <= 64, "{grown} MiB for {times} lines of {bytes} bytes");
    }
}

#[test]
fn a_large_output_takes_little_memory() {
    let ledger = Ledger::new();
    let line = format!("{{\"stream\":\"s\",\"payload\":\"{}\"}}\n", "x".repeat(100_000));
    ledger.run_with_input(&["stream", "import", "-"], line.repeat(1500)).ok();
    for command in ["export", "read"] {
        let mut args = vec!["stream", command, "-S", "s"];
        args.extend(Some("--all").filter(|_| command == "read"));
        let mut child = ledger.spawn(&args);
        let mut stdout = child.stdout.take().unwrap();
        let (mut block, mut bytes, mut peak) = (vec![0; 1 << 20], 0, 0);
        while bytes < 1490 * 100_000 {
            let read = stdout.read(&mut block).unwrap();
            assert!(read > 0);
            bytes += read;
            peak = peak.max(peak_memory_kib(child.id()));
        }
        std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
        Run::of(child.wait_with_output().unwrap()).ok();
        assert!(peak / 1024 <= 80, "{command}: {} MiB", peak / 1024);
    }
}
