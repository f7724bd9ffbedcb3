//! User configuration: how much content is kept, and for how long (specification §1.4).

use std::ffi::OsString;
use std::path::Path;

use ledger_fs::read_all;

use crate::home::{CONFIG, Home};
use crate::json::{Object, Value, parse, trim};

/// What is kept of conversations. The ingest layer obeys it; this crate stores whatever it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentStore {
    /// Everything.
    #[default]
    Full,
    /// Hashes only.
    HashOnly,
    /// Nothing.
    Off,
}

impl ContentStore {
    fn parse(text: &str) -> Option<Self> {
        match text.to_lowercase().as_str() {
            "full" => Some(Self::Full),
            "hash-only" => Some(Self::HashOnly),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// How long content is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retention {
    /// So many days; fractions count.
    Days(f64),
    /// Without limit.
    Forever,
}

impl Retention {
    /// Reads `forever` or a number as JavaScript reads one; a negative number means for ever. `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = trim(text).to_lowercase();
        match text.as_str() {
            "" => None,
            "forever" => Some(Self::Forever),
            number => Self::from_number(js_number(number)?),
        }
    }

    fn from_number(days: f64) -> Option<Self> {
        if !days.is_finite() {
            return None;
        }
        Some(if days < 0.0 { Self::Forever } else { Self::Days(days) })
    }

    /// The age in milliseconds from which on content may go; `None` without limit.
    pub fn millis(self) -> Option<f64> {
        match self {
            Self::Days(days) => Some(days * 86_400_000.0),
            Self::Forever => None,
        }
    }
}

fn js_number(text: &str) -> Option<f64> {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u32::from_str_radix(digits, radix).ok().map(f64::from);
        }
    }
    // Rust also takes words such as `inf`, which JavaScript writes otherwise; none of them is finite anyway.
    text.parse().ok()
}

/// The effective configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// `content.store`
    pub store: ContentStore,
    /// `content.retentionDays`
    pub retention: Retention,
}

impl Config {
    /// Environment over `config.json` over the defaults (`full`, 90 days). What does not make sense is passed over;
    /// `warn` gets a line about a file that cannot be used.
    pub fn load(home: &Home, warn: &mut dyn FnMut(String)) -> Self {
        Self::load_with(home, |name| std::env::var_os(name), warn)
    }

    pub(crate) fn load_with(
        home: &Home,
        var: impl Fn(&str) -> Option<OsString>,
        warn: &mut dyn FnMut(String),
    ) -> Self {
        let var = |name| var(name).and_then(|value| value.into_string().ok());
        let text = read_file(home, warn).unwrap_or_default();
        let content = content_object(&text, &home.join(CONFIG), warn);
        let member = |name| content.and_then(|content| content.get(name));
        let store = var("RELAYBURN_CONTENT_STORE")
            .and_then(|text| ContentStore::parse(&text))
            .or_else(|| ContentStore::parse(&member("store")?.as_str()?.decode()));
        let retention =
            var("RELAYBURN_CONTENT_TTL_DAYS").and_then(|text| Retention::parse(&text)).or_else(|| {
                match member("retentionDays")? {
                    Value::Number(days) => Retention::from_number(days),
                    Value::String(text) => Retention::parse(&text.decode()),
                    _ => None,
                }
            });
        Self { store: store.unwrap_or_default(), retention: retention.unwrap_or(Retention::Days(90.0)) }
    }
}

fn read_file(home: &Home, warn: &mut dyn FnMut(String)) -> Option<String> {
    const MAX_BYTES: usize = 1 << 20;
    let dir = home.existing().ok()??;
    match read_all(&*dir, Path::new(CONFIG), MAX_BYTES) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            warn(format!("[burn] warning: could not read {}: {error}", home.join(CONFIG).display()));
            None
        }
    }
}

fn content_object<'a>(text: &'a str, path: &Path, warn: &mut dyn FnMut(String)) -> Option<Object<'a>> {
    if text.is_empty() {
        return None;
    }
    match parse(text) {
        Ok(Value::Object(config)) => config.get("content")?.as_object(),
        Ok(Value::Array(_)) => None,
        Ok(_) => {
            warn(format!("[burn] warning: {} is not a JSON object; using defaults", path.display()));
            None
        }
        Err(error) => {
            warn(format!("[burn] warning: invalid JSON in {} ({error}); using defaults", path.display()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&str>, vars: &[(&str, &str)]) -> (Config, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = file {
            std::fs::write(folder.path().join(CONFIG), text).unwrap();
        }
        let mut warnings = Vec::new();
        let var =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let config = Config::load_with(&Home::at(folder.path()), var, &mut |line| warnings.push(line));
        (config, warnings)
    }

    const DEFAULT: Config = Config { store: ContentStore::Full, retention: Retention::Days(90.0) };

    #[test]
    fn defaults_hold_without_a_file() {
        assert_eq!(load(None, &[]), (DEFAULT, vec![]));
    }

    #[test]
    fn the_file_is_used_and_the_environment_comes_first() {
        let file = r#"{"content":{"store":"hash-only","retentionDays":30}}"#;
        let (config, _) = load(Some(file), &[]);
        assert_eq!(config, Config { store: ContentStore::HashOnly, retention: Retention::Days(30.0) });
        let (config, _) = load(Some(file), &[("RELAYBURN_CONTENT_STORE", "OFF")]);
        assert_eq!(config.store, ContentStore::Off);
        for (text, expected) in [
            ("forever", Retention::Forever),
            ("-1", Retention::Forever),
            ("", Retention::Days(30.0)),
            ("  ", Retention::Days(30.0)),
            ("1e2", Retention::Days(100.0)),
            ("0x10", Retention::Days(16.0)),
        ] {
            let (config, _) = load(Some(file), &[("RELAYBURN_CONTENT_TTL_DAYS", text)]);
            assert_eq!(config.retention, expected, "{text:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        assert_eq!(load(None, &[("RELAYBURN_CONTENT_STORE", "everything")]), (DEFAULT, vec![]));
        let (config, warnings) = load(Some("{nonsense"), &[]);
        assert_eq!(config, DEFAULT);
        assert!(
            warnings[0].contains("invalid JSON in") && warnings[0].ends_with("using defaults"),
            "{warnings:?}"
        );
        let (_, warnings) = load(Some("7"), &[]);
        assert!(warnings[0].ends_with("is not a JSON object; using defaults"), "{warnings:?}");
        assert_eq!(load(Some("[]"), &[]), (DEFAULT, vec![]));
    }
}
