//! The ledger's cases of specification §8, content sidecar, cursors and reclassification.
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

use std::cell::RefCell;
use std::fs;
use std::thread;
use std::time::Duration;

use common::{TestHome, fixture_json, turn_line};
use relayburn_ledger::content::{Content, ContentError, is_valid_session};
use relayburn_ledger::json::{parse, stringify};
use relayburn_ledger::line::Kind;
use relayburn_ledger::reclassify::Labels;
use relayburn_ledger::record::{
    Block, Compaction, Number, RawRecord, Record, Relationship, ToolCall, ToolResultEvent, Turn, Usage,
    UserTurn,
};
use relayburn_ledger::stamp::{Range, Selector, Stamp};
use relayburn_ledger::{Ledger, LedgerError, Query, cursors, reader};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

fn ledger(home: &TestHome) -> Ledger {
    Ledger::new(home.home.clone())
}

fn turn(session: &str, message: &str, input: u32) -> Turn {
    Turn {
        source: "claude-code".to_owned(),
        session_id: session.to_owned(),
        message_id: message.to_owned(),
        turn_index: Number::from(input),
        ts: format!("2026-04-20T00:{:02}:00.000Z", input % 60),
        model: "claude-sonnet-4-6".to_owned(),
        usage: Usage { input: Number::from(input), output: Number(50.0), ..Usage::default() },
        project: Some("/home/dev/work/api".to_owned()),
        project_key: Some("github.com/acme/api".to_owned()),
        ..Turn::default()
    }
}

fn stamp(selector: Selector, facts: &[(&str, &str)], second: u32) -> Stamp {
    let enrichment = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Stamp { ts: format!("2026-04-21T00:00:{second:02}.000Z"), selector, enrichment }
}

fn turns(home: &TestHome, query: &Query) -> Vec<(String, String)> {
    let found = reader::turns(&home.home, query).unwrap();
    found
        .iter()
        .map(|turn| {
            let record: Value = serde_json::from_str(&turn.record).unwrap();
            (record["messageId"].as_str().unwrap().to_owned(), turn.enrichment.to_json())
        })
        .collect()
}

#[test]
fn turns_come_back_as_they_were_written_with_an_empty_enrichment() {
    let home = TestHome::new();
    let written = Turn {
        tool_calls: vec![ToolCall {
            id: "t".to_owned(),
            name: "Read".to_owned(),
            args_hash: "abcd".to_owned(),
            ..ToolCall::default()
        }],
        ..turn("s", "a", 1)
    };
    assert_eq!(ledger(&home).append(&[written.clone(), turn("s", "b", 2)]).unwrap(), 2);
    let found = reader::turns(&home.home, &Query::default()).unwrap();
    assert_eq!(found[0].record, written.to_json());
    assert!(
        found.iter().all(|turn| turn.enrichment.is_empty() && turn.to_json().ends_with("\"enrichment\":{}}"))
    );
    assert!(home.path("ledger.jsonl").is_file());
    let line = String::from_utf8(home.read("ledger.jsonl")).unwrap();
    let start = r#"{"v":1,"kind":"turn","record":{"v":1,"source":"claude-code","sessionId":"s","messageId":"a","turnIndex":1,"ts":"2026-04-20T00:01:00.000Z","model":"claude-sonnet-4-6","usage":{"input":1,"output":50,"reasoning":0,"cacheRead":0,"cacheCreate5m":0,"cacheCreate1h":0},"toolCalls":[{"id":"t","name":"Read","argsHash":"abcd"}],"#;
    assert!(line.starts_with(start), "{line}");
}

#[test]
fn a_known_id_or_content_is_not_appended_again() {
    let home = TestHome::new();
    let writer = ledger(&home);
    assert_eq!(writer.append(&[turn("s", "a", 1)]).unwrap(), 1);
    let before = home.read("ledger.jsonl");
    assert_eq!(writer.append(&[turn("s", "a", 2)]).unwrap(), 0, "same id");
    assert_eq!(writer.append(&[turn("s", "other", 1)]).unwrap(), 0, "same content");
    // Another process knows it too.
    assert_eq!(ledger(&home).append(&[turn("s", "a", 1)]).unwrap(), 0);
    assert_eq!(home.read("ledger.jsonl"), before);
    // Within a batch equal ids collapse, equal contents do not.
    assert_eq!(writer.append(&[turn("s", "x", 7), turn("s", "x", 8), turn("s", "y", 7)]).unwrap(), 2);
    assert_eq!(writer.append::<Turn>(&[]).unwrap(), 0);
}

#[test]
fn a_batch_without_anything_new_touches_nothing() {
    let home = TestHome::new();
    ledger(&home).append(&[turn("s", "a", 1)]).unwrap();
    fs::write(home.path("ledger.lock"), "").unwrap();
    // The lock is held by somebody else, and not needed.
    assert_eq!(ledger(&home).append(&[turn("s", "a", 1)]).unwrap(), 0);
}

#[test]
fn other_records_round_trip_and_are_deduplicated() {
    let home = TestHome::new();
    let writer = ledger(&home);
    let relationship = Relationship {
        source: "claude-code".to_owned(),
        session_id: "s".to_owned(),
        relationship_type: "subagent".to_owned(),
        related_session_id: Some("parent".to_owned()),
        agent_id: Some("ag".to_owned()),
        ..Relationship::default()
    };
    let event = ToolResultEvent {
        source: "codex".to_owned(),
        session_id: "s".to_owned(),
        tool_use_id: "tu".to_owned(),
        status: "completed".to_owned(),
        event_source: "tool_result".to_owned(),
        is_error: Some(true),
        ..ToolResultEvent::default()
    };
    let user = UserTurn {
        source: "claude-code".to_owned(),
        session_id: "s".to_owned(),
        user_uuid: "u".to_owned(),
        ts: "2026-04-20T00:00:00.000Z".to_owned(),
        blocks: vec![Block {
            kind: "text".to_owned(),
            byte_len: Number(7.0),
            is_error: Some(false),
            ..Block::default()
        }],
        ..UserTurn::default()
    };
    let compaction = Compaction {
        source: "codex".to_owned(),
        session_id: "s".to_owned(),
        ts: "2026-04-20T00:00:00.000Z".to_owned(),
        tokens_before_compact: Some(Number(123.0)),
        ..Compaction::default()
    };
    for expected in [1, 0] {
        assert_eq!(writer.append(std::slice::from_ref(&relationship)).unwrap(), expected);
        assert_eq!(writer.append(std::slice::from_ref(&event)).unwrap(), expected);
        assert_eq!(writer.append(std::slice::from_ref(&user)).unwrap(), expected);
        assert_eq!(writer.append(std::slice::from_ref(&compaction)).unwrap(), expected);
    }
    // Another key: the parent tool use is part of the identity of a relationship, the index of that of an event.
    let other = Relationship { parent_tool_use_id: Some("tu".to_owned()), ..relationship };
    assert_eq!(writer.append(&[other]).unwrap(), 1);
    assert_eq!(writer.append(&[ToolResultEvent { event_index: Number(1.0), ..event.clone() }]).unwrap(), 1);
    let read = |kind, query: &Query| reader::records(&home.home, kind, query).unwrap();
    assert_eq!(read(Kind::UserTurn, &Query::default()), [user.to_json()]);
    assert_eq!(read(Kind::ToolResultEvent, &Query::default())[0], event.to_json());
    assert_eq!(read(Kind::Compaction, &Query::default()), [compaction.to_json()]);
    let by_session = |id: &str| Query { session_id: Some(id.to_owned()), ..Query::default() };
    assert_eq!(read(Kind::Relationship, &by_session("parent")).len(), 2, "by either end");
    assert_eq!(read(Kind::Relationship, &by_session("s")).len(), 2);
    let by_source = Query { source: Some("codex".to_owned()), ..Query::default() };
    assert_eq!(
        (read(Kind::UserTurn, &by_source).len(), read(Kind::ToolResultEvent, &by_source).len()),
        (0, 2)
    );
    // A user turn and a turn of the same session do not collide.
    assert_eq!(writer.append(&[turn("s", "m", 3)]).unwrap(), 1);
}

#[test]
fn stamps_reach_the_turns_that_they_select() {
    let home = TestHome::new();
    let writer = ledger(&home);
    writer.stamp(&stamp(Selector::session("s"), &[("tier", "fast"), ("workflowId", "w")], 1)).unwrap();
    writer.append(&[turn("s", "a", 1), turn("s", "b", 2), turn("t", "c", 3)]).unwrap();
    writer.stamp(&stamp(Selector::session("s"), &[("tier", "best")], 2)).unwrap();
    writer.stamp(&stamp(Selector::message("c"), &[("only", "c")], 3)).unwrap();
    let range = Range { from_ts: Some("2026-04-20T00:02:00.000Z".to_owned()), ..Range::default() };
    let selector = Selector { range: Some(range), ..Selector::session("s") };
    writer.stamp(&stamp(selector, &[("late", "yes")], 4)).unwrap();
    let found = turns(&home, &Query::default());
    assert_eq!(found[0].1, r#"{"tier":"best","workflowId":"w"}"#);
    assert_eq!(found[1].1, r#"{"tier":"best","workflowId":"w","late":"yes"}"#);
    assert_eq!(found[2].1, r#"{"only":"c"}"#);
    let by_fact = Query { enrichment: vec![("late".to_owned(), "yes".to_owned())], ..Query::default() };
    assert_eq!(turns(&home, &by_fact).len(), 1);
    let since = Query { since: Some("2026-04-20T00:03".to_owned()), ..Query::default() };
    assert_eq!(turns(&home, &since)[0].0, "c");
    for project in ["/home/dev/work/api", "github.com/acme/api"] {
        let query = Query { project: Some(project.to_owned()), ..Query::default() };
        assert_eq!(turns(&home, &query).len(), 3);
    }
    assert!(matches!(writer.stamp(&stamp(Selector::default(), &[], 5)), Err(LedgerError::EmptySelector)));
}

#[test]
fn a_stamp_with_a_parent_agent_brings_one_relationship() {
    let home = TestHome::new();
    let writer = ledger(&home);
    let facts = [("parentAgentId", "ag-parent"), ("agentId", "ag-child")];
    for second in [1, 2] {
        writer.stamp(&stamp(Selector::session("s-child"), &facts, second)).unwrap();
    }
    let found = reader::records(&home.home, Kind::Relationship, &Query::default()).unwrap();
    assert_eq!(
        found,
        [
            r#"{"v":1,"source":"spawn-env","sessionId":"s-child","relatedSessionId":"ag-parent","relationshipType":"subagent","ts":"2026-04-21T00:00:01.000Z","agentId":"ag-child"}"#
        ]
    );
    assert_eq!(home.read("ledger.idx"), b"cb930510593fe961\n");
}

/// Item 8 of §9.
#[test]
fn a_torn_line_takes_no_neighbour_with_it() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0) + "{\"v\":1,\"kind\":\"turn\",\"rec");
    let writer = ledger(&home);
    assert_eq!(writer.append(&[turn("s", "b", 1)]).unwrap(), 1);
    assert_eq!(turns(&home, &Query::default()).len(), 2);
    assert_eq!(home.build().turns_applied, 2);
}

/// Item 9 of §9: a crash between the two appends.
#[test]
fn records_that_the_index_misses_are_found_again() {
    let home = TestHome::new();
    ledger(&home).append(&[turn("s", "a", 1)]).unwrap();
    let index = home.read("ledger.idx");
    ledger(&home).append(&[turn("s", "b", 2), turn("s", "c", 3)]).unwrap();
    home.write("ledger.idx", &index);
    let writer = ledger(&home);
    assert_eq!(writer.append(&[turn("s", "b", 2), turn("s", "d", 4)]).unwrap(), 1, "b is known after all");
    assert_eq!(turns(&home, &Query::default()).len(), 4);
    assert_eq!(String::from_utf8(home.read("ledger.idx")).unwrap().lines().count(), 4);
    // A whole index that is gone is made anew.
    fs::remove_file(home.path("ledger.idx")).unwrap();
    assert_eq!(ledger(&home).append(&[turn("s", "a", 1), turn("s", "e", 5)]).unwrap(), 1);
}

/// Items 10 and 11 of §9.
#[test]
fn two_writers_append_a_record_once_and_a_failed_append_is_not_remembered() {
    let home = TestHome::new();
    let (first, second) = (ledger(&home), ledger(&home));
    assert_eq!(first.append(&[turn("s", "seed", 9)]).unwrap(), 1);
    assert_eq!(second.append(&[turn("s", "seed", 9)]).unwrap(), 0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let writer = ledger(&home);
                for number in 0..25 {
                    writer.append(&[turn("s", &number.to_string(), number + 100)]).unwrap();
                }
            });
        }
    });
    assert_eq!(turns(&home, &Query::default()).len(), 26);
    // The ledger cannot be written: a folder has its name.
    let broken = TestHome::new();
    fs::create_dir(broken.path("ledger.jsonl")).unwrap();
    let writer = ledger(&broken);
    assert!(writer.append(&[turn("s", "a", 1)]).is_err());
    fs::remove_dir(broken.path("ledger.jsonl")).unwrap();
    assert_eq!(writer.append(&[turn("s", "a", 1)]).unwrap(), 1);
}

/// Item 13 of §9.
#[test]
fn an_index_that_cannot_be_read_is_a_failure_and_not_an_empty_one() {
    let home = TestHome::new();
    ledger(&home).append(&[turn("s", "a", 1)]).unwrap();
    fs::remove_file(home.path("ledger.idx")).unwrap();
    fs::create_dir(home.path("ledger.idx")).unwrap();
    assert!(ledger(&home).append(&[turn("s", "a", 1)]).is_err());
    assert_eq!(turns(&home, &Query::default()).len(), 1);
}

#[test]
fn an_index_rebuild_covers_every_kind_and_leaves_no_duplicates() {
    let home = TestHome::with(&["ledger.jsonl"]);
    let writer = ledger(&home);
    for _ in 0..2 {
        let rebuilt = writer.rebuild_index().unwrap();
        assert_eq!((rebuilt.ids, rebuilt.content), (271, 78));
    }
    let mut records = Vec::new();
    reader::walk(&home.home, &mut |kind, line| {
        if let Some(record) = line.get("record").filter(|_| kind != Kind::Stamp) {
            records.extend(RawRecord::new(kind, &stringify(record)));
        }
    })
    .unwrap();
    let before = home.read("ledger.jsonl");
    assert_eq!(writer.append(&records).unwrap(), 0);
    assert_eq!(home.read("ledger.jsonl"), before);
}

#[test]
fn fingerprints_older_than_the_window_do_not_count_and_the_file_stays_small() {
    let home = TestHome::new();
    let old = turn("s", "old", 1);
    ledger(&home).append(std::slice::from_ref(&old)).unwrap();
    let filler: String = (0..10_500).map(|number| format!("{number:016x}\n")).collect();
    home.append("ledger.content.idx", filler);
    assert_eq!(ledger(&home).append(&[Turn { message_id: "again".to_owned(), ..old }]).unwrap(), 1);
    let more: String = (20_000..20_600).map(|number| format!("{number:016x}\n")).collect();
    home.append("ledger.content.idx", more);
    ledger(&home).append(&[turn("s", "b", 2)]).unwrap();
    let lines = String::from_utf8(home.read("ledger.content.idx")).unwrap();
    assert_eq!(lines.lines().count(), 10_000);
}

#[test]
fn content_is_kept_per_session_and_once() {
    let home = TestHome::new();
    let content = Content::new(home.home.clone());
    let mut warnings = Vec::new();
    let mut warn = |line| warnings.push(line);
    content.append(&[], &mut warn).unwrap();
    content.append(&[r#"{"v":1,"messageId":"m"}"#], &mut warn).unwrap();
    content.append(&[r#"{"v":1,"sessionId":"../escape"}"#], &mut warn).unwrap();
    assert!(!home.path("content").exists());
    let record = r#"{"v":1,"sessionId":"s-1","messageId":"m","kind":"tool_use","toolUse":{"id":"t","name":"Read","input":{"a":[1]}}}"#;
    let other = r#"{"v":1,"sessionId":"s-2","messageId":"n","kind":"text","text":"ü"}"#;
    for _ in 0..2 {
        content.append(&[record, record, other], &mut warn).unwrap();
    }
    assert_eq!(warnings, [r#"[burn] skipping content record with unsafe sessionId: "../escape""#]);
    assert_eq!(content.read("s-1", None).unwrap(), [record]);
    assert_eq!(content.read("s-1", Some("m")).unwrap().len(), 1);
    assert!(
        content.read("s-1", Some("x")).unwrap().is_empty() && content.read("none", None).unwrap().is_empty()
    );
    let mut sessions = content.sessions().unwrap();
    sessions.sort();
    assert_eq!(sessions, ["s-1", "s-2"]);
    // A torn last line takes no neighbour with it.
    home.append("content/s-1.jsonl", "{\"torn");
    content.append(&[&record.replace("\"m\"", "\"m2\"")], &mut drop).unwrap();
    assert_eq!(content.read("s-1", None).unwrap().len(), 2);
}

#[test]
fn content_of_the_fixture_reads_as_the_original_reads_it() {
    let home = TestHome::with(&["content"]);
    let content = Content::new(home.home.clone());
    let expected = &fixture_json("expected.json")["content"];
    let mut sessions = content.sessions().unwrap();
    sessions.sort();
    assert_eq!(json!(sessions), expected["sessionIds"]);
    for case in expected["reads"].as_array().unwrap() {
        let selector = &case["selector"];
        let found =
            content.read(selector["sessionId"].as_str().unwrap(), selector["messageId"].as_str()).unwrap();
        assert_eq!(Some(found.len() as u64), case["count"].as_u64(), "{selector}");
        let compact: Vec<String> = found.iter().map(|record| stringify(parse(record).unwrap())).collect();
        if let Some(sha) = case["sha256"].as_str() {
            let digest: String = Sha256::digest(compact.join("\n").as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(digest, sha, "{selector}");
        }
        if let Some(records) = case["records"].as_array() {
            let found: Vec<Value> =
                compact.iter().map(|record| serde_json::from_str(record).unwrap()).collect();
            assert_eq!(&found, records);
        }
    }
    let error = content.read("../escape", None).unwrap_err();
    assert_eq!(json!(error.to_string()), expected["invalidIdError"]);
    assert!(matches!(content.path(&"x".repeat(129)), Err(ContentError::InvalidSession(_))));
    assert!(is_valid_session(&"x".repeat(128)) && !is_valid_session("-x") && !is_valid_session(""));
}

#[test]
fn pruning_obeys_age_and_predicate() {
    let home = TestHome::with(&["content"]);
    let content = Content::new(home.home.clone());
    let file = fs::File::options().write(true).open(home.path("content/a.b-c_D.jsonl")).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(100)).unwrap();
    let old = Duration::from_secs(50);
    let pruned = content.prune(old, Some(&|_: &str| true)).unwrap();
    assert_eq!((pruned.files_deleted, pruned.skipped_recoverable), (0, 1));
    let asked = RefCell::new(Vec::new());
    let never = |session: &str| {
        asked.borrow_mut().push(session.to_owned());
        false
    };
    let pruned = content.prune(old, Some(&never)).unwrap();
    assert_eq!((pruned.files_deleted, pruned.bytes_freed), (1, 143));
    assert_eq!(asked.into_inner(), ["a.b-c_D"]);
    assert_eq!(content.prune(Duration::ZERO, None).unwrap().files_deleted, 10);
    assert!(home.path("content/notes.txt").exists());
    assert_eq!(Content::new(TestHome::new().home).prune(Duration::ZERO, None).unwrap(), Default::default());
}

#[test]
fn cursors_survive_and_concurrent_changes_of_other_keys_stay() {
    let home = TestHome::with(&["cursors.json", "hwm.json"]);
    let before = cursors::load(&home.home);
    assert_eq!(Value::Object(before.clone()), fixture_of("cursors.json")["files"]);
    let mut after = before.clone();
    after.insert("/new".to_owned(), json!({"kind": "claude", "inode": 1}));
    after.remove("/home/dev/.codex/sessions/r.jsonl");
    cursors::update(&home.home, |current| {
        current.insert("opencode-stream:x".to_owned(), json!({"kind": "opencode-stream"}));
    })
    .unwrap();
    cursors::save_changes(&home.home, &before, &after).unwrap();
    let now = cursors::load(&home.home);
    assert!(now.contains_key("/new") && now.contains_key("opencode-stream:x"));
    assert!(!now.contains_key("/home/dev/.codex/sessions/r.jsonl"));
    let written = home.read("cursors.json");
    assert!(written.starts_with(b"{\n  \"files\": {\n    \"") && !written.ends_with(b"\n"));
    cursors::save(&home.home, &before).unwrap();
    assert_eq!(cursors::load(&home.home), before);
    let names: Vec<_> =
        fs::read_dir(home.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("tmp")), "{names:?}");
    // Without a difference nothing is written, and no lock is needed.
    fs::write(home.path("cursors.lock"), "").unwrap();
    cursors::save_changes(&home.home, &before, &before).unwrap();
    home.write("cursors.json", "{broken");
    assert!(cursors::load(&home.home).is_empty() && cursors::load(&TestHome::new().home).is_empty());
    let marks = cursors::load_hwm(&home.home);
    cursors::save_hwm(&home.home, &marks).unwrap();
    assert_eq!(Value::Object(cursors::load_hwm(&home.home)), fixture_of("hwm.json"));
}

fn fixture_of(name: &str) -> Value {
    fixture_json(name)
}

#[test]
fn reclassifying_fills_labels_and_leaves_every_other_byte() {
    let home = TestHome::new();
    let writer = ledger(&home);
    let answer = |_: relayburn_ledger::json::Object<'_>| {
        Some(Labels { activity: "testing".to_owned(), retries: 2.0, has_edits: true })
    };
    assert_eq!(writer.reclassify(true, &mut { answer }).unwrap(), Default::default());
    let stamp = common::stamp_line("s", "2026-04-20T00:00:00.000Z", "{ \"a\" : 1.0 }");
    let labelled =
        turn_line("s", "b", 1).replace("\"toolCalls\":[]", "\"toolCalls\":[],\"activity\":\"coding\"");
    home.write("ledger.jsonl", turn_line("s", "a", 0) + &stamp + "junk\n\n" + &labelled + "torn");
    let report = writer.reclassify(false, &mut { answer }).unwrap();
    assert_eq!((report.scanned, report.processed, report.changed, report.skipped), (2, 1, 1, 1));
    let expected = turn_line("s", "a", 0).replace(
        "\"toolCalls\":[]",
        "\"toolCalls\":[],\"activity\":\"testing\",\"retries\":2,\"hasEdits\":true",
    );
    assert_eq!(
        String::from_utf8(home.read("ledger.jsonl")).unwrap(),
        expected + &stamp + "junk\n\n" + &labelled + "torn"
    );
    let report = writer.reclassify(true, &mut { answer }).unwrap();
    assert_eq!((report.processed, report.changed, report.changed_by_category["testing"]), (2, 1, 1));
}

#[test]
fn appends_during_a_pass_over_the_ledger_survive_it() {
    let home = TestHome::new();
    let batch: Vec<Turn> = (0..500).map(|number| turn("s", &format!("m{number}"), number)).collect();
    ledger(&home).append(&batch).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let label = Labels { activity: "git".to_owned(), ..Labels::default() };
            for _ in 0..5 {
                ledger(&home).reclassify(true, &mut |_| Some(label.clone())).unwrap();
            }
        });
        let writer = ledger(&home);
        for number in 0..20 {
            assert_eq!(writer.append(&[turn("t", &number.to_string(), 1000 + number)]).unwrap(), 1);
        }
    });
    assert_eq!(turns(&home, &Query::default()).len(), 520);
}
