//! Files for reverse proxies, made from the ledger: also when nothing runs (specification §9; §15, 33–39).
//!
//! A [`Route`] is what a proxy needs to know of one service. Everything that comes from a file name is quoted by the
//! rules of the proxy's own language, so no name can break out of its place.

mod nginx;
mod traefik;

use serde_json::{Value, json};

pub use nginx::NginxOptions;
pub use traefik::TraefikOptions;

use crate::ledger::Record;

/// One service behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Name of the service.
    pub id: String,
    /// The data file.
    pub provenance: String,
    /// Name of the kind.
    pub kind: String,
    /// Process id, if there is one.
    pub pid: Option<u32>,
    /// `http://HOST:PORT`.
    pub upstream: String,
    /// Path under which the service is offered, without a slash at the end; empty for the root.
    pub prefix: String,
    /// Path under which the service itself answers, if it was told its prefix.
    pub own_prefix: Option<String>,
}

/// A file for a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyFile {
    /// Name in the folder.
    pub name: String,
    /// Content.
    pub text: String,
}

impl Route {
    /// The route to a service; `None` if its context names no address.
    pub fn of(record: &Record, location_prefix: Option<&str>) -> Option<Self> {
        let upstream = record.base_url().to_owned();
        if upstream.is_empty() {
            return None;
        }
        let own = slashed(record.prefix());
        Some(Self {
            id: record.service_id().to_owned(),
            provenance: record.provenance().to_owned(),
            kind: record.kind().to_owned(),
            pid: record.pid(),
            upstream,
            prefix: location_prefix.map_or_else(|| own.clone(), slashed),
            own_prefix: record.was_told(&own).then_some(own),
        })
    }

    /// What the upstream is asked for in the place of the prefix: the prefix itself if the service knows it, else, if it is
    /// to be stripped, nothing.
    fn upstream_prefix(&self, strip: bool) -> &str {
        match &self.own_prefix {
            Some(own) => own,
            None if strip => "",
            None => &self.prefix,
        }
    }

    /// Part of file names: no two services share it.
    fn file_stem(&self) -> String {
        let safe = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let id: String =
            self.provenance.chars().map(|letter| if safe(letter) { letter } else { '_' }).collect();
        let id = id.trim_start_matches('_');
        let short: String = id.chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
        format!("truth-yard.{short}.{:08x}", fnv1a(&self.provenance))
    }

    /// Headers that tell the upstream which service it is; values are percent-encoded where they are not plain text.
    fn headers(&self) -> [(&'static str, String); 5] {
        [
            ("X-Truth-Yard-Id", header_value(&self.id)),
            ("X-Truth-Yard-Db", header_value(&self.provenance)),
            ("X-Truth-Yard-Kind", header_value(&self.kind)),
            ("X-Truth-Yard-Upstream", header_value(&self.upstream)),
            ("X-Truth-Yard-ProxyPrefix", header_value(&format!("{}/", self.prefix))),
        ]
    }
}

/// JSON for the "Custom locations" of Nginx Proxy Manager.
pub fn nginx_proxy_manager(routes: &[Route], scheme: &str, host: &str) -> Value {
    let location = |route: &Route| {
        let port = route.upstream.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let headers = route.headers().map(|(name, value)| format!("proxy_set_header {name} \"{value}\";"));
        json!({
            "path": if route.prefix.is_empty() { "/" } else { &route.prefix },
            "forward_scheme": scheme,
            "forward_host": host,
            "forward_port": port.unwrap_or(if scheme == "https" { 443 } else { 80 }),
            "advanced_config": headers.join("\n"),
        })
    };
    json!({ "locations": routes.iter().map(location).collect::<Vec<_>>() })
}

/// One slash in front, none doubled, none behind; nothing for the root.
fn slashed(prefix: &str) -> String {
    prefix.split('/').filter(|segment| !segment.is_empty()).map(|segment| format!("/{segment}")).collect()
}

/// For a comment of one line.
fn comment(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{FFFD}' } else { letter }).collect()
}

/// Printable ASCII without what quotes or expands in the languages of proxies.
fn header_value(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (byte.is_ascii_graphic() || byte == b' ') && !b"%$\"'`\\{};".contains(&byte) {
            value.push(char::from(byte));
        } else {
            value.push_str(&format!("%{byte:02X}"));
        }
    }
    value
}

/// 32-bit FNV-1a of UTF-16 code units, as in the file names of the original program (§9).
fn fnv1a(text: &str) -> u32 {
    text.encode_utf16().fold(0x811c_9dc5, |hash, unit| (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn route(prefix: &str, own_prefix: Option<&str>) -> Route {
        Route {
            id: "x.db".to_owned(),
            provenance: "/srv/cargo.d/x.db".to_owned(),
            kind: "sqlpage".to_owned(),
            pid: Some(7),
            upstream: "http://127.0.0.1:3000".to_owned(),
            prefix: slashed(prefix),
            own_prefix: own_prefix.map(slashed),
        }
    }

    #[test]
    fn the_hash_is_the_originals() {
        assert_eq!(fnv1a("cargo.d/controls/scf-2025.3.sqlite.db"), 0xd9fd_6af4);
        assert_eq!(fnv1a("cargo.d/evidence/audit.sqlite.db"), 0x1a79_fcd5);
        assert_eq!(fnv1a("cargo.d/a.db"), 0x201c_67a7);
    }

    #[test]
    fn header_values_are_plain() {
        assert_eq!(header_value("it's $x;\n{\"é\"}"), "it%27s %24x%3B%0A%7B%22%C3%A9%22%7D");
    }

    #[test]
    fn nginx_proxy_manager_gets_one_location_per_service() {
        let json = nginx_proxy_manager(&[route("/a/", None)], "http", "0.0.0.0");
        assert_eq!(json.pointer("/locations/0/path").unwrap(), "/a");
        assert_eq!(json.pointer("/locations/0/forward_port").unwrap(), 3000);
    }
}
