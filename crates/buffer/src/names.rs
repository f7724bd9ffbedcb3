//! Names of files (hole H8): which names in the folder are ours, and in which order they are sent.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// Sub-folder that damaged files are moved to instead of being deleted.
pub(crate) const QUARANTINE: &str = "quarantine";
/// Sub-folder of the delivery ids.
pub(crate) const SENDING: &str = "sending";
/// Extension of the older store's finished files.
const LEGACY_EXTENSION: &str = "temp";
/// Most bytes of a file name on every common file system.
const MAX_NAME_BYTES: usize = 255;
/// Bytes that a name needs beside the base: ten digits, a dash, and the suffix of a quarantined file.
const RESERVED_NAME_BYTES: usize = 32;

/// A file of the store. The order of the variants, and of the indices in them, is the order in which files are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FileName {
    /// A ready-made batch of `transientdb`'s directory store.
    Legacy(u32),
    /// A file of records.
    Data(u32),
}

impl FileName {
    pub(crate) fn index(self) -> u32 {
        match self {
            Self::Legacy(index) | Self::Data(index) => index,
        }
    }
}

/// How the files of one store are called.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    base: String,
    /// What stands behind the index in the names of the older store, dash included.
    legacy_suffix: String,
}

impl Names {
    /// # Errors
    /// [`OpenError::BaseFilename`] if files cannot be called like this.
    pub(crate) fn new(base: &str) -> Result<Self, OpenError> {
        let refuse = |reason| Err(OpenError::BaseFilename { name: base.to_owned(), reason });
        if base.is_empty() {
            return refuse("it is empty");
        }
        if base.contains(['/', '\\', '\0']) {
            return refuse("it contains a slash, a backslash or a zero byte");
        }
        if base.len() > MAX_NAME_BYTES.saturating_sub(RESERVED_NAME_BYTES) {
            return refuse("it is longer than 223 bytes");
        }
        let path = Path::new(base);
        if path.extension() == Some(OsStr::new(LEGACY_EXTENSION)) {
            return refuse("files ending in .temp are those of the older directory store");
        }
        // The older store replaces the extension of `0-events` or `0-events.json`.
        let legacy = PathBuf::from(format!("-{base}")).with_extension(LEGACY_EXTENSION);
        Ok(Self { base: base.to_owned(), legacy_suffix: legacy.to_string_lossy().into_owned() })
    }

    /// Which file of the store a name stands for, if any.
    pub(crate) fn parse(&self, name: &OsStr) -> Option<FileName> {
        let (digits, rest) = name.to_str()?.split_once('-')?;
        let index = parse_index(digits)?;
        if rest == self.base {
            return Some(FileName::Data(index));
        }
        let legacy = self.legacy_suffix.strip_prefix('-') == Some(rest);
        legacy.then_some(FileName::Legacy(index))
    }

    /// The name, relative to the folder.
    pub(crate) fn path(&self, name: FileName) -> PathBuf {
        match name {
            FileName::Data(index) => format!("{index}-{}", self.base).into(),
            FileName::Legacy(index) => format!("{index}{}", self.legacy_suffix).into(),
        }
    }

    /// Whether a name in the quarantine was given by a store of this base name.
    pub(crate) fn is_quarantined(&self, name: &OsStr) -> bool {
        let Some(text) = name.to_str() else { return false };
        if self.parse(name).is_some() {
            return true;
        }
        let Some((stem, count)) = text.rsplit_once('.') else { return false };
        parse_index(count).is_some() && self.parse(OsStr::new(stem)).is_some()
    }
}

/// A canonical decimal `u32`: no sign, no leading zero.
fn parse_index(digits: &str) -> Option<u32> {
    let canonical = digits == "0" || !digits.starts_with('0');
    if canonical && digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<FileName> {
        Names::new("events").unwrap().parse(OsStr::new(name))
    }

    #[test]
    fn only_a_canonical_index_and_the_exact_base_name_count() {
        assert_eq!(parse("0-events"), Some(FileName::Data(0)));
        assert_eq!(parse("4294967295-events"), Some(FileName::Data(u32::MAX)));
        assert_eq!(parse("7-events.temp"), Some(FileName::Legacy(7)));
        for other in [
            "00-events",
            "01-events",
            "+1-events",
            "-1-events",
            "1-events.bak",
            "4294967296-events",
            "1-Events",
            "1-events-",
            "-events",
            "events",
            "1",
            "1--events",
            " 1-events",
            "1-other",
            "07-events.temp",
            "",
        ] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn files_of_the_older_store_sort_before_ours_and_both_by_number() {
        let mut names = [FileName::Data(10), FileName::Legacy(11), FileName::Data(9), FileName::Legacy(2)];
        names.sort();
        assert_eq!(names, [FileName::Legacy(2), FileName::Legacy(11), FileName::Data(9), FileName::Data(10)]);
    }

    #[test]
    fn the_older_store_replaces_an_extension() {
        let names = Names::new("events.json").unwrap();
        assert_eq!(names.parse(OsStr::new("3-events.temp")), Some(FileName::Legacy(3)));
        assert_eq!(names.path(FileName::Legacy(3)), Path::new("3-events.temp"));
        assert_eq!(names.parse(OsStr::new("3-events.json.temp")), None);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for base in ["", "a/b", "../x/", "a\0b", "events.temp", &"x".repeat(224)] {
            assert!(Names::new(base).is_err(), "{base:?}");
        }
        Names::new(&"x".repeat(223)).unwrap();
        Names::new("..").unwrap();
    }
}
