//! Texts from the wire where an error wants a static one.
//!
//! The errors of `ledger-streams` name inputs and operations by static texts, of which a program has a few dozen. A
//! client gets them as strings and keeps one copy of each for ever, up to a bound that no honest daemon reaches.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Most texts that are kept.
const MAX_TEXTS: usize = 256;
/// Longest text that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 256;

static TEXTS: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);

/// The static text equal to this one, or `otherwise` if that would pass the bounds.
pub(crate) fn fixed_text(text: &str, otherwise: &'static str) -> &'static str {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = texts.get(text) {
        return known;
    }
    if text.len() > MAX_TEXT_BYTES || texts.len() >= MAX_TEXTS {
        return otherwise;
    }
    let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
    texts.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT_BYTES, MAX_TEXTS, fixed_text};

    /// One test, because the texts are shared by the process.
    #[test]
    fn texts_are_kept_once_and_within_bounds() {
        let first = fixed_text("stream name", "other");
        assert_eq!(first, "stream name");
        assert!(std::ptr::eq(first, fixed_text(&String::from("stream name"), "other")));
        assert_eq!(fixed_text(&"x".repeat(MAX_TEXT_BYTES + 1), "other"), "other");
        let kept = (0..2 * MAX_TEXTS).filter(|n| fixed_text(&n.to_string(), "other") != "other").count();
        assert!(kept < MAX_TEXTS, "{kept}");
        assert_eq!(fixed_text("stream name", "other"), "stream name");
    }
}
