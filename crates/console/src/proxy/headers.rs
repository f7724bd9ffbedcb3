//! Headers on their way through: those that belong to one connection are taken out (RFC 9110 §7.6.1), and the service
//! is told who asked for what.

use std::net::SocketAddr;

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Headers that belong to one connection.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Headers by which a service could reach beyond its prefix in the browser: over the console and the other services.
const BEYOND_A_PREFIX: [HeaderName; 2] =
    [HeaderName::from_static("clear-site-data"), HeaderName::from_static("service-worker-allowed")];

/// The protocol to which the client, or the service, wants to change the connection.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut tokens = tokens(headers);
    tokens.any(|token| token.eq_ignore_ascii_case("upgrade")).then(|| headers.get(UPGRADE).cloned()).flatten()
}

/// Makes the headers of a request those of the request to the service; `Host` stays, so that the service sees the
/// address that the browser knows.
///
/// What the client says of earlier proxies is believed only if it comes from this machine, where such a proxy may run.
pub(super) fn to_service(headers: &mut HeaderMap, peer: SocketAddr, host: &Authority) {
    let upgrade = upgrade(headers);
    remove_hop_by_hop(headers);
    // The client has been told to go on; the service need not be asked.
    headers.remove(EXPECT);
    if !peer.ip().to_canonical().is_loopback() {
        for name in [FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, REAL_IP] {
            headers.remove(name);
        }
    }
    let ip = peer.ip().to_canonical().to_string();
    let chain = match headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(earlier) => format!("{earlier}, {ip}"),
        None => ip.clone(),
    };
    set(headers, FORWARDED_FOR, &chain);
    for (name, value) in [(FORWARDED_HOST, host.as_str()), (FORWARDED_PROTO, "http"), (REAL_IP, &ip)] {
        if !headers.contains_key(&name) {
            set(headers, name, value);
        }
    }
    set(headers, HOST, host.as_str());
    restore(headers, upgrade);
}

/// Makes the headers of the service's answer those of the answer to the client.
pub(super) fn to_client(headers: &mut HeaderMap, is_upgraded: bool) {
    let upgrade = if is_upgraded { headers.get(UPGRADE).cloned() } else { None };
    remove_hop_by_hop(headers);
    for name in BEYOND_A_PREFIX {
        headers.remove(name);
    }
    restore(headers, upgrade);
}

fn restore(headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        tokens(headers).filter_map(|token| token.parse().ok()).filter(|name| *name != HOST).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// What `Connection` says, word by word.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn sent(pairs: &[(&str, &str)], peer: &str) -> HeaderMap {
        let mut headers = map(pairs);
        to_service(&mut headers, peer.parse().unwrap(), &"yard:8787".parse().unwrap());
        headers
    }

    #[test]
    fn what_belongs_to_the_connection_stays_behind() {
        let headers = sent(
            &[
                ("host", "yard:8787"),
                ("connection", "close, X-Mine"),
                ("x-mine", "1"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("x-other", "2"),
            ],
            "127.0.0.1:1",
        );
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        for gone in ["connection", "x-mine", "keep-alive", "te", "transfer-encoding", "upgrade", "expect"] {
            assert!(!names.contains(&gone), "{gone} in {names:?}");
        }
        assert_eq!(headers["x-other"], "2");
        assert_eq!(headers["host"], "yard:8787");
        assert_eq!(sent(&[("connection", "host")], "127.0.0.1:1")["host"], "yard:8787");
    }

    #[test]
    fn a_wish_to_upgrade_is_handed_on() {
        let headers = sent(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")], "127.0.0.1:1");
        assert_eq!(
            (&headers["connection"], &headers["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        assert!(upgrade(&headers).is_some());
    }

    #[test]
    fn earlier_proxies_are_believed_on_this_machine_alone() {
        let earlier =
            [("x-forwarded-for", "192.0.2.9"), ("x-forwarded-proto", "https"), ("forwarded", "for=x")];
        let from_here = sent(&earlier, "127.0.0.1:1");
        assert_eq!(from_here["x-forwarded-for"], "192.0.2.9, 127.0.0.1");
        assert_eq!(from_here["x-forwarded-proto"], "https");
        let from_afar = sent(&earlier, "198.51.100.7:1");
        assert_eq!(from_afar["x-forwarded-for"], "198.51.100.7");
        assert_eq!(from_afar["x-forwarded-proto"], "http");
        assert_eq!(from_afar["x-forwarded-host"], "yard:8787");
        assert!(!from_afar.contains_key("forwarded"));
    }

    #[test]
    fn a_service_does_not_reach_beyond_its_prefix() {
        let mut headers = map(&[("service-worker-allowed", "/"), ("clear-site-data", "*"), ("etag", "x")]);
        to_client(&mut headers, false);
        assert_eq!(headers, map(&[("etag", "x")]));
    }
}
