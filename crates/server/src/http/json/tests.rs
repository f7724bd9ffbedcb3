//! Our JSON beside that of a generic transcoder that goes by the descriptor of the protocol.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use ledger_api::proto::{self, FILE_DESCRIPTOR_SET};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, ReflectMessage, SerializeOptions};
use prost_types::Timestamp;
use serde_json::Value;

use super::*;

static PROTOCOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap());

fn dynamic(name: &str, bytes: &[u8]) -> DynamicMessage {
    let descriptor = PROTOCOL.get_message_by_name(&format!("ledger.v1.{name}")).unwrap();
    DynamicMessage::decode(descriptor, bytes).unwrap()
}

/// The message as the transcoder writes it.
fn reference(name: &str, message: &impl Message) -> Value {
    let options = SerializeOptions::new().skip_default_fields(false);
    let message = dynamic(name, &message.encode_to_vec());
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

/// The message as the transcoder reads it.
fn read_by_reference<M: Message + Default>(name: &str, json: &str) -> M {
    let mut json = serde_json::Deserializer::from_str(json);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message =
        DynamicMessage::deserialize_with_options(dynamic(name, &[]).descriptor(), &mut json, &options);
    M::decode(&message.unwrap().encode_to_vec()[..]).unwrap()
}

/// Times that are not set are `null` here, and missing there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name, without_nulls(value))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect::<Vec<_>>().into(),
        value => value,
    }
}

fn same(name: &str, message: &(impl Message + ToJson)) {
    let ours: Value = serde_json::from_slice(&to_json(message).unwrap()).unwrap();
    assert_eq!(without_nulls(ours), without_nulls(reference(name, message)), "{name}");
}

prop_compose! {
    fn time()(seconds in -62_135_596_800_i64..253_402_300_800, nanos in prop_oneof![
        Just(0), (0..1000).prop_map(|n| n * 1_000_000), (0..1_000_000).prop_map(|n| n * 1000), 0..1_000_000_000,
    ]) -> Timestamp {
        Timestamp { seconds, nanos }
    }
}

fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(any::<String>(), any::<String>(), 0..3)
}

prop_compose! {
    fn entry()(
        texts in any::<[String; 5]>(), payload in vec(any::<u8>(), 0..50), schema_version: i64,
        metadata in map(), annotations in map(), tags in vec(any::<String>(), 0..3),
        created_at in proptest::option::of(time()), updated_at in proptest::option::of(time()),
    ) -> proto::Entry {
        let [id, stream, order_key, dedup_key, source_id] = texts;
        let (id, stream, payload) = (id.into(), stream.into(), Bytes::from(payload));
        proto::Entry {
            id, stream, payload, order_key, dedup_key, schema_version, metadata, tags, annotations, created_at,
            updated_at, source_id,
        }
    }
}

fn input(entry: proto::Entry) -> proto::EntryInput {
    proto::EntryInput {
        payload: entry.payload,
        order_key: entry.order_key,
        dedup_key: entry.dedup_key,
        schema_version: entry.schema_version,
        metadata: entry.metadata,
        tags: entry.tags,
        annotations: entry.annotations,
        source_id: entry.source_id,
        created_at: entry.created_at,
        updated_at: entry.updated_at,
    }
}

proptest! {
    #[test]
    fn answers_are_what_a_transcoder_would_write(entries in vec(entry(), 0..3), number: i64, flag: bool, text: String) {
        let damaged = proto::DamagedEntry {
            id: text.clone(), stream: text.clone(), field: text.clone(), reason: text.clone(),
        };
        let page = proto::SearchResponse {
            entries, more: Some(flag), next: text.clone(), damaged: vec![damaged], cut_short: flag,
        };
        same("SearchResponse", &page);
        same("ReadResponse", &proto::ReadResponse::from(page));
        let duplicates = vec![proto::Duplicate { index: number, id: text.clone() }];
        let durability = i32::from(flag) * 3;
        same("AppendResponse", &proto::AppendResponse { ids: vec![text.clone()], duplicates, durability });
        same("CountResponse", &proto::CountResponse { count: number });
        same("TrimResponse", &proto::TrimResponse { deleted: number });
        same("ListStreamIDsResponse", &proto::ListStreamIDsResponse { stream_ids: vec![text.clone()], cut_short: flag });
        same("StatResponse", &proto::StatResponse { stream: text.clone(), count: number, first_id: text.clone(), last_id: text });
    }

    #[test]
    fn requests_are_what_a_transcoder_would_read(entry in entry(), flag: bool, limit: i64, original_names: bool) {
        let write = |name: &str, message: &dyn ErasedMessage| {
            let options = SerializeOptions::new().use_proto_field_name(original_names);
            let message = dynamic(name, &message.bytes());
            message.serialize_with_options(serde_json::value::Serializer, &options).unwrap().to_string()
        };
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let (id, stream) = (text(&entry.id), text(&entry.stream));
        let search = proto::SearchRequest {
            stream: stream.clone(),
            query: id.clone(),
            one_stream: flag,
            options: Some(proto::ReadOptions {
                after: id.clone(), limit, desc: flag, order_key: entry.order_key.clone(), tag: stream.clone(),
                all_tags: entry.tags.clone(), metadata_filters: entry.metadata.clone(),
                annotation_filters: entry.annotations.clone(), since: entry.created_at, until: entry.updated_at,
                max_bytes: limit,
            }),
        };
        let text = write("SearchRequest", &search);
        prop_assert_eq!(from_json::<proto::SearchRequest>(text.as_bytes()).unwrap(), search);
        let tags = proto::SetTagsRequest { stream: stream.clone(), id: id.clone(), tags: entry.tags.clone() };
        let text = write("SetTagsRequest", &tags);
        prop_assert_eq!(from_json::<proto::SetTagsRequest>(text.as_bytes()).unwrap(), tags);
        let changes = proto::SetAnnotationsRequest {
            stream: stream.clone(), id: id.clone(), set: entry.metadata.clone(), delete: entry.tags.clone(),
        };
        let text = write("SetAnnotationsRequest", &changes);
        prop_assert_eq!(from_json::<proto::SetAnnotationsRequest>(text.as_bytes()).unwrap(), changes);
        let trim = proto::TrimRequest { stream: stream.clone(), before_id: id.clone() };
        let text = write("TrimRequest", &trim);
        prop_assert_eq!(from_json::<proto::TrimRequest>(text.as_bytes()).unwrap(), trim);
        let rename = proto::RenameStreamRequest { name: stream.clone(), new_name: id.clone() };
        let text = write("RenameStreamRequest", &rename);
        prop_assert_eq!(from_json::<proto::RenameStreamRequest>(text.as_bytes()).unwrap(), rename);
        let expect = if flag {
            proto::append_request::Expect::ExpectEmpty(true)
        } else {
            proto::append_request::Expect::ExpectLastId(id)
        };
        let append = proto::AppendRequest { stream, entries: vec![input(entry)], expect: Some(expect) };
        let text = write("AppendRequest", &append);
        prop_assert_eq!(from_json::<proto::AppendRequest>(text.as_bytes()).unwrap(), append);
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(body in vec(any::<u8>(), 0..200)) {
        let _ = from_json::<proto::AppendRequest>(&body);
        let _ = from_json::<proto::SearchRequest>(&body);
    }
}

/// A message of any type.
trait ErasedMessage {
    fn bytes(&self) -> Vec<u8>;
}

impl<M: Message> ErasedMessage for M {
    fn bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }
}

#[test]
fn every_spelling_that_a_transcoder_reads_is_read_alike() {
    for entry in [
        r#"{"payload":"_-8"}"#,
        r#"{"payload":"/+8="}"#,
        r#"{"payload":"YQ"}"#,
        r#"{"schemaVersion":"7"}"#,
        r#"{"schemaVersion":7}"#,
        r#"{"schemaVersion":-9223372036854775808}"#,
        r#"{"schemaVersion":7.0}"#,
        r#"{"payload":null,"orderKey":null,"schemaVersion":null,"metadata":null,"tags":null,"createdAt":null}"#,
        r#"{"created_at":"2026-11-21T07:00:00.5+01:00"}"#,
        r#"{"unknown":{"nested":[1,{"x":null}]}}"#,
    ] {
        let json = format!("{{\"entries\":[{entry}]}}");
        let expected: proto::AppendRequest = read_by_reference("AppendRequest", &json);
        assert_eq!(from_json::<proto::AppendRequest>(json.as_bytes()).unwrap(), expected, "{entry}");
    }
}

#[test]
fn what_is_no_value_of_a_field_is_refused() {
    for entry in [
        r#"{"schemaVersion":7.5}"#,
        r#"{"schemaVersion":9223372036854775808}"#,
        r#"{"schemaVersion":1e300}"#,
        r#"{"schemaVersion":" 7"}"#,
        r#"{"schemaVersion":"inf"}"#,
        r#"{"schemaVersion":true}"#,
        r#"{"payload":7}"#,
        r#"{"payload":"a-b/"}"#,
        r#"{"payload":"a"}"#,
        r#"{"metadata":{"k":null}}"#,
        r#"{"metadata":{"k":1}}"#,
        r#"{"metadata":{"k":"1","k":"2"}}"#,
        r#"{"metadata":[]}"#,
        r#"{"tags":[null]}"#,
        r#"{"tags":"t"}"#,
        r#"{"orderKey":"a","order_key":"b"}"#,
        r#"{"orderKey":"\ud800"}"#,
        r#"{"createdAt":"yesterday"}"#,
        r#"{"createdAt":7}"#,
        r#"[]"#,
        r#"null"#,
    ] {
        let json = format!("{{\"entries\":[{entry}]}}");
        let refused = from_json::<proto::AppendRequest>(json.as_bytes());
        assert_eq!(refused.unwrap_err().code(), tonic::Code::InvalidArgument, "{entry}");
    }
    let both = br#"{"expectEmpty":true,"expectLastId":"7"}"#;
    assert!(from_json::<proto::AppendRequest>(both).is_err());
}

#[test]
fn every_fact_has_the_json_of_its_message() {
    use proto::error_detail as wire;
    let facts = [
        wire::Fact::Closed(wire::Closed { store: "s".into() }),
        wire::Fact::InvalidCursor(wire::InvalidCursor { text: "t".into(), expected: "e".into() }),
        wire::Fact::InvalidStoreName(wire::InvalidStoreName { name: "n".into(), reason: "r".into() }),
        wire::Fact::InvalidText(wire::InvalidText { what: "w".into(), at: 7 }),
        wire::Fact::LimitExceeded(wire::LimitExceeded { what: "w".into(), limit: 1, actual: u64::MAX }),
        wire::Fact::EntryNotFound(wire::EntryNotFound {
            id: "1".into(),
            stream: "s".into(),
            store: "t".into(),
        }),
        wire::Fact::StreamNotFound(wire::StreamNotFound { stream: "s".into(), store: "t".into() }),
        wire::Fact::StreamExists(wire::StreamExists { stream: "s".into(), store: "t".into() }),
        wire::Fact::Conflict(wire::Conflict {
            stream: "s".into(),
            expected_last_id: Some("1".into()),
            actual_last_id: None,
        }),
        wire::Fact::SourceTaken(wire::SourceTaken { source_id: "s".into(), taken_by: "t".into() }),
        wire::Fact::ReadOnly(wire::ReadOnly { store: "s".into() }),
        wire::Fact::NotSupported(wire::NotSupported { operation: "o".into(), store: "s".into() }),
        wire::Fact::Locked(wire::Locked { waited_ms: 5 }),
        wire::Fact::StorageFull(wire::StorageFull {}),
        wire::Fact::Corrupt(wire::Corrupt {}),
        wire::Fact::Internal(wire::Internal { outcome_unknown: true }),
    ];
    for fact in facts {
        let detail = proto::ErrorDetail { fact: Some(fact) };
        let mut metadata = tonic::metadata::MetadataMap::new();
        let encoded = tonic::metadata::MetadataValue::from_bytes(&detail.encode_to_vec());
        metadata.insert_bin(ledger_api::metadata::ERROR_DETAIL, encoded);
        let status = Status::with_metadata(tonic::Code::Internal, "", metadata);
        let ours = serde_json::to_value(fact_of(&status).unwrap()).unwrap();
        assert_eq!(ours, reference("ErrorDetail", &detail));
    }
}
