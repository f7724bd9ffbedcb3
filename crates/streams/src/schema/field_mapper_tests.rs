//! Tests of the field mapper.

use std::collections::BTreeMap;
use std::num::ParseIntError;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const FORTY_DIGITS: &str = "1234567890123456789012345678901234567890";

fn mapper() -> FieldMapper {
    FieldMapper::new(1, 2)
}

fn upcast(mapper: &FieldMapper, payload: &str) -> Result<String, FieldMapperError> {
    let payload = mapper.upcast(Bytes::copy_from_slice(payload.as_bytes()));
    payload.map(|bytes| String::from_utf8(bytes.into()).unwrap()).map_err(|error| *error.downcast().unwrap())
}

/// Applies a mapper that must succeed.
fn mapped(mapper: FieldMapper, payload: &str) -> String {
    upcast(&mapper, payload).unwrap()
}

#[test]
fn it_stands_between_its_versions() {
    let mapper = FieldMapper::new(3, 7);
    assert_eq!((mapper.source_version(), mapper.target_version()), (3, 7));
}

#[test]
fn rename_default_and_remove_work_together_whatever_the_order_of_calls() {
    let payload = r#"{"customer_name":"Ada","amount":5,"old":true}"#;
    let expected = r#"{"name":"Ada","amount":6,"email":"none"}"#;
    let increase = |amount: u8| amount + 1;
    let calls: [fn(FieldMapper) -> FieldMapper; 3] = [
        |mapper| mapper.rename("customer_name", "name"),
        |mapper| mapper.default("email", "none"),
        |mapper| mapper.remove("old"),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let first = order.iter().fold(mapper().map("amount", increase), |mapper, call| calls[*call](mapper));
        let last = order.iter().fold(mapper(), |mapper, call| calls[*call](mapper)).map("amount", increase);
        assert_eq!(mapped(first, payload), expected, "{order:?}");
        assert_eq!(mapped(last, payload), expected, "{order:?}");
    }
}

#[test]
fn a_rename_keeps_the_place_and_replaces_a_field_of_the_new_name() {
    assert_eq!(mapped(mapper().rename("b", "x"), r#"{"a":1,"b":2,"c":3}"#), r#"{"a":1,"x":2,"c":3}"#);
    assert_eq!(mapped(mapper().rename("b", "a"), r#"{"a":1,"b":2,"c":3}"#), r#"{"a":2,"c":3}"#);
    assert_eq!(mapped(mapper().rename("b", "c"), r#"{"a":1,"b":2,"c":3}"#), r#"{"a":1,"c":2}"#);
    assert_eq!(mapped(mapper().rename("x", "a"), r#"{"a":1}"#), r#"{"a":1}"#);
    assert_eq!(mapped(mapper().rename("a", "a"), r#"{"b":0,"a":1,"c":2}"#), r#"{"b":0,"a":1,"c":2}"#);
    assert_eq!(mapped(mapper().rename("a", "b"), r#"{"a":null,"b":2}"#), r#"{"b":null}"#);
}

#[test]
fn renames_work_in_the_order_given() {
    let forward = mapper().rename("a", "b").rename("b", "c");
    assert_eq!(mapped(forward, r#"{"a":1,"b":2}"#), r#"{"c":1}"#);
    let backward = mapper().rename("b", "c").rename("a", "b");
    assert_eq!(mapped(backward, r#"{"a":1,"b":2}"#), r#"{"b":1,"c":2}"#);
    let swap = mapper().rename("a", "tmp").rename("b", "a").rename("tmp", "b");
    assert_eq!(mapped(swap, r#"{"a":1,"b":2}"#), r#"{"b":1,"a":2}"#);
}

#[test]
fn a_repeated_rename_takes_the_place_of_the_first() {
    assert_eq!(mapped(mapper().rename("a", "b").rename("a", "c"), r#"{"a":1}"#), r#"{"c":1}"#);
    // If it went to the end, `c` would have become `d` before `a` became `c`.
    let replaced = mapper().rename("a", "b").rename("c", "d").rename("a", "c");
    assert_eq!(mapped(replaced, r#"{"a":1}"#), r#"{"d":1}"#);
}

#[test]
fn a_default_fills_what_is_absent_after_the_renames() {
    assert_eq!(mapped(mapper().default("a", 1), "{}"), r#"{"a":1}"#);
    assert_eq!(mapped(mapper().default("a", 1), r#"{"a":2}"#), r#"{"a":2}"#);
    assert_eq!(mapped(mapper().default("a", 1), r#"{"a":null}"#), r#"{"a":null}"#);
    assert_eq!(mapped(mapper().default("a", 1).rename("b", "a"), r#"{"b":2}"#), r#"{"a":2}"#);
    assert_eq!(mapped(mapper().default("b", 1).rename("b", "a"), r#"{"b":2}"#), r#"{"a":2,"b":1}"#);
    assert_eq!(mapped(mapper().default("a", 1).default("b", 2).default("a", 3), "{}"), r#"{"a":3,"b":2}"#);
    let nested = mapper().default("a", json!({"x": [1, null]})).default("n", u128::MAX);
    assert_eq!(mapped(nested, "{}"), r#"{"a":{"x":[1,null]},"n":340282366920938463463374607431768211455}"#);
}

#[test]
fn a_map_sees_renamed_and_defaulted_fields_and_follows_other_maps() {
    let chain = mapper()
        .map("total", |cents: u64| cents * 2)
        .map("total", |cents: u64| format!("{cents} ct"))
        .rename("sum", "total")
        .default("total", 21);
    assert_eq!(mapped(chain, "{}"), r#"{"total":"42 ct"}"#);
    assert_eq!(mapped(mapper().map("a", |n: u8| n + 1).rename("b", "a"), r#"{"b":1}"#), r#"{"a":2}"#);
    assert_eq!(mapped(mapper().map("a", |n: u8| n + 1), r#"{"b":1}"#), r#"{"b":1}"#);
    assert_eq!(mapped(mapper().map("a", |n: u8| n + 1).remove("a"), r#"{"a":1}"#), "{}");
    let optional = mapper().map("a", |n: Option<u8>| n.map_or(0, |n| n + 1));
    assert_eq!(mapped(optional, r#"{"a":null}"#), r#"{"a":0}"#);
}

#[test]
fn a_removal_comes_last() {
    assert_eq!(mapped(mapper().remove("a").default("a", 1), "{}"), "{}");
    assert_eq!(mapped(mapper().remove("a").rename("b", "a"), r#"{"b":1,"c":2}"#), r#"{"c":2}"#);
    assert_eq!(mapped(mapper().remove("b").rename("b", "a"), r#"{"b":1,"c":2}"#), r#"{"a":1,"c":2}"#);
    assert_eq!(
        mapped(mapper().remove("a").remove("a").remove("x"), r#"{"a":1,"b":2,"c":3}"#),
        r#"{"b":2,"c":3}"#
    );
}

#[test]
fn null_is_left_alone_and_anything_else_but_an_object_is_an_error() {
    let all = || mapper().rename("a", "b").default("c", 1).map("b", |n: u8| n).remove("d");
    assert_eq!(mapped(all(), "null"), "null");
    assert_eq!(mapped(all(), " null\n"), " null\n");
    let not_objects =
        ["", "1", "\"text\"", "[]", "true", "{", r#"{"a":}"#, r#"{"a":1}x"#, "{} {}", "nul", "\u{feff}{}"];
    for payload in not_objects {
        let error = upcast(&all(), payload).unwrap_err();
        assert!(matches!(error, FieldMapperError::NotAnObject { .. }), "{payload:?} {error}");
    }
    let error = upcast(&all(), "[1]").unwrap_err();
    assert!(
        error.to_string().starts_with("the payload is not a JSON object: invalid type: sequence"),
        "{error}"
    );
    assert!(mapper().upcast(Bytes::from_static(b"{\"a\":\"\xff\"}")).is_err(), "not UTF-8");
}

#[test]
fn untouched_values_are_kept_byte_for_byte() {
    let values = [
        "12345678901234567890",
        FORTY_DIGITS,
        "-0",
        "1e400",
        "1.0",
        "0.10000000000000000000000000000000001",
        r#""\u003cb\u003e \/ \ud83d\ude00 é""#,
        r#"{ "z" : 1.50 , "a" : [ 1, {"z":2,"z":3} ], "z" : 9007199254740993 }"#,
        "[ ]",
        "null",
        "false",
    ];
    for value in values {
        let payload = format!(r#"{{"z":{value},"a":{value},"old":{value},"gone":{value}}}"#);
        let mapper = mapper().rename("old", "new").default("d", 0).remove("gone").map("d", |n: u8| n + 1);
        assert_eq!(mapped(mapper, &payload), format!(r#"{{"z":{value},"a":{value},"new":{value},"d":1}}"#));
    }
    assert_eq!(mapped(mapper(), " { \"a\" : 1 ,\n\"b\":[ 2 ] } "), r#"{"a":1,"b":[ 2 ]}"#);
}

#[test]
fn integers_of_any_size_reach_the_function() {
    let payload = r#"{"n":12345678901234567890}"#;
    assert_eq!(mapped(mapper().map("n", |n: u128| n + 1), payload), r#"{"n":12345678901234567891}"#);
    assert_eq!(
        mapped(mapper().map("n", |n: Value| n.to_string()), payload),
        r#"{"n":"12345678901234567890"}"#
    );
    let payload = format!(r#"{{"n":{FORTY_DIGITS}}}"#);
    let text = mapper().map("n", |n: Box<RawValue>| n.get().to_owned());
    assert_eq!(mapped(text, &payload), format!(r#"{{"n":"{FORTY_DIGITS}"}}"#));
    let number = mapper().try_map("n", |digits: String| RawValue::from_string(digits));
    assert_eq!(mapped(number, &format!(r#"{{"n":"{FORTY_DIGITS}"}}"#)), payload);
}

#[test]
fn a_failing_map_names_its_field_and_its_reason() {
    let wrong_type = upcast(&mapper().map("n", |n: u8| n), r#"{"n":"x"}"#).unwrap_err();
    assert!(matches!(&wrong_type, FieldMapperError::Argument { field, .. } if field == "n"), "{wrong_type}");
    for payload in [r#"{"n":256}"#, r#"{"n":null}"#, r#"{"n":1e400}"#] {
        let error = upcast(&mapper().map("n", |n: u8| n), payload).unwrap_err();
        assert!(error.to_string().starts_with("the value of field \"n\" does not fit its map: "), "{error}");
    }
    let parse = mapper().try_map("n", |text: String| text.parse::<u8>());
    assert_eq!(
        mapped(mapper().try_map("n", |text: String| text.parse::<u8>()), r#"{"n":"7"}"#),
        r#"{"n":7}"#
    );
    match upcast(&parse, r#"{"n":"x"}"#).unwrap_err() {
        FieldMapperError::Function { field, source } => {
            assert_eq!(field, "n");
            assert!(source.is::<ParseIntError>());
        }
        other => panic!("{other}"),
    }
    let no_json = mapper().map("n", |n: u8| BTreeMap::from([((n, n), n)]));
    let error = upcast(&no_json, r#"{"n":1}"#).unwrap_err();
    assert!(matches!(&error, FieldMapperError::Result { field, .. } if field == "n"), "{error}");
}

#[test]
fn a_default_without_a_json_form_fails_every_upcast_but_not_the_builder() {
    let no_json = mapper().default("n", BTreeMap::from([((1, 2), 3)]));
    for payload in ["{}", r#"{"n":1}"#] {
        let error = upcast(&no_json, payload).unwrap_err();
        assert!(matches!(&error, FieldMapperError::Default { field, .. } if field == "n"), "{error}");
        assert_eq!(error.to_string(), r#"the default of field "n" has no JSON form: key must be a string"#);
    }
    assert_eq!(mapped(no_json.default("n", 1), "{}"), r#"{"n":1}"#, "a later default takes its place");
}

#[test]
fn of_repeated_names_the_last_value_counts_at_the_place_of_the_first() {
    assert_eq!(mapped(mapper(), r#"{"a":1,"b":2,"a":3}"#), r#"{"a":3,"b":2}"#);
    assert_eq!(mapped(mapper().rename("a", "b"), r#"{"a":1,"b":2,"a":3}"#), r#"{"b":3}"#);
    assert_eq!(mapped(mapper().remove("a"), r#"{"a":1,"\u0061":2,"b":3}"#), r#"{"b":3}"#);
}

#[test]
fn names_may_be_any_text() {
    let mapper_of_unicode =
        mapper().rename("größe", "尺寸").rename("", "empty").rename("a\"b\\", "\n").remove("😀");
    assert_eq!(
        mapped(mapper_of_unicode, r#"{"gr\u00f6\u00dfe":1,"":2,"a\"b\\":3,"\ud83d\ude00":4,"é":5}"#),
        r#"{"尺寸":1,"empty":2,"\n":3,"é":5}"#
    );
    assert_eq!(mapped(mapper().rename("a.b", "c"), r#"{"a":{"b":1},"a.b":2}"#), r#"{"a":{"b":1},"c":2}"#);
}

#[test]
fn deep_values_do_not_overflow_the_stack() {
    let deep = format!(r#"{{"deep":{}{},"a":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(mapped(mapper().rename("a", "a"), &deep), deep);
    let error = upcast(&mapper().map("deep", |value: Value| value), &deep).unwrap_err();
    assert!(matches!(error, FieldMapperError::Argument { .. }), "{error}");
}

proptest! {
    #[test]
    fn what_no_operation_names_stays_as_it_is(
        fields in prop::collection::btree_map("k\\PC{0,5}", (any::<i128>(), "\\PC{0,5}"), 0..8),
    ) {
        let fields: IndexMap<String, Box<RawValue>> =
            fields.into_iter().map(|(name, value)| (name, to_raw_value(&value).unwrap())).collect();
        let payload = serde_json::to_string(&fields).unwrap();
        let mapper = mapper().rename("a", "b").map("c", |n: u8| n).remove("d");
        prop_assert_eq!(mapped(mapper, &payload), payload);
    }

    #[test]
    fn upcasting_random_bytes_never_panics(bytes: Vec<u8>, text in "[{}\\[\\]\":,a0null ]{0,20}") {
        let mapper = mapper().rename("a", "b").default("c", 1).map("b", |value: Value| value).remove("d");
        let _ = mapper.upcast(bytes.into());
        let _ = mapper.upcast(text.into());
    }
}
