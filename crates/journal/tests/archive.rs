//! The archive's cases of specification §8, bad input, and everything that may happen to the ledger under it.
#![allow(clippy::redundant_clone, reason = "every use of a home takes a clone alike")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::cast_precision_loss, reason = "a test")]

mod common;

use std::fs;

use common::{TestHome, assert_tables_equal, fixture_json, stamp_line, turn_line};
use relayburn_ledger::archive::{Archive, ArchiveError, Problem};
use relayburn_ledger::lock::Locks;
use relayburn_ledger::{Ledger, Query, reader};

fn event_line(index: u32, more: &str) -> String {
    format!(
        r#"{{"v":1,"kind":"tool_result_event","record":{{"v":1,"source":"codex","sessionId":"s","toolUseId":"tu-{index}","eventIndex":{index},"status":"completed","eventSource":"tool_result"{more}}}}}"#
    ) + "\n"
}

#[test]
fn without_a_ledger_an_empty_archive_is_made() {
    let home = TestHome::new();
    let report = home.build();
    assert_eq!((report.scanned_bytes, report.turns_applied), (0, 0));
    let status = home.archive().status().unwrap();
    assert_eq!((status.exists, status.archive_version, status.rows.turns), (true, 3, 0));
    assert!(status.last_built_at.is_some() && status.last_rebuild_at.is_none());
}

#[test]
fn stamps_reach_turns_before_and_after_them() {
    let home = TestHome::new();
    home.write(
        "ledger.jsonl",
        stamp_line("s", "2026-04-20T00:00:00.000Z", r#"{"workflowId":"w","persona":"p"}"#),
    );
    assert_eq!(home.build().stamps_applied, 1);
    home.append("ledger.jsonl", turn_line("s", "a", 0));
    home.build();
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE workflow_id = 'w' AND persona = 'p'"), 1);
    home.append("ledger.jsonl", stamp_line("s", "2026-04-20T00:00:01.000Z", r#"{"tier":"best"}"#));
    home.append(
        "ledger.jsonl",
        "{\"v\":1,\"kind\":\"stamp\",\"ts\":\"2026-04-20T00:00:02.000Z\",\"selector\":{\"messageId\":\"a\"},\"enrichment\":{\"persona\":\"q\"}}\n",
    );
    assert_eq!(home.build().sessions_touched, 1);
    assert_eq!(
        home.count("SELECT count(*) FROM turns WHERE workflow_id = 'w' AND persona = 'q' AND tier = 'best'"),
        1
    );
    assert_eq!(home.count("SELECT count(*) FROM stamps"), 3);
    assert_eq!(home.count("SELECT count(*) FROM sessions WHERE workflow_id = 'w'"), 1);
}

#[test]
fn a_second_build_without_changes_applies_nothing() {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.build();
    let rows = home.archive().status().unwrap().rows;
    let report = home.build();
    assert_eq!((report.turns_applied, report.scanned_bytes), (0, 0));
    assert_eq!(home.archive().status().unwrap().rows, rows);
}

#[test]
fn builds_set_their_times() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0));
    home.build();
    let first = home.archive().status().unwrap();
    assert!(first.last_built_at.is_some() && first.last_rebuild_at.is_none() && first.up_to_date);
    assert!(home.rebuild().rebuilt_from_zero);
    assert!(home.archive().status().unwrap().last_rebuild_at.is_some());
}

#[test]
fn events_keep_absent_null_and_true_apart() {
    let home = TestHome::new();
    home.write("ledger.jsonl", event_line(0, "") + &event_line(1, r#","isError":true,"messageId":null"#));
    assert_eq!(home.build().tool_result_events_applied, 2);
    assert_eq!(
        home.count("SELECT count(*) FROM tool_result_events WHERE is_error IS NULL AND message_id = ''"),
        1
    );
    assert_eq!(
        home.count("SELECT count(*) FROM tool_result_events WHERE is_error = 1 AND message_id = ''"),
        1
    );
    home.append("ledger.jsonl", event_line(1, "") + &event_line(2, ""));
    assert_eq!(home.build().tool_result_events_applied, 2);
    assert_eq!(home.archive().status().unwrap().rows.tool_result_events, 3);
    home.rebuild();
    assert_eq!(home.archive().status().unwrap().rows.tool_result_events, 3);
}

#[test]
fn a_torn_last_line_is_left_for_later() {
    let home = TestHome::new();
    let (first, second) = (turn_line("s", "a", 0), turn_line("s", "b", 1));
    let (torn, rest) = second.split_at(50);
    home.write("ledger.jsonl", format!("{first}{torn}"));
    home.build();
    let status = home.archive().status().unwrap();
    assert_eq!((status.ledger_offset_bytes, status.up_to_date), (first.len() as u64, false));
    home.append("ledger.jsonl", rest);
    assert_eq!(home.build().turns_applied, 1);
    assert!(home.archive().status().unwrap().up_to_date);
}

#[test]
fn junk_and_blank_lines_at_the_end_do_not_hold_the_cursor() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0) + "junk\n\n  \n");
    let report = home.build();
    assert_eq!((report.malformed_lines, report.skipped_lines), (1, 0));
    assert!(home.archive().status().unwrap().up_to_date);
}

#[test]
fn a_ledger_that_shrank_is_archived_anew() {
    let home = TestHome::new();
    home.write("ledger.jsonl", (0..5).map(|n| turn_line("s", &n.to_string(), n)).collect::<String>());
    home.build();
    home.write("ledger.jsonl", turn_line("other", "x", 0));
    let report = home.build();
    assert!(report.ledger_rewritten && !report.rebuilt_from_zero);
    assert_eq!(home.count("SELECT count(*) FROM turns"), 1);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE session_id = 'other'"), 1);
}

#[test]
fn a_ledger_that_grew_by_rewriting_is_archived_anew() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0) + &turn_line("s", "b", 1));
    home.build();
    let longer = turn_line("s", "a", 0).replace("\"toolCalls\"", "\"activity\":\"coding\",\"toolCalls\"");
    // In place, so that the file is the same one.
    home.write("ledger.jsonl", longer.clone() + &turn_line("s", "b", 1) + &turn_line("s", "c", 2));
    let report = home.build();
    assert!(report.ledger_rewritten);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE activity = 'coding'"), 1);
    assert_eq!(home.count("SELECT count(*) FROM turns"), 3);
}

#[test]
fn a_ledger_that_was_rewritten_in_place_with_lines_of_the_same_length_is_archived_anew() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0) + &turn_line("s", "b", 1));
    home.build();
    home.write("ledger.jsonl", turn_line("s", "y", 0) + &turn_line("s", "z", 1));
    home.append("ledger.jsonl", turn_line("s", "c", 2));
    assert!(home.build().ledger_rewritten);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE message_id IN ('c', 'y', 'z')"), 3);
    assert_eq!(home.count("SELECT count(*) FROM turns"), 3);
}

#[test]
fn a_ledger_that_was_replaced_by_an_equally_long_one_is_archived_anew() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0) + &"x".repeat(5000) + "\n");
    home.build();
    home.write("new", turn_line("s", "z", 0) + &"x".repeat(5000) + "\n");
    fs::rename(home.path("new"), home.path("ledger.jsonl")).unwrap();
    assert!(home.build().ledger_rewritten);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE message_id = 'z'"), 1);
}

#[test]
fn a_ledger_that_vanished_leaves_the_rows_and_a_new_one_replaces_them() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0));
    home.build();
    fs::remove_file(home.path("ledger.jsonl")).unwrap();
    assert_eq!(home.build().turns_applied, 0);
    assert_eq!(home.count("SELECT count(*) FROM turns"), 1);
    home.write("ledger.jsonl", (0..9).map(|n| turn_line("t", &n.to_string(), n)).collect::<String>());
    assert!(home.build().ledger_rewritten);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE session_id = 't'"), 9);
    assert_eq!(home.count("SELECT count(*) FROM turns"), 9);
}

#[test]
fn reclassifying_is_noticed_by_the_next_build() {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.build();
    let label = relayburn_ledger::reclassify::Labels { activity: "review".to_owned(), ..Default::default() };
    let ledger = Ledger::new(home.home.clone());
    let report = ledger.reclassify(false, &mut |_| Some(label.clone())).unwrap();
    assert_eq!((report.scanned, report.processed), (79, 11));
    assert!(home.build().ledger_rewritten);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE activity IS NULL"), 0);
}

/// Item 20 of specification §9: the cursor counts bytes, whatever they decode to.
#[test]
fn bytes_that_are_no_utf8_neither_shift_the_cursor_nor_lose_their_neighbours() {
    let home = TestHome::new();
    let mut line = turn_line("s", "a", 0).replace("claude-sonnet", "bad-##").into_bytes();
    line.iter_mut().filter(|byte| **byte == b'#').for_each(|byte| *byte = 0xff);
    home.write("ledger.jsonl", &line);
    home.append("ledger.jsonl", turn_line("s", "b", 1));
    let scanned = home.build().scanned_bytes;
    let status = home.archive().status().unwrap();
    assert_eq!((status.up_to_date, status.rows.turns), (true, 2));
    assert_eq!(scanned, status.ledger_size_bytes);
    home.append("ledger.jsonl", turn_line("s", "c", 2));
    let report = home.build();
    assert_eq!((report.turns_applied, report.ledger_rewritten), (1, false));
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE model = 'bad-\u{fffd}\u{fffd}-4-6'"), 1);
}

/// All cases of `poison.json`: what the original takes is taken the same way; what stops it is left out and named.
#[test]
fn odd_lines_are_archived_as_the_original_does_or_left_out_and_named() {
    let poison = fixture_json("poison.json");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let (before, after) = (text(&poison["before"]), text(&poison["after"]));
    let cases = poison["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 33);
    for case in cases {
        let name = text(&case["name"]);
        let home = TestHome::new();
        home.write("ledger.jsonl", before.clone() + &text(&case["line"]) + &after);
        let report = home.build();
        let status = home.archive().status().unwrap();
        assert!(status.up_to_date, "{name}");
        let good = home.count("SELECT count(*) FROM turns WHERE message_id LIKE 'good-%'");
        assert_eq!(good, 2, "{name}");
        if case["buildError"].is_string() {
            // One case can be stored without what no column can hold.
            let skipped = u64::from(name != "stamp-boolean-tier");
            assert_eq!(report.skipped_lines, skipped, "{name}: {report:?}");
            assert_eq!(report.skipped.len() as u64, skipped, "{name}");
            if let Some(line) = report.skipped.first() {
                assert_eq!(line.offset, before.len() as u64, "{name}");
            }
            assert_eq!(home.count("SELECT count(*) FROM turns"), 2, "{name}");
        } else {
            assert_eq!(report.skipped_lines, 0, "{name}");
            assert_eq!(Some(report.turns_applied), case["build"]["turnsApplied"].as_u64(), "{name}");
            assert_eq!(Some(report.scanned_bytes), case["build"]["scannedBytes"].as_u64(), "{name}");
            for row in case["turns"].as_array().unwrap() {
                let found = &common::rows(
                    &home.path("archive.sqlite"),
                    &format!("turns WHERE message_id = '{}'", text(&row["message_id"])),
                    &[
                        "turn_index",
                        "typeof(turn_index)",
                        "model",
                        "typeof(model)",
                        "input_tokens",
                        "tier",
                        "workflow_id",
                        "enrichment_json",
                    ],
                    "1",
                )[0];
                for (ours, theirs) in [
                    ("turn_index", "turn_index"),
                    ("typeof(turn_index)", "turn_index_type"),
                    ("model", "model"),
                    ("typeof(model)", "model_type"),
                    ("input_tokens", "input_tokens"),
                    ("tier", "tier"),
                    ("workflow_id", "workflow_id"),
                    ("enrichment_json", "enrichment_json"),
                ] {
                    assert_eq!(found[ours], row[theirs], "{name}: {ours}");
                }
            }
        }
        // The index rebuild and the walk never give up either.
        let rebuilt = Ledger::new(home.home.clone()).rebuild_index().unwrap();
        if let Some(ids) = case["rebuildIndex"]["ids"].as_u64() {
            assert_eq!(
                (rebuilt.ids as u64, Some(rebuilt.content as u64)),
                (ids, case["rebuildIndex"]["content"].as_u64()),
                "{name}"
            );
        }
        let walked = reader::turns(&home.home, &Query::default()).unwrap().len();
        assert!(walked >= 2, "{name}");
    }
}

#[test]
fn what_strict_parsers_refuse_is_archived() {
    let turn = |message: &str, members: &str| {
        format!(
            r#"{{"v":1.0,"kind":"turn","record":{{"source":"x","sessionId":"s","messageId":"{message}","turnIndex":1e0,"ts":"t","model":"m","usage":{{"input":1.0,"output":9007199254740993,"reasoning":1e999,"cacheRead":0,"cacheCreate5m":0,"cacheCreate1h":0}},"toolCalls":[]{members}}}}}"#
        )
    };
    let deep = format!(",\"extra\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let lines = [
        format!("\u{feff}{}", turn("bom", "")),
        turn("duplicate", r#","model":"first","model":"last""#),
        turn("null", r#","project":null,"subagent":null,"hasEdits":null"#),
        turn("surrogate", r#","project":"\ud83d""#),
        turn("nul", r#","project":"a\u0000b""#),
        turn("deep", &deep),
        turn("crlf", "") + "\r",
        turn("escaped", "").replace("\"kind\"", "\"\\u006bind\""),
        turn("order", "")
            .replace("{\"v\":1.0,\"kind\":\"turn\",", "{")
            .replace("]}}", "]},\"kind\":\"turn\",\"v\":1}"),
    ];
    let home = TestHome::new();
    home.write("ledger.jsonl", lines.join("\n") + "\n");
    let report = home.build();
    assert_eq!((report.turns_applied, report.skipped_lines, report.malformed_lines), (9, 0, 0), "{report:?}");
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE model = 'last'"), 1);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE has_edits = 0 AND is_sidechain IS NULL"), 1);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE project = '\u{fffd}'"), 1);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE hex(project) = '610062'"), 1);
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE typeof(input_tokens) = 'integer' AND output_tokens = 9007199254740992"), 9);
    // Values that the original stores but cannot read back (§9 item 28).
    let turns = home.archive().turns(&Query::default()).unwrap();
    assert_eq!(turns.len(), 9);
    assert_eq!(turns[0].usage[1], 9_007_199_254_740_992.0);
    assert!(turns.iter().any(|turn| turn.project.as_deref() == Some("a\0b")));
    assert_eq!(Ledger::new(home.home.clone()).rebuild_index().unwrap().ids, 9);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_archived_in_linear_time() {
    let home = TestHome::new();
    let target = "x".repeat(100 << 20);
    let long = turn_line("s", "long", 0)
        .replace("\"toolCalls\":[]", &format!("\"toolCalls\":[],\"sessionPath\":\"{target}\""));
    home.write("ledger.jsonl", turn_line("s", "a", 0) + &long + &turn_line("s", "b", 1));
    let report = home.build();
    assert_eq!(report.turns_applied, 3);
    assert!(home.archive().status().unwrap().up_to_date);
}

#[test]
fn an_archive_of_a_later_release_is_refused_and_untouched() {
    let home = TestHome::with(&["ledger.jsonl", "archive.sqlite"]);
    {
        let db = rusqlite::Connection::open(home.path("archive.sqlite")).unwrap();
        db.execute_batch("UPDATE archive_state SET archive_version = 4").unwrap();
    }
    let before = home.read("archive.sqlite");
    let archive = home.archive();
    let newer = |result: Result<(), ArchiveError>| {
        matches!(result, Err(ArchiveError::Newer { found: 4, known: 3, .. }))
    };
    assert!(newer(archive.status().map(drop)));
    assert!(newer(archive.turns(&Query::default()).map(drop)));
    assert!(newer(archive.build(&mut |_, _| {}).map(drop)));
    assert!(newer(archive.vacuum().map(drop)));
    assert_eq!(home.read("archive.sqlite"), before);
    // Asked for in so many words, it is replaced.
    home.rebuild();
    assert_eq!(home.archive().status().unwrap().archive_version, 3);
}

#[test]
fn a_damaged_archive_is_named_and_made_anew_by_the_next_build() {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.write("archive.sqlite", "this is no database, and long enough to be looked at as one. ".repeat(20));
    assert!(matches!(home.archive().status(), Err(ArchiveError::Damaged { .. })));
    home.build();
    assert_tables_equal(&home.path("archive.sqlite"), &fixture_json("expected.json")["tables"]);
}

#[test]
fn a_full_rebuild_serves_the_old_archive_until_the_new_one_is_complete() {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.build();
    let reader = rusqlite::Connection::open(home.path("archive.sqlite")).unwrap();
    let count = |db: &rusqlite::Connection| {
        db.query_row("SELECT count(*) FROM turns", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let archive = home.archive();
    let mut seen = 0;
    archive
        .rebuild(&mut |_, _| {
            let other = rusqlite::Connection::open(home.path("archive.sqlite")).unwrap();
            assert_eq!(count(&other), 78);
            seen += 1;
        })
        .unwrap();
    assert!(seen > 0);
    // The old connection goes on with what it has, and does no harm when it is closed.
    assert_eq!(count(&reader), 78);
    home.append("ledger.jsonl", "\n".to_owned() + &turn_line("new", "n", 0));
    home.build();
    drop(reader);
    assert_eq!(home.archive().status().unwrap().rows.turns, 79);
    assert_eq!(home.count("SELECT count(*) FROM turns"), 79);
    let leftovers = fs::read_dir(home.folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn vacuum_tells_the_sizes_and_keeps_the_rows() {
    let home = TestHome::with(&["ledger.jsonl"]);
    assert!(!home.archive().vacuum().unwrap().existed);
    assert!(!home.path("archive.sqlite").exists());
    home.build();
    {
        let db = rusqlite::Connection::open(home.path("archive.sqlite")).unwrap();
        db.execute_batch(
            "CREATE TABLE waste (x); INSERT INTO waste VALUES (randomblob(500000)); DROP TABLE waste",
        )
        .unwrap();
    }
    let report = home.archive().vacuum().unwrap();
    assert!(report.reclaimed_bytes() >= 400_000, "{report:?}");
    assert_eq!(report.after_bytes, home.path("archive.sqlite").metadata().unwrap().len());
    assert_eq!(home.archive().status().unwrap().rows.turns, 78);
}

#[test]
fn builds_and_vacuums_wait_for_each_other() {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.build();
    let guard = Locks::at(home.folder.path()).unwrap().acquire("archive").unwrap();
    let (sender, done) = std::sync::mpsc::channel();
    let archive = home.archive();
    let threads: Vec<_> = [true, false]
        .into_iter()
        .map(|vacuum| {
            let (archive, sender) = (archive.clone(), sender.clone());
            std::thread::spawn(move || {
                if vacuum {
                    archive.vacuum().unwrap();
                } else {
                    archive.build(&mut |_, _| {}).unwrap();
                }
                sender.send(()).unwrap();
            })
        })
        .collect();
    assert!(done.recv_timeout(std::time::Duration::from_millis(300)).is_err());
    drop(guard);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn availability_is_a_regular_file_and_queries_create_nothing() {
    let home = TestHome::new();
    assert!(!home.archive().is_available());
    assert!(home.archive().turns(&Query::default()).unwrap().is_empty());
    assert!(!home.path("archive.sqlite").exists());
    home.build();
    assert!(home.archive().is_available());
    assert!(Archive::with_storage(home.home.clone(), Some("sqlite")).is_err());
}

#[test]
fn skipped_lines_say_what_is_wrong() {
    let home = TestHome::new();
    home.write(
        "ledger.jsonl",
        turn_line("s", "a", 0).replace("\"model\":\"claude-sonnet-4-6\",", "\"model\":null,"),
    );
    let report = home.build();
    assert_eq!(report.skipped[0].problem, Problem::Null("model"));
    assert_eq!(report.skipped[0].to_string(), "turn line at byte 0: member `model` is null");
}

/// 10 000 stamps over 1 000 sessions, then one turn: only its own session's stamps are looked at.
#[test]
fn many_stamps_do_not_slow_a_turn_down() {
    let home = TestHome::new();
    let stamps: String = (0..10_000)
        .map(|number| {
            let ts = format!("2026-04-20T00:00:00.{number:06}Z");
            stamp_line(&format!("s-{}", number % 1000), &ts, &format!(r#"{{"tier":"t{number}"}}"#))
        })
        .collect();
    home.write("ledger.jsonl", stamps);
    assert_eq!(home.build().stamps_applied, 10_000);
    let line = turn_line("s-7", "a", 0);
    home.append("ledger.jsonl", &line);
    let report = home.build();
    assert_eq!((report.scanned_bytes, report.turns_applied), (line.len() as u64, 1));
    assert_eq!(home.count("SELECT count(*) FROM turns WHERE tier = 't9007'"), 1);
    assert_eq!(home.count("SELECT count(*) FROM stamps"), 10_000);
    let db = rusqlite::Connection::open(home.path("archive.sqlite")).unwrap();
    let plan: String = db
        .query_row(
            "EXPLAIN QUERY PLAN SELECT ts FROM stamps WHERE source IN ('*', 'x') AND session_id = 's-7'",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.starts_with("SEARCH stamps USING"), "{plan}");
}
