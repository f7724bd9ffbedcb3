//! Files written by the original, and its own answers about them.
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

use common::{TestHome, assert_tables_equal, fixture, fixture_json};
use relayburn_ledger::archive::BuildReport;
use relayburn_ledger::json::{parse, stringify};
use relayburn_ledger::line::Kind;
use relayburn_ledger::{Ledger, Query, hash, reader};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

fn query(value: &Value) -> Query {
    Query {
        since: text(&value["since"]),
        until: text(&value["until"]),
        project: text(&value["project"]),
        session_id: text(&value["sessionId"]),
        source: text(&value["source"]),
        enrichment: value["enrichment"]
            .as_object()
            .map(|all| all.iter().map(|(key, value)| (key.clone(), text(value).unwrap())).collect())
            .unwrap_or_default(),
    }
}

fn assert_report(report: &BuildReport, expected: &Value) {
    let found = [
        report.scanned_bytes,
        report.turns_applied,
        report.sessions_touched,
        report.stamps_applied,
        report.compactions_applied,
        report.tool_result_events_applied,
    ];
    let names = [
        "scannedBytes",
        "turnsApplied",
        "sessionsTouched",
        "stampsApplied",
        "compactionsApplied",
        "toolResultEventsApplied",
    ];
    for (name, found) in names.iter().zip(found) {
        assert_eq!(Some(found), expected[name].as_u64(), "{name}");
    }
    assert_eq!(Some(report.rebuilt_from_zero), expected["rebuiltFromZero"].as_bool());
}

#[test]
fn a_full_rebuild_has_every_row_of_the_original() {
    let home = TestHome::with(&["ledger.jsonl"]);
    let report = home.rebuild();
    assert_eq!((report.skipped_lines, report.malformed_lines), (0, 2), "{report:?}");
    assert_tables_equal(&home.path("archive.sqlite"), &fixture_json("expected.json")["tables"]);
}

#[test]
fn incremental_builds_have_every_row_and_every_count_of_the_original() {
    let expected = fixture_json("expected.json");
    let ledger = fs::read(fixture("ledger.jsonl")).unwrap();
    let home = TestHome::new();
    for build in expected["builds"].as_array().unwrap() {
        let size = usize::try_from(build["ledgerSize"].as_u64().unwrap()).unwrap();
        let before = home.path("ledger.jsonl").metadata().map_or(0, |file| file.len());
        home.append("ledger.jsonl", &ledger[usize::try_from(before).unwrap()..size]);
        assert_report(&home.build(), &build["result"]);
        let status = home.archive().status().unwrap();
        assert_eq!(Some(status.ledger_offset_bytes), build["cursor"].as_u64(), "{}", build["label"]);
    }
    assert_tables_equal(&home.path("archive.sqlite"), &expected["tables"]);
}

#[test]
fn the_originals_archive_is_read_and_added_to_without_a_rebuild() {
    let expected = fixture_json("expected.json");
    let home = TestHome::with(&["ledger.jsonl", "archive.sqlite"]);
    let status = home.archive().status().unwrap();
    let rows = &expected["status"]["rowCounts"];
    assert_eq!(Some(status.ledger_offset_bytes), expected["status"]["ledgerOffsetBytes"].as_u64());
    assert_eq!(Some(status.rows.turns), rows["turns"].as_u64());
    assert_eq!(Some(status.rows.tool_calls), rows["toolCalls"].as_u64());
    assert_eq!(Some(status.rows.tool_result_events), rows["toolResultEvents"].as_u64());
    assert_eq!(
        home.read("archive.sqlite"),
        fs::read(fixture("archive.sqlite")).unwrap(),
        "looking changes nothing"
    );
    let report = home.build();
    assert_eq!((report.turns_applied, report.ledger_rewritten), (0, false));
    assert_tables_equal(&home.path("archive.sqlite"), &expected["tables"]);
}

#[test]
fn schema_and_columns_are_those_of_the_original() {
    let expected = fixture_json("expected.json");
    let home = TestHome::with(&["ledger.jsonl"]);
    home.rebuild();
    let archive = home.path("archive.sqlite");
    let objects = common::rows(&archive, "sqlite_schema", &["type", "name", "tbl_name"], "type, name");
    let ours: Vec<&Value> =
        objects.iter().filter(|object| !object["name"].as_str().unwrap().starts_with("sqlite_")).collect();
    let mut theirs: Vec<&Value> = expected["tables"]["schema"].as_array().unwrap().iter().collect();
    theirs.sort_by_key(|object| (object["type"].to_string(), object["name"].to_string()));
    assert_eq!(ours, theirs);
    for (table, columns) in expected["tables"]["columns"].as_object().unwrap() {
        let info = format!("pragma_table_info('{table}')");
        let found =
            common::rows(&archive, &info, &["name", "type", "\"notnull\"", "dflt_value", "pk"], "cid");
        let mut found: Vec<Vec<Value>> = found
            .iter()
            .map(|row| ["name", "type", "\"notnull\"", "dflt_value", "pk"].map(|c| row[c].clone()).to_vec())
            .collect();
        // Ours alone, and at the end.
        if table == "archive_state" {
            assert_eq!(found.pop().unwrap()[0], "journal_state");
        }
        let mut wanted: Vec<Vec<Value>> =
            columns.as_array().unwrap().iter().map(|column| column.as_array().unwrap().clone()).collect();
        // Their order differs from archive to archive.
        found.sort_by_key(|column| column[0].to_string());
        wanted.sort_by_key(|column| column[0].to_string());
        assert_eq!(found, wanted, "{table}");
    }
}

#[test]
fn the_file_begins_as_documented() {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.rebuild();
    let head = home.read("archive.sqlite");
    assert_eq!(&head[..24], b"SQLite format 3\0\x10\x00\x02\x02\x00\x40\x20\x20");
    assert!(!home.path("archive.sqlite-wal").exists() && !home.path("archive.sqlite-shm").exists());
}

#[test]
fn unfiltered_turns_equal_those_of_the_original() {
    let expected = fixture_json("expected.json");
    let home = TestHome::with(&["ledger.jsonl", "archive.sqlite"]);
    for rebuilt in [false, true] {
        if rebuilt {
            home.rebuild();
        }
        let turns = home.archive().turns(&Query::default()).unwrap();
        let found: Vec<Value> =
            turns.iter().map(|turn| serde_json::from_str(&turn.to_json()).unwrap()).collect();
        for (found, wanted) in found.iter().zip(expected["archiveTurns"].as_array().unwrap()) {
            assert_eq!(found, wanted);
        }
        assert_eq!(found.len(), expected["archiveTurns"].as_array().unwrap().len());
    }
    let walked = reader::turns(&home.home, &Query::default()).unwrap();
    let wanted = expected["ledgerTurns"].as_array().unwrap();
    assert_eq!(walked.len(), wanted.len());
    for (found, wanted) in walked.iter().zip(wanted) {
        // The fixture has U+FFFD where the ledger has lone surrogates, as its README says.
        let found = found.to_json().replace("\\ud83d", "\u{fffd}");
        assert_eq!(&serde_json::from_str::<Value>(&found).unwrap(), wanted);
    }
}

#[test]
fn every_query_selects_what_the_original_selects() {
    let expected = fixture_json("expected.json");
    let home = TestHome::with(&["ledger.jsonl"]);
    home.rebuild();
    for case in expected["queries"].as_array().unwrap() {
        let query = query(&case["query"]);
        let key = |record: &Value| {
            ["source", "sessionId", "messageId"]
                .map(|name| record[name].as_str().unwrap().to_owned())
                .join("|")
        };
        let archived: Vec<String> = home
            .archive()
            .turns(&query)
            .unwrap()
            .iter()
            .map(|turn| key(&serde_json::from_str(&turn.to_json()).unwrap()))
            .collect();
        let walked: Vec<String> = reader::turns(&home.home, &query)
            .unwrap()
            .iter()
            .map(|turn| key(&serde_json::from_str(&turn.record.replace("\\ud83d", "\u{fffd}")).unwrap()))
            .collect();
        assert_eq!(Value::from(walked), case["ledger"], "ledger walk, {}", case["name"]);
        // A dotted key is taken for a path by the original's archive; here both give the answer of the walk.
        let wanted = if case["name"] == "dotted-key" { &case["ledger"] } else { &case["archive"] };
        assert_eq!(&Value::from(archived), wanted, "archive, {}", case["name"]);
    }
}

#[test]
fn other_records_are_those_of_the_original() {
    let expected = fixture_json("expected.json");
    let home = TestHome::with(&["ledger.jsonl"]);
    let kinds = [
        ("queryCompactions", Kind::Compaction),
        ("queryRelationships", Kind::Relationship),
        ("queryToolResultEvents", Kind::ToolResultEvent),
        ("queryUserTurns", Kind::UserTurn),
    ];
    for (name, kind) in kinds {
        for case in expected["records"][name].as_array().unwrap() {
            let found = reader::records(&home.home, kind, &query(&case["query"])).unwrap();
            assert_eq!(Some(found.len() as u64), case["count"].as_u64(), "{name} {}", case["name"]);
            let compact: Vec<String> = found.iter().map(|record| stringify(parse(record).unwrap())).collect();
            if let Some(records) = case["records"].as_array() {
                for (found, wanted) in compact.iter().zip(records) {
                    assert_eq!(&serde_json::from_str::<Value>(found).unwrap(), wanted, "{name}");
                }
            } else {
                let digest = Sha256::digest(compact.join("\n").as_bytes());
                let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(Some(digest), text(&case["sha256"]), "{name} {}", case["name"]);
            }
        }
    }
}

#[test]
fn ids_and_fingerprints_are_those_of_the_original() {
    let hashes = &fixture_json("expected.json")["hashes"];
    let home = TestHome::with(&["ledger.jsonl"]);
    let mut known = std::collections::HashSet::new();
    reader::walk(&home.home, &mut |kind, line| {
        if let Some(record) = line.get("record").and_then(|record| record.as_object()) {
            known.insert(hash::record_id(kind, record).unwrap().to_string());
            known.extend((kind == Kind::Turn).then(|| hash::fingerprint(record).unwrap().to_string()));
        }
    })
    .unwrap();
    let mut checked = 0;
    for value in hashes.as_object().unwrap().values().flat_map(|all| all.as_array().unwrap()) {
        for hash in [value.as_str(), value["id"].as_str(), value["content"].as_str()].into_iter().flatten() {
            assert!(known.contains(hash), "{value}");
            checked += 1;
        }
    }
    assert_eq!(checked, 25 * 2 + 16 + 15 + 15 + 7);
}

#[test]
fn index_lines_are_those_of_the_original() {
    let expected = &fixture_json("expected.json")["rebuiltIndex"];
    let home = TestHome::with(&["ledger.jsonl"]);
    let rebuilt = Ledger::new(home.home.clone()).rebuild_index().unwrap();
    assert_eq!((rebuilt.ids, rebuilt.content, rebuilt.skipped), (271, 78, 0));
    for (file, name) in [("ledger.idx", "ids"), ("ledger.content.idx", "content")] {
        let lines = String::from_utf8(home.read(file)).unwrap();
        let wanted = &expected[name];
        match wanted {
            Value::Array(all) => assert_eq!(&lines.lines().map(Value::from).collect::<Vec<_>>(), all),
            Value::String(all) => assert_eq!(&lines, all),
            other => assert_eq!(Some(lines.lines().count() as u64), other.as_u64()),
        }
    }
}

#[test]
fn aggregates_are_those_of_the_original() {
    let expected = &fixture_json("expected.json")["aggregates"]["byModel"];
    let home = TestHome::with(&["ledger.jsonl"]);
    home.rebuild();
    let found = home.archive().by_model(&Query::default()).unwrap();
    let mut wanted = expected.as_array().unwrap().clone();
    assert_eq!(found.len(), wanted.len());
    let name = |value: &Value, empty: &str| match value.as_str() {
        None | Some("") => empty.to_owned(),
        Some(text) => text.to_owned(),
    };
    wanted.sort_by_key(|row| {
        (name(&row["model"], "unknown"), name(&row["activity"], "unclassified"), row["source"].to_string())
    });
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found.model, name(&wanted["model"], "unknown"));
        assert_eq!(found.activity, name(&wanted["activity"], "unclassified"));
        assert_eq!(Some(found.turns), wanted["turns"].as_i64());
        assert_eq!(Some(found.edit_turns), wanted["edit_turns"].as_i64());
        assert_eq!(Some(found.one_shot_turns), wanted["one_shot_turns"].as_i64());
        let usage = ["input", "output", "reasoning", "cache_read", "cc5m", "cc1h"]
            .map(|name| wanted[name].as_i64().unwrap());
        assert_eq!(found.usage, usage);
    }
}

#[test]
fn archives_of_early_releases_are_shown_as_they_are_and_completed_by_the_next_build() {
    let expected = fixture_json("expected.json");
    for item in fixture_json("old/expected.json")["items"].as_array().unwrap() {
        let file = item["file"].as_str().unwrap();
        let home = TestHome::with(&["ledger.jsonl"]);
        common::copy(&fixture("old").join(file), &home.path("archive.sqlite"));
        let before = home.read("archive.sqlite");
        // Unlike the original, which empties archives of versions 1 and 2 by looking at them.
        let status = home.archive().status().unwrap();
        let turns = item["asBuilt"]["turns"]["rows"].as_u64();
        assert_eq!(Some(status.rows.turns), turns, "{file}");
        assert_eq!(Some(home.archive().turns(&Query::default()).unwrap().len() as u64), turns, "{file}");
        assert_eq!(home.read("archive.sqlite"), before, "{file}: looking changes nothing");
        let report = home.build();
        assert!(!report.rebuilt_from_zero, "{file}");
        if file.contains("1.7.0") {
            assert!(!report.ledger_rewritten, "{file}");
            assert!(report.turns_applied < 79, "{file}: no rebuild");
            assert_report(&report, &item["original_1_10_0"]["nextBuild"]);
        } else {
            assert_tables_equal(&home.path("archive.sqlite"), &expected["tables"]);
        }
        assert_eq!(home.archive().status().unwrap().archive_version, 3, "{file}");
        assert_eq!(home.archive().turns(&Query::default()).unwrap().len(), 78, "{file}");
    }
}
