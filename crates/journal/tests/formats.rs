//! The examples in the documentation of the formats, and the JSON parser against another one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test")]

use proptest::prelude::*;
use relayburn_ledger::json::{Value, number_text, parse, stringify, trim};
use relayburn_ledger::line::{Kind, Line};

/// The bytes of the hexdump in a module's documentation.
fn documented(source: &str) -> Vec<u8> {
    let lines = source.lines().filter_map(|line| line.strip_prefix("//! 000000"));
    lines
        .flat_map(|line| {
            let digits = line[2..].split('|').next().unwrap();
            digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<u8>>()
        })
        .collect()
}

#[test]
fn the_documented_line_is_a_stamp_as_it_is_written() {
    let bytes = documented(include_str!("../src/line.rs"));
    let text = String::from_utf8(bytes).unwrap();
    assert!(matches!(Line::parse(&text), Ok(Some(Line::Known(Kind::Stamp, _)))));
    let folder = tempfile::tempdir().unwrap();
    let stamp = relayburn_ledger::stamp::Stamp {
        ts: "2026-04-20T08:59:55.000Z".to_owned(),
        selector: relayburn_ledger::stamp::Selector::session("s-1"),
        enrichment: vec![("tier".to_owned(), "best".to_owned())],
    };
    relayburn_ledger::Ledger::new(relayburn_ledger::Home::at(folder.path())).stamp(&stamp).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("ledger.jsonl")).unwrap(), text);
}

#[test]
fn the_documented_journal_has_two_lines_and_a_torn_one() {
    let bytes = documented(include_str!("../src/jsonl/mod.rs"));
    let lines: Vec<(u64, &[u8])> = relayburn_ledger::jsonl::lines(&bytes, 0).collect();
    assert_eq!(lines, [(0, &b"{\"a\":1}"[..]), (8, b"{\"a\":2}")]);
    assert_eq!(&bytes[16..], b"{\"a\"");
}

#[test]
fn the_documented_index_line_is_that_of_the_first_test_vector() {
    assert_eq!(documented(include_str!("../src/index/mod.rs")), b"bde6f27f146314fe\n");
}

#[test]
fn the_documented_archive_header_is_that_of_a_built_one() {
    let folder = tempfile::tempdir().unwrap();
    let archive =
        relayburn_ledger::Archive::with_storage(relayburn_ledger::Home::at(folder.path()), None).unwrap();
    archive.build(&mut |_, _| {}).unwrap();
    let head = documented(include_str!("../src/archive/schema.rs"));
    assert_eq!(head.len(), 24);
    assert!(std::fs::read(archive.path()).unwrap().starts_with(&head));
}

#[test]
fn numbers_print_as_in_javascript() {
    let vectors = [
        (0.0, "0"),
        (-0.0, "0"),
        (5.0, "5"),
        (-1.5, "-1.5"),
        (1e21, "1e+21"),
        (123_456_789_012_345_680_000.0, "123456789012345680000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (9_007_199_254_740_993.0, "9007199254740992"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for (number, text) in vectors {
        assert_eq!(number_text(number), text);
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "nul",
        "\"\\x\"",
        "\"\\u12\"",
        "\"a\nb\"",
        "[1 2]",
        "{\"a\" 1}",
        "1 2",
        "'a'",
        "[,1]",
        "{,}",
        "\u{b}1",
        "NaN",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    assert_eq!(trim("\u{feff}\u{a0}\u{2028}x\u{85}\n"), "x\u{85}");
    let deep = "[".repeat(300_000) + &"]".repeat(300_000);
    assert!(parse(&deep).is_ok() && parse(&deep[1..]).is_err());
}

/// Any JSON text, some of it broken.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let tree = leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|all| format!("[ {} ]", all.join(" , "))),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|all| {
                let members: Vec<String> = all
                    .iter()
                    .map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    (tree, any::<prop::sample::Index>(), 0..4_u8).prop_map(|(text, at, harm)| {
        let place = at.index(text.len() + 1);
        match (harm, text.is_char_boundary(place)) {
            (0, true) => text[..place].to_owned(),
            (1, true) => format!("{},{}", &text[..place], &text[place..]),
            _ => text,
        }
    })
}

proptest! {
    #[test]
    fn the_parser_agrees_with_another_one(text in json()) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let ours = parse(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            let written = stringify(ours);
            let again: serde_json::Value = serde_json::from_str(&written).unwrap();
            let as_doubles = |value: &serde_json::Value| {
                let mut value = value.clone();
                doubles(&mut value);
                value
            };
            prop_assert_eq!(as_doubles(&again), as_doubles(&theirs), "{}", written);
            let same = stringify(parse(&written).unwrap());
            prop_assert_eq!(same, written);
        }
    }

    #[test]
    fn any_bytes_are_a_line_or_none_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(Some(Line::Known(_, object))) = Line::parse(&text) {
            prop_assert!(object.members().all(|(_, value)| value.truthy() || value != Value::Bool(true)));
        }
    }
}

/// All numbers as doubles: JavaScript has no others.
fn doubles(value: &mut serde_json::Value) {
    match value {
        // To 14 digits: the other parser does not always find the nearest double.
        serde_json::Value::Number(number) => {
            *value = serde_json::json!(format!("{:.13e}", number.as_f64().unwrap() + 0.0));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(doubles),
        serde_json::Value::Object(members) => members.values_mut().for_each(doubles),
        _ => {}
    }
}
