//! `ledger chain …`, from a new ledger to an offline receipt and a recovery.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

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
    let first = done(at, &["read", "home", "--json", "--limit", "1"], "");
    assert!(first.contains(&format!(".{}\"", seqno + 1)), "{first}");
    assert!(done(at, &["stat", "home"], "").contains(" entries"));
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

/// A command that goes on, and its output.
fn begin(folder: &Path, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.arg("chain").args(args).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn line(out: &mut BufReader<ChildStdout>) -> serde_json::Value {
    let mut line = String::new();
    assert!(out.read_line(&mut line).unwrap() > 0);
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_follower_prints_every_entry_once_while_writers_come_go_and_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let writer = ["--sign-every", "100", "--sign-after-ms", "50", "--ledger-chunk-bytes", "20000"];
    done(at, &[&["init", "home"][..], &writer].concat(), "");
    let (mut follower, mut out) = begin(at, &["follow", "home", "--from", "5", "--json"]);
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let (mut child, mut answers) = begin(at, &[&["append", "home"][..], &writer].concat());
        let mut input = child.stdin.take().unwrap();
        let lines = std::thread::spawn(move || {
            // Ends when the writer is killed.
            for number in 0.. {
                let line = format!("{{\"map\":\"public:r\",\"key\":\"{round}-{number}\",\"value\":\"v\"}}\n");
                if input.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        });
        // Answers come in blocks; one of them is enough.
        let mut answer = String::new();
        for _ in 0..200 {
            answer.clear();
            answers.read_line(&mut answer).unwrap();
            acknowledged.push(answer.split('\t').next().unwrap().to_owned());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.join().unwrap();
    }
    done(at, &[&["append", "home", "public:r", "last", "v"][..], &writer].concat(), "");
    let (mut positions, mut last) = (Vec::new(), false);
    while !last {
        let entry = line(&mut out);
        positions.push(entry["txid"].as_str().unwrap().to_owned());
        last = entry["writes"][0]["key"] == "last";
    }
    for (seqno, position) in (5..).zip(&positions) {
        assert!(position.ends_with(&format!(".{seqno}")), "{position} is not number {seqno}");
    }
    // An acknowledged entry that no signature covered yet is covered by the next writer.
    assert!(acknowledged.iter().all(|position| positions.contains(position)));
    let interrupt = rustix::process::Pid::from_child(&follower);
    rustix::process::kill_process(interrupt, rustix::process::Signal::INT).unwrap();
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    done(at, &["verify", "home"], "");
}

#[test]
fn a_follower_ends_when_nobody_reads_it_any_more() {
    let folder = tempfile::tempdir().unwrap();
    done(folder.path(), &["init", "home"], "");
    let (mut follower, mut out) = begin(folder.path(), &["follow", "home", "--json"]);
    assert_eq!(line(&mut out)["txid"], "2.1");
    drop(out);
    // Nothing is written to it any more, and yet it notices.
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn an_export_is_taken_back_by_append_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for home in ["one", "two"] {
        done(at, &["init", home], "");
    }
    let lines = "{\"map\":\"public:r\",\"key\":{\"base64\":\"/wA=\"},\"value\":{\"any\":[\"JSON\", 1]}}\n\
        {\"map\":\"notes\",\"key\":\"\",\"value\":\"\"}\n\
        {\"map\":\"public:r\",\"key\":\"k\",\"value\":null}\n\
        {\"writes\":[{\"map\":\"notes\",\"key\":\"n\",\"value\":{\"base64\":\"AP8=\"}},\
        {\"map\":\"public:r\",\"key\":\"l\",\"value\":17}],\"claims_digest\":\"";
    let lines = format!("{lines}{}\"}}\n", "07".repeat(32));
    done(at, &["append", "one"], &lines);
    let exported = chain(at, &["export", "one"], "");
    assert!(exported.err.contains("Left out: 5 entries of the ledger itself"), "{}", exported.err);
    done(at, &["append", "two"], &exported.out);
    assert_eq!(done(at, &["export", "two"], ""), exported.out);
    let range = done(at, &["export", "two", "--from", "6", "--to", "7"], "");
    assert_eq!(range.lines().collect::<Vec<_>>(), exported.out.lines().skip(1).take(2).collect::<Vec<_>>());
    // Without the secret nothing is left out silently.
    let bare = chain(at, &["export", "one/ledger"], "");
    assert_eq!(bare.code, Some(1));
    assert!(bare.err.contains("--public-only leaves them out"), "{}", bare.err);
    let public = chain(at, &["export", "one/ledger", "--public-only"], "");
    assert!(public.code == Some(0) && public.err.contains("the private maps of 2 entries"), "{}", public.err);
    assert_eq!(public.out.lines().count(), 3);
}

#[test]
fn tables_are_chosen_as_by_read_ledger_and_chunks_are_split() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["init", "home"], "");
    done(at, &["append", "home", "public:a", "k", "v"], "");
    done(at, &["append", "home", "private", "k", "v"], "");
    let text = done(at, &["read", "home", "--tables", "public:a"], "");
    assert_eq!(
        text,
        "  txid 3.5 (1 public table) [191 bytes]\n    table \"public:a\" (1 write):\n      b'k':\n        b'v'\n"
    );
    assert_eq!(done(at, &["read", "home", "--tables", "a"], ""), "");
    assert_eq!(done(at, &["read", "home", "-t", "priv", "--json"], "").lines().count(), 1);
    assert!(chain(at, &["read", "home", "-t", "("], "").err.contains("unclosed group"));

    assert_eq!(done(at, &["split", "home", "4"], ""), "split_ledger/ledger_1-4\nsplit_ledger/ledger_5\n");
    assert!(done(at, &["verify", "split_ledger"], "").ends_with("verified until 4.8\n"));
    assert_eq!(done(at, &["ls", "split_ledger", "--json"], "").lines().count(), 2);
    let again = chain(at, &["split", "split_ledger/ledger_1-4", "3", "--output-dir", "parts"], "");
    assert!(again.err.contains("the next signature is entry 4"), "{}", again.err);
}

#[test]
fn a_passphrase_comes_from_a_file_or_the_environment_and_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("pass"), "open sesame\nnot this line\n").unwrap();
    let file = ["--passphrase-file", "pass"];
    assert!(chain(at, &["init", "home", file[0], file[1]], "").err.contains("chmod 600 pass"));
    assert!(!at.join("home").exists());
    std::fs::set_permissions(at.join("pass"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    done(at, &["init", "home", file[0], file[1]], "");
    done(at, &["append", "home", "notes", "k", "v", file[0], file[1]], "");
    for args in [
        &["append", "home", "notes", "k", "v"][..],
        &["get", "home", "notes", "k"],
        &["rotate-secret", "home"],
    ] {
        let run = chain(at, args, "");
        assert_eq!(run.code, Some(1));
        assert!(run.err.contains("LEDGER_CHAIN_PASSPHRASE"), "{}", run.err);
    }
    let with = |passphrase: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
        command.args(["chain", "get", "home", "notes", "k"]).current_dir(at);
        command.env("LEDGER_CHAIN_PASSPHRASE", passphrase).output().unwrap()
    };
    assert_eq!(with("open sesame").stdout, b"v\n");
    assert!(String::from_utf8(with("wrong").stderr).unwrap().contains("not the right one"));
    // What is public needs none.
    done(at, &["verify", "home"], "");
    let read = chain(at, &["read", "home", "--json"], "");
    assert!(read.code == Some(0) && read.err.contains("Private maps stay closed"), "{}", read.err);
}

#[test]
fn the_passphrase_of_existing_keys_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for name in ["one", "two"] {
        std::fs::write(at.join(name), name).unwrap();
        std::fs::set_permissions(at.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    done(at, &["init", "home"], "");
    assert!(chain(at, &["change-passphrase", "home"], "").err.contains("--new-passphrase-file"));
    let change = |args: &[&str]| chain(at, &[&["change-passphrase", "home"], args].concat(), "");
    let first = change(&["--new-passphrase-file", "one"]);
    assert_eq!(first.out, "the new passphrase protects the keys in home/keys\n");
    assert!(first.err.contains("Copies of home/keys"), "{}", first.err);
    assert!(chain(at, &["append", "home", "m", "k", "v"], "").err.contains("--passphrase-file"));
    assert!(change(&["--new-passphrase-file", "two"]).err.contains("--passphrase-file"));
    assert_eq!(change(&["--passphrase-file", "one", "--new-passphrase-file", "two"]).code, Some(0));
    assert!(change(&["--passphrase-file", "one", "--remove"]).err.contains("not the right one"));
    done(at, &["append", "home", "m", "k", "v", "--passphrase-file", "two"], "");
    let last = change(&["--passphrase-file", "two", "--remove"]);
    assert_eq!(last.out, "no passphrase protects the keys in home/keys any more\n");
    assert_eq!(done(at, &["get", "home", "m", "k"], ""), "v\n");
    let missing = chain(at, &["change-passphrase", "nowhere", "--remove"], "");
    assert!(missing.err.contains("nowhere holds no ledger"), "{}", missing.err);
}

#[test]
fn what_was_moved_away_is_said_by_every_command_that_reads() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, &["init", "home"], "");
    done(at, &["append", "home", "public:a", "k", "v"], "");
    let snapshot = done(at, &["snapshot", "home"], "");
    let covered = snapshot.rsplit('_').nth(1).unwrap();
    done(at, &["append", "home", "public:a", "l", "w"], "");
    std::fs::remove_file(at.join(format!("home/ledger/ledger_1-{covered}.committed"))).unwrap();
    let first = covered.parse::<u64>().unwrap() + 1;
    let note = format!("Entries 1 to {covered} are not here");
    for args in [&["read", "home"][..], &["export", "home"], &["stat", "home"]] {
        let run = chain(at, args, "");
        assert!(run.code == Some(0) && run.err.contains(&note), "{args:?} {}", run.err);
    }
    let from = first.to_string();
    assert_eq!(chain(at, &["read", "home", "--from", &from, "--json"], "").err, "");
    let follow = chain(at, &["follow", "home"], "");
    let said = format!("entry 1 is not here any more, the first one is {first}");
    assert!(follow.code == Some(1) && follow.err.contains(&said), "{}", follow.err);
    let receipt = chain(at, &["receipt", "home", "3.5"], "");
    assert!(receipt.err.contains("entry 5 is not here any more"), "{}", receipt.err);
}
