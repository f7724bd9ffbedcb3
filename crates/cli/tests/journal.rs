//! `ledger journal …` is `burn state …`.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::process::{Command, Output};

fn journal(home: &std::path::Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ledger"))
        .arg("journal")
        .args(args)
        .env("RELAYBURN_HOME", home)
        .env_remove("RELAYBURN_STORAGE")
        .output()
        .unwrap()
}

#[test]
fn the_commands_of_burn_state_answer_with_their_output_and_exit_codes() {
    let home = tempfile::tempdir().unwrap();
    let line = r#"{"v":1,"kind":"turn","record":{"v":1,"source":"codex","sessionId":"s","messageId":"m","turnIndex":0,"ts":"2026-04-20T00:00:00.000Z","model":"gpt","usage":{"input":1,"output":2,"reasoning":0,"cacheRead":0,"cacheCreate5m":0,"cacheCreate1h":0},"toolCalls":[]}}"#;
    std::fs::write(home.path().join("ledger.jsonl"), format!("{line}\n")).unwrap();
    let built = journal(home.path(), &["rebuild", "archive", "--full"]);
    assert_eq!(built.status.code(), Some(0), "{built:?}");
    assert!(
        String::from_utf8_lossy(&built.stdout).starts_with("rebuilt archive from ledger\n  1 turn applied")
    );
    let status = journal(home.path(), &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["archive"]["rowCounts"]["turns"], 1);
    assert_eq!(status["archive"]["upToDate"], true);
    let missing = journal(home.path(), &["rebuild"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).starts_with("burn state rebuild: missing target"));
    assert_eq!(journal(home.path(), &["nonsense"]).status.code(), Some(1));
    let help = journal(home.path(), &["--help"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("burn state rebuild archive"));
}
