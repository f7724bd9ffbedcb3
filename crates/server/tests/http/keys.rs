//! Keys over HTTP: the same guard as over gRPC, on every route.

use std::collections::BTreeSet;

use ledger_server::http::{Call, ROUTES};
use ledger_server::{KeyFile, Right};

use crate::curl::{Answer, Curl, Served, with_gateway};
use crate::support::Folder;

const NO_KEY: &str = "authentication failed: rpc error: code = Unauthenticated desc = invalid api key";

fn key(folder: &Folder, name: &str, stores: &[&str], rights: &[Right]) -> String {
    let stores: BTreeSet<_> = stores.iter().map(|&store| store.to_owned()).collect();
    let rights = rights.iter().copied().collect();
    KeyFile::new(folder.path()).create(name, stores, rights, jiff::Timestamp::UNIX_EPOCH).unwrap()
}

/// The right that a route needs, written down a second time on purpose.
fn needed(call: Call) -> Option<Right> {
    match call {
        Call::Read
        | Call::Count
        | Call::Stat
        | Call::ListStreamIDs
        | Call::Search
        | Call::Subscribe
        | Call::Metrics => Some(Right::Read),
        Call::Append | Call::SetTags | Call::SetAnnotations => Some(Right::Write),
        Call::Trim | Call::RenameStream => Some(Right::Admin),
        Call::Health | Call::OpenApi | Call::Live | Call::Ready => None,
    }
}

fn is_open(call: Call) -> bool {
    matches!(call, Call::Live | Call::Ready)
}

#[tokio::test]
async fn without_the_key_nothing_but_probes_is_answered_and_with_it_everything() {
    let served = Served::start("api_key: s3cret").await;
    for route in ROUTES {
        let path = route.template.replace("{stream}", "s").replace("{name}", "s").replace("{id}", "1");
        let call = |headers: &[&str]| {
            let mut curl = served.curl(route.method.as_str(), &path).body("{}").with(&["--max-time", "1"]);
            for header in headers {
                curl = curl.header(header);
            }
            curl
        };
        for headers in [&[][..], &["x-api-key: s3cre"], &["x-api-key:", "authorization: Bearer s3cret"]] {
            let answer = call(headers).partial().await;
            if is_open(route.call) {
                assert_eq!(answer.status, 200, "{}", route.template);
            } else {
                assert_eq!(answer.refusal(), (401, 16, NO_KEY.to_owned()), "{}", route.template);
                assert_eq!(answer.header("www-authenticate"), Some(NO_KEY));
            }
        }
        for header in ["X-API-Key: s3cret", "Grpc-Metadata-X-Api-Key: s3cret"] {
            let status = call(&[header]).partial().await.status;
            assert!(status != 401 && status != 403, "{}: {status}", route.template);
        }
    }
}

#[tokio::test]
async fn a_key_does_what_its_rights_say_on_every_route() {
    let folder = Folder::new(&with_gateway(""));
    let keys = Right::ALL.map(|right| (right, key(&folder, right.name(), &["orders"], &[right])));
    let admin = key(&folder, "everything", &[], &Right::ALL);
    let served = Served::from(folder).await;
    let secret = served.bare("POST", "/v1/streams/s/entries").header("x-ledger-store: private");
    let secret = secret.header(&format!("x-api-key: {admin}"));
    secret.body(r#"{"entries":[{"payload":"c2VjcmV0"}]}"#).run().await.ok();

    for route in ROUTES {
        let path = route.template.replace("{stream}", "s").replace("{name}", "s").replace("{id}", "1");
        let call = |store: &str, key: &str| {
            let curl = served.bare(route.method.as_str(), &path).header(&format!("x-ledger-store: {store}"));
            let curl = curl.header(&format!("x-api-key: {key}")).with(&["--max-time", "1"]);
            if route.has_body {
                curl.body(r#"{"query":"secret","newName":"t","beforeId":"9"}"#)
            } else {
                curl
            }
        };
        for (right, key) in &keys {
            let answer = call("orders", key).partial().await;
            match needed(route.call) {
                Some(needed) if needed != *right => {
                    let message = format!("access denied: this API key has no right to {}", needed.name());
                    assert_eq!(answer.refusal(), (403, 7, message), "{} with {right:?}", route.template);
                }
                _ => assert!(answer.status != 403, "{} with {right:?}: {answer:?}", route.template),
            }
            let answer = call("private", key).partial().await;
            if !is_open(route.call) {
                let message = "access denied: store \"private\" is not accessible with this API key";
                assert_eq!(
                    answer.refusal(),
                    (403, 7, message.to_owned()),
                    "{} with {right:?}",
                    route.template
                );
            }
            assert!(!answer.body.contains("c2VjcmV0"), "{answer:?}");
        }
    }
    let count = served.bare("GET", "/v1/streams/s/entries:count").header("x-ledger-store: private");
    let count = count.header(&format!("x-api-key: {admin}")).run().await.ok();
    assert_eq!(count["count"], "1", "nothing that was refused has happened");
}

#[tokio::test]
async fn a_search_over_all_streams_stays_in_the_store_of_the_key() {
    let folder = Folder::new(&with_gateway(""));
    let (reader, admin) =
        (key(&folder, "reader", &["orders"], &[Right::Read]), key(&folder, "admin", &[], &Right::ALL));
    let served = Served::from(folder).await;
    for store in ["orders", "private"] {
        let append = served.bare("POST", "/v1/streams/s/entries").header(&format!("x-ledger-store: {store}"));
        let append =
            append.header(&format!("x-api-key: {admin}")).body(r#"{"entries":[{"payload":"c2VjcmV0"}]}"#);
        append.run().await.ok();
    }
    let search = async |curl: Curl| -> Answer {
        curl.header(&format!("x-api-key: {reader}")).body(r#"{"query":"secret"}"#).run().await
    };
    let found = search(served.curl("POST", "/v1/streams//entries:search")).await.ok();
    assert_eq!(found["entries"].as_array().unwrap().len(), 1);
    let other = served.bare("POST", "/v1/streams//entries:search");
    // Two names for the store: the one that is checked is the one that is used.
    let both = other.header("x-ledger-store: orders").header("grpc-metadata-x-ledger-store: private");
    assert_eq!(search(both).await.ok(), found);
    let twice = served.curl("POST", "/v1/streams//entries:search").header("x-ledger-store: private");
    assert_eq!(search(twice).await.ok(), found);
    let prefixed =
        served.bare("POST", "/v1/streams//entries:search").header("grpc-metadata-x-ledger-store: private");
    assert_eq!(search(prefixed).await.refusal().0, 403);
}

#[tokio::test]
async fn a_revoked_key_loses_its_open_event_stream() {
    let folder = Folder::new(&with_gateway(""));
    let (gone, kept) = (key(&folder, "gone", &[], &[Right::Read]), key(&folder, "kept", &[], &Right::ALL));
    let served = Served::from(folder).await;
    let follow = |key: &str| {
        served.curl("GET", "/v1/streams/s/entries:subscribe").header(&format!("x-api-key: {key}")).follow()
    };
    let (mut lost, mut live) = (follow(&gone), follow(&kept));
    lost.until("caught_up").await;
    live.until("caught_up").await;
    KeyFile::new(served.daemon.folder.path()).revoke("gone").unwrap();
    served.daemon.handle.reload(&served.daemon.folder.overrides()).unwrap();
    assert_eq!(lost.until("end").await.json()["code"], 16);
    assert_eq!(lost.block().await, None);
    let append = served.curl("POST", "/v1/streams/s/entries").header(&format!("x-api-key: {kept}"));
    append.body(r#"{"entries":[{"payload":"YQ=="}]}"#).run().await.ok();
    assert_eq!(live.entries(1).await.len(), 1);
}

#[tokio::test]
async fn an_open_door_to_the_network_is_refused_for_the_gateway_too() {
    let folder = Folder::new("listen: 127.0.0.1:0\nhttp_listen: 0.0.0.0:0");
    let error = folder.bind().await.err().unwrap().to_string();
    assert!(error.contains("http_listen") && error.contains("ledger key create"), "{error}");
    folder.configure("listen: 127.0.0.1:0\nhttp_listen: 0.0.0.0:0\napi_key: k");
    let served = Served::from(folder).await;
    served.daemon.folder.configure("listen: 127.0.0.1:0\nhttp_listen: 0.0.0.0:0");
    assert!(served.daemon.handle.reload(&served.daemon.folder.overrides()).is_err());
}
