use http::{Method, Request};
use ledger_api::proto::subscribe_request::Position;
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
fn a_deadline_has_up_to_eight_digits_and_a_unit() {
    let timeout = |text: &str| head(&[("grpc-timeout", text)]).map(|head| head.timeout.unwrap());
    for (text, millis) in [
        ("1H", 3_600_000),
        ("2M", 120_000),
        ("3S", 3_000),
        ("4m", 4),
        ("5000u", 5),
        ("99999999m", 99_999_999),
    ] {
        assert_eq!(timeout(text).unwrap(), Duration::from_millis(millis), "{text}");
    }
    assert_eq!(timeout("1000000n").unwrap(), Duration::from_millis(1));
    for text in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "1 S", "١S"] {
        let refusal = match timeout(text) {
            Err(refusal) => refusal,
            Ok(timeout) => panic!("{text}: {timeout:?}"),
        };
        assert_eq!(refusal.status().code(), Code::InvalidArgument, "{text}");
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
