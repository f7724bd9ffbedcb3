//! Under which path a service stands behind a proxy (request "Context JSON"; specification §4.2).
//!
//! The request's form is `/apps/KIND/PATH`; the original program's is `/PATH`. Both are a [template](PrefixTemplate) with
//! `{kind}` and `{path}`, where the path is the one relative to the root without its database extension.

use std::fmt;
use std::str::FromStr;

/// How prefixes are made. The default is `/apps/{kind}/{path}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixTemplate(String);

/// A prefix template without `{path}` would give every service the same prefix.
#[derive(Debug, thiserror::Error)]
#[error("yard: prefix {0:?} names no {{path}}; write for example /apps/{{kind}}/{{path}}")]
pub struct PrefixError(String);

impl Default for PrefixTemplate {
    fn default() -> Self {
        Self("/apps/{kind}/{path}".to_owned())
    }
}

impl fmt::Display for PrefixTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for PrefixTemplate {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if text.contains("{path}") { Ok(Self(text.to_owned())) } else { Err(PrefixError(text.to_owned())) }
    }
}

impl PrefixTemplate {
    /// The prefix of a file: one slash in front, none behind, none doubled.
    pub(crate) fn of(&self, kind: &str, relative: &str) -> String {
        let path = stem(relative.trim_start_matches("./"));
        let text = self.0.replace("{kind}", kind).replace("{path}", path);
        let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
        format!("/{}", segments.join("/"))
    }
}

/// Without the extension: a two-part one of a database in any case, or else the last one. A name that is nothing but an
/// extension stays.
fn stem(relative: &str) -> &str {
    let lower = relative.to_ascii_lowercase();
    let compound = [".sqlite.db", ".sqlite3.db", ".duckdb.db"].into_iter().find(|end| lower.ends_with(end));
    let cut = match compound {
        Some(end) => relative.len().checked_sub(end.len()),
        None => relative.rfind('.'),
    };
    let stem = cut.and_then(|cut| relative.get(..cut)).unwrap_or(relative);
    if stem.is_empty() || stem.ends_with('/') || stem.len() < relative.rfind('/').unwrap_or(0) {
        relative
    } else {
        stem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_original() {
        let template: PrefixTemplate = "/{path}".parse().unwrap();
        for (relative, prefix) in [
            ("controls/scf-2025.3.sqlite.db", "/controls/scf-2025.3"),
            ("a.db", "/a"),
            ("a.sqlite", "/a"),
            ("a.sqlite3", "/a"),
            ("a.sqlite3.db", "/a"),
            ("a.duckdb.db", "/a"),
            ("a.tar.gz.db", "/a.tar.gz"),
            ("two.db.db", "/two.db"),
            ("UPPER.SQLITE.DB", "/UPPER"),
            ("x.SQLite.Db", "/x"),
            ("x/.db", "/x/.db"),
            ("noext", "/noext"),
            ("v1.2/noext", "/v1.2/noext"),
            ("a b/c d.db", "/a b/c d"),
            (".hidden/x.db", "/.hidden/x"),
        ] {
            assert_eq!(template.of("sqlpage", relative), prefix, "{relative}");
        }
    }

    #[test]
    fn the_default_is_the_one_of_the_request() {
        assert_eq!(
            PrefixTemplate::default().of("sqlpage", "apps/dashboard.db"),
            "/apps/sqlpage/apps/dashboard"
        );
    }

    #[test]
    fn a_template_that_tells_no_files_apart_is_refused() {
        assert!("/apps".parse::<PrefixTemplate>().is_err());
    }
}
