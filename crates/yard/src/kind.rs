//! Kinds of services, as data: which files they serve, how they are started, when they are ready (specification §3.1, §13).
//!
//! `sqlpage` and `surveilr` are there and on; `datasette`, for ordinary SQLite files, is there and off. `yard.yaml` switches
//! them and adds others. The first kind that matches serves the file, in the order of [`Kinds`]: the user's own, then
//! `surveilr` (its databases hold the table of `sqlpage` too), `sqlpage`, `datasette`.
//!
//! In arguments and variables stand placeholders: `{path}` the absolute path of the file, `{uri_path}` the same for use
//! in a URI, `{host}`, `{port}`, `{address}` (`host:port`, an IPv6 host in brackets), `{prefix}`, `{run}` (a private folder
//! of the service, empty at first, also its working directory). Braces around anything else stay as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::cargo::Content;

/// How a kind of service is found, started and watched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Its name, part of the prefix.
    #[serde(skip)]
    pub name: String,
    /// Whether files are served by it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which files.
    #[serde(rename = "match")]
    pub rule: Rule,
    /// The program, found on `PATH` unless it has a slash.
    pub command: String,
    /// Its arguments, with placeholders.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables on top of the yard's own, with placeholders. Contexts show their values: secrets belong into the `.env` file
    /// beside the data file, whose values are masked.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// When it is ready.
    #[serde(default)]
    pub ready: Ready,
}

/// Which files a kind serves. All conditions that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// A SQLite database with at least one of these tables, whatever their case.
    pub tables: Vec<String>,
    /// Ends of the file name, for example `.duckdb`, whatever their case.
    pub extensions: Vec<String>,
    /// Any readable SQLite database.
    pub sqlite: bool,
}

/// A service is ready when `GET path` answers with a status below 500.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// Path of the request, with placeholders.
    pub path: String,
    /// How long it may take, in seconds.
    pub timeout_seconds: u64,
}

/// The kinds in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(Vec<Kind>);

/// A kind in the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// It would match nothing.
    #[error(
        "yard: kind {0:?} matches nothing; give it match: {{tables: […]}}, {{extensions: […]}} or {{sqlite: true}}"
    )]
    NoRule(String),
    /// The name would not be one segment of a path.
    #[error("yard: kind {0:?}: a name is 1 to 32 letters, digits, '-' or '_'")]
    Name(String),
}

/// What the placeholders stand for.
#[derive(Clone, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) path: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) prefix: &'a str,
    pub(crate) run: &'a str,
}

/// A variable of a kind; one that says where the service is to be found cannot be overridden by a `.env` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) value: String,
    pub(crate) is_fixed: bool,
}

impl Default for Ready {
    fn default() -> Self {
        Self { path: "{prefix}/".to_owned(), timeout_seconds: 15 }
    }
}

impl Ready {
    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self(vec![surveilr(), sqlpage(), datasette()])
    }
}

impl Kinds {
    /// The kinds that are there, with those of the configuration: the ones with a known name are replaced.
    ///
    /// # Errors
    /// See [`KindError`].
    pub fn with(configured: BTreeMap<String, KindSetting>) -> Result<Self, KindError> {
        let mut kinds = Self::default();
        let mut own = Vec::new();
        for (name, setting) in configured {
            let known = kinds.0.iter().position(|kind| kind.name == name);
            match (setting, known.and_then(|index| kinds.0.get_mut(index))) {
                (KindSetting::Switch(switch), Some(kind)) => kind.enabled = switch.enabled,
                (KindSetting::Switch(_), None) => return Err(KindError::NoRule(name)),
                (KindSetting::Whole(kind), Some(slot)) => *slot = checked(name, *kind)?,
                (KindSetting::Whole(kind), None) => own.push(checked(name, *kind)?),
            }
        }
        own.append(&mut kinds.0);
        Ok(Self(own))
    }

    /// The kind that serves a file with this name and content.
    pub fn of(&self, file_name: &str, content: &Content) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.enabled && kind.rule.matches(file_name, content))
    }

    /// All kinds, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }
}

/// A kind in `yard.yaml`: the switch alone, or everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum KindSetting {
    /// `{enabled: true}` for a kind that is there.
    Switch(Switch),
    /// A kind of the user's own, or another description of one that is there.
    Whole(Box<Kind>),
}

/// Switches a kind on or off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Whether files are served by it.
    pub enabled: bool,
}

fn checked(name: String, mut kind: Kind) -> Result<Kind, KindError> {
    let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_');
    if name.is_empty() || name.len() > 32 || !letters {
        return Err(KindError::Name(name));
    }
    if kind.rule == Rule::default() {
        return Err(KindError::NoRule(name));
    }
    kind.name = name;
    Ok(kind)
}

impl Rule {
    fn matches(&self, file_name: &str, content: &Content) -> bool {
        let name = file_name.to_ascii_lowercase();
        let extension = self.extensions.is_empty()
            || self.extensions.iter().any(|end| name.ends_with(&end.to_ascii_lowercase()));
        let content = match content {
            Content::Sqlite { tables } => {
                self.tables.is_empty()
                    || self.tables.iter().any(|table| tables.contains(&table.to_ascii_lowercase()))
            }
            Content::DuckDb | Content::Excel => !self.sqlite && self.tables.is_empty(),
            Content::Trouble(_) => false,
        };
        *self != Self::default() && extension && content
    }
}

impl Kind {
    pub(crate) fn arguments(&self, values: &Values<'_>) -> Vec<String> {
        self.args.iter().map(|argument| values.fill(argument)).collect()
    }

    pub(crate) fn variables(&self, values: &Values<'_>) -> BTreeMap<String, Variable> {
        let variable = |template: &String| Variable {
            value: values.fill(template),
            is_fixed: ["{host}", "{port}", "{address}", "{prefix}", "{run}", "{path}", "{uri_path}"]
                .iter()
                .any(|placeholder| template.contains(placeholder)),
        };
        self.env.iter().map(|(name, template)| (name.clone(), variable(template))).collect()
    }
}

impl Values<'_> {
    /// Fills in the placeholders, in one pass: what is filled in is not looked at again.
    pub(crate) fn fill(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, from)) = split_at_brace(rest) {
            filled.push_str(before);
            let (text, behind) =
                self.placeholder(from).unwrap_or_else(|| ("{".to_owned(), from.get(1..).unwrap_or("")));
            filled.push_str(&text);
            rest = behind;
        }
        filled.push_str(rest);
        filled
    }

    /// The value of the placeholder in front of `text`, and what comes behind it.
    fn placeholder<'t>(&self, text: &'t str) -> Option<(String, &'t str)> {
        let (name, behind) = text.strip_prefix('{')?.split_once('}')?;
        let value = match name {
            "path" => self.path.to_owned(),
            "uri_path" => crate::cargo::percent_encoded(self.path),
            "host" => self.host.to_owned(),
            "port" => self.port.to_string(),
            "address" => crate::ports::address(self.host, self.port),
            "prefix" => self.prefix.trim_end_matches('/').to_owned(),
            "run" => self.run.to_owned(),
            _ => return None,
        };
        Some((value, behind))
    }
}

fn split_at_brace(text: &str) -> Option<(&str, &str)> {
    text.find('{').and_then(|brace| text.split_at_checked(brace))
}

/// Settings come by environment (its only arguments are files and folders), and both the web root and the folder of the
/// configuration are private and empty, or it would hand out every file below its working directory (§13.1, §15, 14).
fn sqlpage() -> Kind {
    let env = [
        ("DATABASE_URL", "sqlite://{uri_path}"),
        ("LISTEN_ON", "{address}"),
        ("SQLPAGE_CONFIGURATION_DIRECTORY", "{run}/config"),
        ("SQLPAGE_ENVIRONMENT", "development"),
        ("SQLPAGE_SITE_PREFIX", "{prefix}"),
        ("SQLPAGE_WEB_ROOT", "{run}/web"),
    ];
    built_in("sqlpage", true, Rule { tables: vec!["sqlpage_files".to_owned()], ..Rule::default() }, &[], &env)
}

fn surveilr() -> Kind {
    let args = ["web-ui", "-d", "{path}", "--port", "{port}", "--host", "{host}"];
    let rule = Rule { tables: vec!["uniform_resource".to_owned()], ..Rule::default() };
    built_in("surveilr", true, rule, &args, &[("SQLPAGE_SITE_PREFIX", "{prefix}")])
}

fn datasette() -> Kind {
    let args =
        ["serve", "{path}", "--host", "{host}", "--port", "{port}", "--setting", "base_url", "{prefix}/"];
    built_in("datasette", false, Rule { sqlite: true, ..Rule::default() }, &args, &[])
}

fn built_in(name: &str, enabled: bool, rule: Rule, args: &[&str], env: &[(&str, &str)]) -> Kind {
    Kind {
        name: name.to_owned(),
        enabled,
        rule,
        command: name.to_owned(),
        args: args.iter().map(|&argument| argument.to_owned()).collect(),
        env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ready: Ready::default(),
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(tables: &[&str]) -> Content {
        Content::Sqlite { tables: tables.iter().map(|&table| table.to_owned()).collect() }
    }

    fn name<'k>(kinds: &'k Kinds, content: &Content) -> Option<&'k str> {
        kinds.of("x.db", content).map(|kind| kind.name.as_str())
    }

    #[test]
    fn surveilr_comes_before_sqlpage_and_ordinary_files_are_not_served() {
        let kinds = Kinds::default();
        assert_eq!(name(&kinds, &sqlite(&["uniform_resource", "sqlpage_files"])), Some("surveilr"));
        assert_eq!(name(&kinds, &sqlite(&["sqlpage_files"])), Some("sqlpage"));
        assert_eq!(name(&kinds, &sqlite(&["other"])), None);
        assert_eq!(name(&kinds, &Content::Excel), None);
        assert_eq!(name(&kinds, &Content::Trouble(crate::cargo::Trouble::Locked)), None);
    }

    #[test]
    fn a_configuration_switches_and_adds_kinds() {
        let yaml = "datasette: {enabled: true}\nduck: {match: {extensions: [.duckdb]}, command: duck, args: ['{port}']}";
        let configured: BTreeMap<String, KindSetting> = serde_saphyr::from_str(yaml).unwrap();
        let kinds = Kinds::with(configured).unwrap();
        assert_eq!(name(&kinds, &sqlite(&["other"])), Some("datasette"));
        assert_eq!(kinds.of("a.duckdb", &Content::DuckDb).map(|kind| kind.name.as_str()), Some("duck"));
    }

    #[test]
    fn a_kind_that_matches_nothing_is_refused() {
        let configured = serde_saphyr::from_str("x: {match: {}, command: x}").unwrap();
        assert!(Kinds::with(configured).unwrap_err().to_string().contains("matches nothing"));
    }

    #[test]
    fn placeholders_are_filled_once_and_other_braces_stay() {
        let values =
            Values { path: "/a/{port}?.db", host: "::1", port: 3000, prefix: "/apps/a", run: "/run" };
        assert_eq!(values.fill("{path}|{uri_path}|{address}"), "/a/{port}?.db|/a/{port}%3f.db|[::1]:3000");
        assert_eq!(values.fill("{prefix}/{x}{"), "/apps/a/{x}{");
    }
}
