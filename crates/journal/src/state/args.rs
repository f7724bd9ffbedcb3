//! The original's reading of the command line.

use std::collections::BTreeMap;

/// Words and options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Args {
    words: Vec<String>,
    /// A switch has no value.
    options: BTreeMap<String, Option<String>>,
}

impl Args {
    pub(super) fn parse(arguments: &[String]) -> Self {
        let mut args = Self::default();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                args.words.extend(rest.cloned());
                break;
            }
            let Some(option) = argument.strip_prefix("--") else {
                args.words.push(argument.clone());
                continue;
            };
            if let Some((name, value)) = option.split_once('=') {
                args.options.insert(name.to_owned(), Some(value.to_owned()));
            } else {
                let value = rest.next_if(|next| !next.starts_with('-'));
                args.options.insert(option.to_owned(), value.cloned());
            }
        }
        args
    }

    pub(super) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(String::as_str)
    }

    /// Whether a switch is set: it is not when it has swallowed the next word as its value.
    pub(super) fn switch(&self, name: &str) -> bool {
        self.options.get(name) == Some(&None)
    }

    /// An option: `None` when it is not there, `Some(None)` without a value.
    pub(super) fn option(&self, name: &str) -> Option<Option<&str>> {
        self.options.get(name).map(Option::as_deref)
    }

    pub(super) fn wants_help(&self) -> bool {
        self.options.contains_key("help") || self.words.iter().any(|word| word == "help" || word == "-h")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Args {
        Args::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_as_the_original_reads_them() {
        assert!(parse(&["status", "--json"]).switch("json"));
        assert!(parse(&["rebuild", "archive", "--full", "--json"]).switch("full"));
        let swallowed = parse(&["--json", "status"]);
        assert!(!swallowed.switch("json") && swallowed.word(0).is_none());
        assert_eq!(parse(&["prune", "--days=-1"]).option("days"), Some(Some("-1")));
        assert_eq!(parse(&["prune", "--days", "7"]).option("days"), Some(Some("7")));
        assert_eq!(parse(&["--", "--json"]).word(0), Some("--json"));
    }
}
