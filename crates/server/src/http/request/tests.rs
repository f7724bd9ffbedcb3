use std::collections::BTreeMap;

use http::{Method, Request};
use ledger_api::proto::subscribe_request::Position;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tonic::Code;

use super::*;

fn parts(method: Method, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn head(headers: &[(&str, &str)]) -> Result<Head, Refusal> {
    Head::of(&parts(Method::GET, "/v1/health", headers))
}

#[test]
fn what_stands_in_the_path_wins_over_the_body() {
    let put = parts(Method::PUT, "/v1/streams/in%20path/entries/7/tags", &[]);
    let body = br#"{"stream":"in body","id":"8","tags":["a","b"]}"#;
    let expected = proto::SetTagsRequest {
        stream: "in path".into(),
        id: "7".into(),
        tags: vec!["a".into(), "b".into()],
    };
    assert_eq!(decode(&put, body).unwrap(), Message::SetTags(expected));
    let rename = parts(Method::POST, "/v1/streams/old:rename", &[]);
    let expected = proto::RenameStreamRequest { name: "old".into(), new_name: "new".into() };
    let decoded = decode(&rename, br#"{"name":"other","new_name":"new"}"#).unwrap();
    assert_eq!(decoded, Message::RenameStream(expected));
    let everywhere = parts(Method::POST, "/v1/streams//entries:search", &[]);
    let Message::Search(search) = decode(&everywhere, br#"{"stream":"s","query":"q"}"#).unwrap() else {
        panic!()
    };
    assert_eq!((search.stream.as_str(), search.query.as_str()), ("", "q"));
}

#[test]
fn metadata_comes_under_its_own_name_or_behind_a_prefix_and_nothing_else_comes_along() {
    let head = head(&[
        ("X-Ledger-Store", "orders"),
        ("grpc-metadata-x-ledger-store", "other"),
        ("Grpc-Metadata-X-Api-Key", "k"),
        ("cookie", "c"),
        ("te", "trailers"),
    ])
    .unwrap();
    assert_eq!(head.metadata.len(), 2);
    assert_eq!(head.metadata["x-ledger-store"], "orders");
    assert_eq!(head.metadata["x-api-key"], "k");
}

#[test]
fn a_deadline_that_is_none_is_refused() {
    let timeout = |text: &str| head(&[("grpc-timeout", text)]).map(|head| head.timeout);
    assert_eq!(timeout("4m").unwrap(), Some(Duration::from_millis(4)));
    assert_eq!(head(&[]).unwrap().timeout, None);
    for text in ["", "soon", "1s", "-1S"] {
        assert_eq!(timeout(text).unwrap_err().status().code(), Code::InvalidArgument, "{text}");
    }
}

#[test]
fn a_client_that_was_cut_off_goes_on_behind_its_last_event() {
    let subscribe = |query: &str, last: &[(&str, &str)]| {
        let uri = format!("/v1/streams/s/entries:subscribe{query}");
        let Message::Subscribe(request) = decode(&parts(Method::GET, &uri, last), b"").unwrap() else {
            panic!()
        };
        (request.after.clone(), request.position())
    };
    assert_eq!(subscribe("?from=now", &[]), (String::new(), Position::Now));
    assert_eq!(subscribe("?after=3", &[]), ("3".to_owned(), Position::Start));
    assert_eq!(subscribe("?after=3", &[("Last-Event-ID", "7")]), ("7".to_owned(), Position::Start));
    assert_eq!(subscribe("?from=now", &[("last-event-id", "start")]), (String::new(), Position::Start));
    assert_eq!(subscribe("?after=3", &[("last-event-id", "")]), ("3".to_owned(), Position::Start));
}

#[test]
fn bodies_that_are_no_message_are_refused_with_the_place() {
    let append = parts(Method::POST, "/v1/streams/s/entries", &[]);
    for body in [
        "{",
        "[]",
        "null",
        "7",
        "{\"entries\":7}",
        "{\"entries\":[[]]}",
        "{\"stream\":\"a\",\"stream\":\"b\"}",
        "{} x",
        "{\"entries\":[{\"payload\":\"*\"}]}",
    ] {
        let refusal = decode(&append, body.as_bytes()).unwrap_err();
        assert_eq!(refusal.status().code(), Code::InvalidArgument, "{body}");
        assert!(refusal.status().message().starts_with("malformed JSON: "), "{refusal:?}");
        assert!(refusal.status().message().contains("line 1 column"), "{refusal:?}");
    }
    for body in ["", " \n", "{}", "{\"nonsense\":{\"a\":[1]}}"] {
        let expected = proto::AppendRequest { stream: "s".into(), ..Default::default() };
        assert_eq!(decode(&append, body.as_bytes()).unwrap(), Message::Append(expected), "{body}");
    }
}

/// Every byte that could mean something, and some that could not, as escapes.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@!$'()*,;".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn query_of(options: &proto::ReadOptions) -> String {
    let mut pairs = vec![
        ("options.after".to_owned(), options.after.clone()),
        ("options.limit".to_owned(), options.limit.to_string()),
        ("options.desc".to_owned(), options.desc.to_string()),
        ("options.order_key".to_owned(), options.order_key.clone()),
        ("options.tag".to_owned(), options.tag.clone()),
        ("options.maxBytes".to_owned(), options.max_bytes.to_string()),
    ];
    pairs.extend(options.all_tags.iter().map(|tag| ("options.all_tags".to_owned(), tag.clone())));
    let keyed = |field: &str, key: &str| format!("options.{field}[{key}]");
    let metadata = options.metadata_filters.iter();
    pairs.extend(metadata.map(|(key, value)| (keyed("metadata_filters", key), value.clone())));
    let annotations = options.annotation_filters.iter();
    pairs.extend(annotations.map(|(key, value)| (keyed("annotationFilters", key), value.clone())));
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&")
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(any::<String>(), any::<String>(), 0..3)
}

proptest! {
    #[test]
    fn every_name_without_a_slash_is_found_again_in_a_path(name in "[^/]*", id in "[^/]*") {
        let path = format!("/v1/streams/{}/entries", escaped(&name));
        let read = decode(&parts(Method::GET, &path, &[]), b"").unwrap();
        prop_assert_eq!(read, Message::Read(proto::ReadRequest { stream: name.clone(), options: None }));
        let path = format!("/v1/streams/{}/entries/{}/tags", escaped(&name), escaped(&id));
        let tags = decode(&parts(Method::PUT, &path, &[]), br#"{"stream":"other","id":"other"}"#).unwrap();
        let expected = proto::SetTagsRequest { stream: name.clone(), id, tags: vec![] };
        prop_assert_eq!(tags, Message::SetTags(expected));
        let stat = decode(&parts(Method::GET, &format!("/v1/streams/{}:stat", escaped(&name)), &[]), b"");
        match stat {
            Ok(stat) => prop_assert_eq!(stat, Message::Stat(proto::StatRequest { stream: name })),
            Err(refusal) => prop_assert!(name.is_empty() && refusal.http() == 404),
        }
    }

    #[test]
    fn a_slash_in_a_segment_leads_nowhere(before in ".*", behind in ".*") {
        let path = format!("/v1/streams/{}%2F{}/entries", escaped(&before), escaped(&behind));
        prop_assert_eq!(decode(&parts(Method::GET, &path, &[]), b"").unwrap_err().http(), 404);
    }

    #[test]
    fn the_query_of_a_read_is_understood(
        text in any::<[String; 3]>(), numbers in any::<[i64; 2]>(), desc: bool,
        all_tags in vec(any::<String>(), 0..3), metadata_filters in texts(), annotation_filters in texts(),
    ) {
        let [after, order_key, tag] = text;
        let [limit, max_bytes] = numbers;
        let options = proto::ReadOptions {
            after, limit, desc, order_key, tag, all_tags, metadata_filters, annotation_filters, since: None, until: None,
            max_bytes,
        };
        let uri = format!("/v1/streams/s/entries?{}", query_of(&options));
        prop_assume!(uri.len() < 60_000);
        let read = decode(&parts(Method::GET, &uri, &[]), b"").unwrap();
        prop_assert_eq!(read, Message::Read(proto::ReadRequest { stream: "s".into(), options: Some(options) }));
    }

    #[test]
    fn any_request_is_a_message_or_a_refusal_that_is_the_clients(
        method in "GET|POST|PUT|PATCH|DELETE", segments in vec("v1|streams|entries|s|[a-z%:.0-9A-F]{0,6}|tags|entries:trim|s:stat|", 0..7),
        query in "[a-z.%&=\\[\\]_]{0,30}", last in "[ -~]{0,8}", body in vec(any::<u8>(), 0..60),
    ) {
        let uri = format!("/{}?{query}", segments.join("/"));
        let request = Request::builder().method(method.as_str()).uri(uri).header("last-event-id", last).body(());
        prop_assume!(request.is_ok());
        let parts = request.unwrap().into_parts().0;
        match (decode(&parts, &body), decode(&parts, &body)) {
            (Ok(message), Ok(again)) => prop_assert_eq!(message, again),
            (Err(refusal), Err(_)) => prop_assert!([400, 404, 501].contains(&refusal.http().as_u16())),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
