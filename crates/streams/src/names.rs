//! Names of stores.

use std::fmt;
use std::str::FromStr;

use crate::InvalidStoreName;

/// The store that is used when none is named.
pub const DEFAULT_STORE_NAME: &str = "ledger_entries";

/// A checked name of a store, that is of a table or collection: letters, digits and `_`, not starting with a digit
/// (specification §1.2), at most [`StoreName::MAX_BYTES`] long.
///
/// Reserved words of a database (`order`, `group`) are fine: backends quote.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreName(String);

impl StoreName {
    /// Longest name, in bytes: the tables and indexes of a store derive their names from it, and PostgreSQL cuts
    /// names at 63.
    pub const MAX_BYTES: usize = 45;

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidStoreName`], which says what is wrong.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidStoreName> {
        let name = name.into();
        match Self::broken_rule(&name) {
            None => Ok(Self(name)),
            Some(reason) => {
                Err(InvalidStoreName { name: name.chars().take(Self::MAX_BYTES).collect(), reason })
            }
        }
    }

    fn broken_rule(name: &str) -> Option<&'static str> {
        let mut characters = name.chars();
        let is_first = |first: char| first.is_ascii_alphabetic() || first == '_';
        let is_other = |other: char| other.is_ascii_alphanumeric() || other == '_';
        if name.is_empty() {
            Some("it is empty")
        } else if name.len() > Self::MAX_BYTES {
            Some("it is longer than 45 bytes")
        } else if !characters.next().is_some_and(is_first) {
            Some("it must start with a letter or _")
        } else if !characters.all(is_other) {
            Some("only letters, digits and _ are allowed")
        } else {
            None
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StoreName {
    fn default() -> Self {
        Self(DEFAULT_STORE_NAME.to_owned())
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for StoreName {
    type Err = InvalidStoreName;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_follow_the_rule_of_the_request() {
        for good in ["ledger_entries", "my_table", "_private", "T1", "order"] {
            assert_eq!(StoreName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "1a", "a b", "a-b", "a\"b", "a.b", "a\n", "ä", "a\0"] {
            assert!(StoreName::new(bad).is_err(), "{bad:?}");
        }
        assert!(StoreName::new("a".repeat(45)).is_ok());
        assert_eq!(StoreName::new("a".repeat(10_000)).unwrap_err().name.len(), 45);
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_needs_no_quoting(name in "\\PC{0,50}") {
            if let Ok(name) = StoreName::new(name) {
                prop_assert!(!name.as_str().is_empty());
                prop_assert!(name.as_str().bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()));
            }
        }
    }
}
