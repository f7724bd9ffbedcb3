//! `ledger chain …`, from a new ledger to an offline receipt and a recovery.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

fn chain(folder: &Path, args: &[&str], input: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.arg("chain").args(args).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn done(folder: &Path, args: &[&str], input: &str) -> String {
    let run = chain(folder, args, input);
    assert_eq!(run.code, Some(0), "{args:?}\n{}{}", run.out, run.err);
    run.out
}

#[test]
fn a_ledger_is_made_filled_read_verified_proved_and_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(done(at, &["init", "home"], ""), "home: a new ledger, signed up to 2.4\n");
    assert_eq!(done(at, &["append", "home", "public:app.records", "k", "v"], ""), "3.5\tsynced\n");
    let lines = "{\"map\":\"public:app.records\",\"key\":\"k\",\"value\":\"w\"}\n\n\
                 {\"writes\":[{\"map\":\"notes\",\"key\":\"n\",\"value\":{\"base64\":\"AP8=\"}},\
                 {\"map\":\"public:app.records\",\"key\":\"l\",\"value\":null}]}\n";
    assert_eq!(done(at, &["append", "home"], lines), "4.7\tsynced\n4.8\tsynced\n");
    assert_eq!(done(at, &["get", "home", "public:app.records", "k"], ""), "w\n");
    assert_eq!(done(at, &["get", "home", "public:app.records", "k", "--at", "6"], ""), "v\n");
    assert_eq!(
        done(at, &["history", "home", "public:app.records", "k"], ""),
        "{\"txid\":\"3.5\",\"value\":\"v\"}\n{\"txid\":\"4.7\",\"value\":\"w\"}\n"
    );
    assert_eq!(
        done(at, &["range", "home", "notes"], ""),
        "{\"txid\":\"4.8\",\"key\":\"n\",\"value\":{\"base64\":\"AP8=\"}}\n"
    );
    let text = done(at, &["read", "home", "--from", "5", "--limit", "1"], "");
    assert!(text.contains("      b'k':\n        b'v'\n"), "{text}");
    assert!(done(at, &["stat", "home"], "").contains("  NsOs.s.ps\n"));
    assert!(done(at, &["ls", "home"], "").ends_with("\tledger_1\n"));
    assert!(done(at, &["verify", "home", "--expect", "4.9"], "").ends_with("verified until 4.9\n"));
    assert!(done(at, &["verify", "home/ledger", "--json"], "").starts_with("{\"verdict\":\"verified\","));

    done(at, &["receipt", "home", "3.5", "-o", "r.json"], "");
    done(at, &["receipt", "home", "3.5", "--cose", "-o", "r.cose"], "");
    let certificate = ["--service-cert", "home/keys/service_cert.pem"];
    for receipt in ["r.json", "r.cose"] {
        let out = done(at, &["verify-receipt", certificate[0], certificate[1], receipt], "");
        assert!(out.starts_with("valid: entry 3.5 is in the ledger\n"), "{out}");
        let other = ["verify-receipt", certificate[0], certificate[1], "--txid", "3.6", receipt];
        assert_eq!(chain(at, &other, "").code, Some(1));
    }

    std::fs::create_dir_all(at.join("new/ledger")).unwrap();
    std::fs::copy(at.join("home/ledger/ledger_1"), at.join("new/ledger/ledger_1")).unwrap();
    assert_eq!(done(at, &["compare", "home", "new"], ""), "the first 9 entries are the same, up to 4.9\n");
    let out = done(at, &["recover", "new"], "");
    assert_eq!(out, "kept everything up to 4.9\nthe new service begins at 6.10\n");
    done(at, &["rotate-node-key", "new"], "");
    done(at, &["rotate-secret", "new"], "");
    done(at, &["append", "new", "notes", "n", "after"], "");
    assert_eq!(done(at, &["get", "new", "notes", "n"], ""), "after\n");
    done(at, &["verify", "new"], "");
    let compared = chain(at, &["compare", "home", "new"], "");
    assert_eq!(compared.code, Some(1));
    assert!(compared.err.contains("home ends there, new goes on"), "{}", compared.err);
}

#[test]
fn what_is_wrong_is_said_and_ends_with_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["init", "home"], "");
    let fails = |args: &[&str], input: &str, said: &str| {
        let run = chain(at, args, input);
        assert_eq!(run.code, Some(1), "{args:?}");
        assert!(run.out.contains(said) || run.err.contains(said), "{args:?}\n{}{}", run.out, run.err);
    };
    fails(&["init", "home"], "", "holds a ledger already");
    fails(&["append", "nowhere", "m", "k", "v"], "", "make one with `ledger chain init`");
    fails(&["append", "home", "public:ccf.gov.nodes.info", "k", "v"], "", "belongs to the ledger itself");
    fails(&["append", "home"], "{\"map\":\"m\"}\n", "line 1: the line is no write");
    fails(&["get", "home", "m", "k"], "", "there is no such key");
    fails(&["receipt", "home", "9.1"], "", "there is no entry 9.1");
    fails(&["verify", "home", "--expect", "2.9"], "", "should be signed up to 2.9");
    fails(&["recover", "nowhere"], "", "copy the chunk files");
    let path = at.join("home/ledger/ledger_1");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    fails(&["verify", "home"], "", "ledger_1 seqno 1 offset 8: ");
}

/// Lines to append, many enough for several chunks.
fn lines(count: u32) -> String {
    (0..count)
        .map(|at| {
            format!(
                "{{\"map\":\"public:app.records\",\"key\":\"k{at}\",\"value\":\"{}\"}}\n",
                "v".repeat(100)
            )
        })
        .collect()
}

#[test]
fn snapshots_stand_for_chunks_that_are_gone_and_checkpoints_for_what_was_verified() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["init", "home"], "");
    let writer = ["--ledger-chunk-bytes", "20000", "--sign-every", "50", "--snapshot-tx-interval", "0"];
    done(at, &[&["append", "home"], &writer[..]].concat(), &lines(200));
    let out = done(at, &["verify", "home", "--write-checkpoint", "c"], "");
    assert!(out.contains(" entries, "), "{out}");
    let taken = done(at, &[&["snapshot", "home"], &writer[..]].concat(), "");
    let taken = taken.trim_end();
    assert!(at.join(taken).is_file(), "{taken}");
    done(at, &[&["append", "home"], &writer[..]].concat(), &lines(3));
    let out =
        done(at, &["verify", "home", "--checkpoint", "c", "--write-checkpoint", "c", "--snapshot-rows"], "");
    assert!(out.contains("1 snapshots are what the ledger records\n"), "{out}");
    assert!(out.contains("note: verified from the checkpoint at 3."), "{out}");

    let seqno: u64 = taken.rsplit('/').next().unwrap().split('_').nth(1).unwrap().parse().unwrap();
    let mut moved = 0;
    std::fs::create_dir(at.join("archive")).unwrap();
    for entry in std::fs::read_dir(at.join("home/ledger")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let end =
            name.strip_suffix(".committed").and_then(|name| name.rsplit('-').next()?.parse::<u64>().ok());
        if end.is_some_and(|end| end <= seqno) {
            std::fs::rename(entry.path(), at.join("archive").join(name)).unwrap();
            moved += 1;
        }
    }
    assert!(moved >= 2, "{moved}");
    assert!(done(at, &["get", "home", "public:app.records", "k150"], "").starts_with("vvv"));
    let gone = chain(at, &["history", "home", "public:app.records", "k150"], "");
    assert!(gone.code == Some(1) && gone.err.contains("are not in the ledger's folder"), "{}", gone.err);
    done(at, &["append", "home", "public:app.records", "after", "v"], "");
    let out = done(at, &["verify", "home"], "");
    assert!(out.contains("note: verified from snapshot_"), "{out}");
    assert!(done(at, &["verify", "home", "--checkpoint", "c"], "").contains("verified until 6."));
    std::fs::remove_dir_all(at.join("home/keys")).unwrap();
    let out = done(at, &["recover", "home"], "");
    assert!(out.contains("what the first chunks held is taken from snapshots/snapshot_"), "{out}");
    done(at, &["verify", "home"], "");
}

#[test]
fn an_entry_that_was_acknowledged_and_damaged_is_named_and_a_recovery_says_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["init", "home"], "");
    assert_eq!(done(at, &["append", "home", "public:m", "k", "v"], ""), "3.5\tsynced\n");
    let path = at.join("home/ledger/ledger_1");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let refused = chain(at, &["append", "home", "public:m", "k", "w"], "");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.err.contains("ledger_1 is damaged at offset ")
            && refused.err.contains("entry 6 cannot be read")
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    // Without its first bytes the entry is no entry any more, and a recovery goes on before it.
    std::fs::write(&path, &bytes[..last]).unwrap();
    let out = done(at, &["recover", "home"], "");
    assert!(out.starts_with("kept everything up to 2.4\n1 entries behind it were not signed"), "{out}");
    assert!(out.contains("entries 6 to 6 had been synced here, and cannot be read any more\n"), "{out}");
    done(at, &["append", "home", "public:m", "k", "w"], "");
    done(at, &["verify", "home"], "");
}
