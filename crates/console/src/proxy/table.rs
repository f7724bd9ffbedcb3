//! Which service a path belongs to (specification §10.1).
//!
//! A service is offered under its prefix, and under `/SERVICEID` if that is one segment and no other service has it as
//! its prefix. The longest base path wins, at the boundary of a segment: `/a` takes `/a` and `/a/b`, not `/ab` (§15, 35).
//! Paths are compared as they are meant (`%20` is a space) and handed on as they came.

use std::collections::BTreeMap;

use http::uri::{Authority, PathAndQuery};
use ledger_yard::{Record, Route};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Serialize;

/// What is escaped in a path that is made from a file name.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%')
    .add(b'\\')
    .add(b'^')
    .add(b'|')
    .add(b'[')
    .add(b']');

/// What is escaped in a path that somebody has typed, which may be escaped already and have a query.
pub(crate) const AS_TYPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|');

/// All services behind the proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    entries: BTreeMap<String, Entry>,
    conflicts: BTreeMap<String, Vec<String>>,
    /// Most segments of a base path.
    depth: usize,
}

/// One base path. `/` stands as the empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Without a slash at the end, as it is meant.
    pub(crate) base: String,
    /// Name of the service.
    pub(crate) service: String,
    /// State as the ledger knows it.
    pub(crate) state: String,
    /// Where the service answers, for people.
    pub(crate) url: String,
    /// `HOST:PORT`.
    pub(crate) authority: Authority,
    /// The prefix that the service itself expects; `None` if it is to be taken off.
    pub(crate) own_prefix: Option<String>,
}

/// A base path that several services want; the first has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conflict<'t> {
    base_path: &'t str,
    upstream_urls: &'t [String],
}

/// The service of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'t, 'p> {
    pub(crate) entry: &'t Entry,
    /// What stands behind the base path, as it came; empty if nothing does.
    pub(crate) rest: &'p str,
}

impl Table {
    /// The services that run or are about to, with their states.
    pub(crate) fn new<'r>(records: impl Iterator<Item = (&'r Record, &'r str)>) -> Self {
        let is_there = |state: &str| matches!(state, "ready" | "running" | "starting" | "restarting");
        let entries: Vec<Entry> = records
            .filter(|(_, state)| is_there(state))
            .filter_map(|(record, state)| Entry::of(record, state))
            .collect();
        let mut table = Self::default();
        let aliases =
            entries.iter().filter(|entry| !entry.service.is_empty() && !entry.service.contains('/'));
        let aliases: Vec<Entry> =
            aliases.map(|entry| Entry { base: format!("/{}", entry.service), ..entry.clone() }).collect();
        // An alias never stands in the way of a prefix.
        entries.into_iter().chain(aliases).for_each(|entry| table.add(entry));
        table
    }

    fn add(&mut self, entry: Entry) {
        self.depth = self.depth.max(entry.base.split('/').count());
        match self.entries.get(&entry.base) {
            Some(first) if first.url != entry.url => {
                let urls =
                    self.conflicts.entry(entry.base.clone()).or_insert_with(|| vec![first.url.clone()]);
                if !urls.contains(&entry.url) {
                    urls.push(entry.url);
                }
            }
            Some(_) => {}
            None => _ = self.entries.insert(entry.base.clone(), entry),
        }
    }

    /// The service with the longest base path that a path begins with.
    pub(crate) fn find<'t, 'p>(&'t self, path: &'p str) -> Option<Found<'t, 'p>> {
        let mut meant = String::with_capacity(path.len());
        let mut best = self.entries.get("").map(|entry| Found { entry, rest: path });
        let mut length = 0_usize;
        for segment in path.strip_prefix('/')?.split('/').take(self.depth) {
            let decoded = percent_decode_str(segment).decode_utf8().ok();
            // A slash that is written as %2F separates nothing.
            let Some(decoded) = decoded.filter(|text| !text.is_empty() && !text.contains('/')) else { break };
            meant.push('/');
            meant.push_str(&decoded);
            length = length.saturating_add(1).saturating_add(segment.len());
            if let Some(entry) = self.entries.get(&meant) {
                best = Some(Found { entry, rest: path.get(length..).unwrap_or_default() });
            }
        }
        best
    }

    /// All base paths, longest first.
    pub(crate) fn entries(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| (std::cmp::Reverse(entry.base.len()), &entry.base));
        entries
    }

    /// Base paths that more than one service wants.
    pub(crate) fn conflicts(&self) -> Vec<Conflict<'_>> {
        self.conflicts
            .iter()
            .map(|(base, urls)| Conflict { base_path: shown(base), upstream_urls: urls })
            .collect()
    }
}

impl Entry {
    /// `None` if the ledger names no address that HTTP can go to.
    fn of(record: &Record, state: &str) -> Option<Self> {
        let route = Route::of(record, None)?;
        let authority = route.upstream.strip_prefix("http://")?.trim_end_matches('/').parse().ok()?;
        let url = if record.url().is_empty() { route.upstream } else { record.url().to_owned() };
        let (service, state) = (route.id, state.to_owned());
        Some(Self { base: route.prefix, service, state, url, authority, own_prefix: route.own_prefix })
    }

    /// The base path as it is shown: `/` for the root.
    pub(crate) fn base_path(&self) -> &str {
        shown(&self.base)
    }

    /// The base path as it stands in a URL, without a slash at the end.
    pub(crate) fn base_in_url(&self) -> String {
        encoded(&self.base)
    }

    /// The prefix that the service expects, as it stands in a URL; empty if it expects none.
    pub(crate) fn own_prefix_in_url(&self) -> String {
        self.own_prefix.as_deref().map(encoded).unwrap_or_default()
    }

    /// `http://HOST:PORT`.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.authority)
    }
}

impl Found<'_, '_> {
    /// What the service is asked for.
    ///
    /// # Errors
    /// When the path cannot stand in a request line.
    pub(crate) fn target(&self, asked: &PathAndQuery) -> Result<PathAndQuery, http::uri::InvalidUri> {
        match &self.entry.own_prefix {
            // The service knows its prefix, and it was asked for below it: as it came.
            Some(own) if *own == self.entry.base => Ok(asked.clone()),
            _ => {
                let prefix = self.entry.own_prefix_in_url();
                let rest = if prefix.is_empty() { self.rest_path() } else { self.rest };
                let query = asked.query().map(|query| format!("?{query}")).unwrap_or_default();
                PathAndQuery::try_from(format!("{prefix}{rest}{query}"))
            }
        }
    }

    /// What stands behind the base path; `/` if nothing does.
    pub(crate) fn rest_path(&self) -> &str {
        if self.rest.is_empty() { "/" } else { self.rest }
    }
}

fn shown(base: &str) -> &str {
    if base.is_empty() { "/" } else { base }
}

fn encoded(path: &str) -> String {
    utf8_percent_encode(path, IN_PATH).to_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entry(base: &str, port: u16, own_prefix: Option<&str>) -> Entry {
        Entry {
            base: base.to_owned(),
            service: format!("{port}.db"),
            state: "ready".to_owned(),
            url: format!("http://127.0.0.1:{port}{base}"),
            authority: format!("127.0.0.1:{port}").parse().unwrap(),
            own_prefix: own_prefix.map(str::to_owned),
        }
    }

    fn table(bases: &[(&str, u16)]) -> Table {
        let mut table = Table::default();
        bases.iter().for_each(|(base, port)| table.add(entry(base, *port, None)));
        table
    }

    #[test]
    fn the_longest_base_path_wins_at_the_boundary_of_a_segment() {
        let table = table(&[("/a", 1), ("/a/b", 2), ("/a b/ü", 3)]);
        let find =
            |path| table.find(path).map(|found| (found.entry.authority.port_u16().unwrap(), found.rest));
        assert_eq!(find("/a"), Some((1, "")));
        assert_eq!(find("/a/"), Some((1, "/")));
        assert_eq!(find("/a/bc"), Some((1, "/bc")));
        assert_eq!(find("/a/b/c%20d"), Some((2, "/c%20d")));
        assert_eq!(find("/ab"), None);
        assert_eq!(find("/"), None);
        assert_eq!(find("/%61/b"), Some((2, "")), "as it is meant");
        assert_eq!(find("/a%20b/%C3%BC/x"), Some((3, "/x")));
        assert_eq!(find("/a%2Fb"), None, "an escaped slash is no separator");
        assert_eq!(find("/a/%2e%2e/b"), Some((1, "/%2e%2e/b")), "dots are handed on, not followed");
        assert_eq!(find("//a"), None);
        assert_eq!(find("*"), None);
        assert_eq!(find("/a/%FF"), Some((1, "/%FF")));
    }

    #[test]
    fn a_service_at_the_root_has_what_no_other_has() {
        let table = table(&[("", 1), ("/a", 2)]);
        let find =
            |path| table.find(path).map(|found| (found.entry.authority.port_u16().unwrap(), found.rest));
        assert_eq!(find("/"), Some((1, "/")));
        assert_eq!(find("/x/y"), Some((1, "/x/y")));
        assert_eq!(find("/a/y"), Some((2, "/y")));
    }

    #[test]
    fn the_first_service_has_a_base_path_and_the_conflict_is_told() {
        let table = table(&[("/a", 1), ("/a", 2), ("/a", 1), ("/b", 3)]);
        assert_eq!(table.find("/a").unwrap().entry.authority, "127.0.0.1:1");
        let conflicts = serde_json::to_value(table.conflicts()).unwrap();
        let urls = serde_json::json!(["http://127.0.0.1:1/a", "http://127.0.0.1:2/a"]);
        assert_eq!(conflicts, serde_json::json!([{ "basePath": "/a", "upstreamUrls": urls }]));
    }

    #[test]
    fn a_prefix_is_kept_where_the_service_expects_it_and_taken_off_elsewhere() {
        let target = |entry: &Entry, rest: &str, asked: &str| {
            let found = Found { entry, rest };
            found.target(&asked.parse().unwrap()).unwrap().to_string()
        };
        let kept = entry("/a b", 1, Some("/a b"));
        assert_eq!(target(&kept, "/x", "/a%20b/x?q=1"), "/a%20b/x?q=1");
        assert_eq!(target(&kept, "", "/a%20b"), "/a%20b");
        let by_name = entry("/x.db", 1, Some("/a b"));
        assert_eq!(target(&by_name, "/y", "/x.db/y?q"), "/a%20b/y?q");
        assert_eq!(target(&by_name, "", "/x.db"), "/a%20b");
        let stripped = entry("/a", 1, None);
        assert_eq!(target(&stripped, "/x%2Fy", "/a/x%2Fy?q=/"), "/x%2Fy?q=/");
        assert_eq!(target(&stripped, "", "/a?q"), "/?q");
    }
}
