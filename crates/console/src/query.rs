//! Parameters of a query or a form (WHATWG URL, `application/x-www-form-urlencoded`).

use percent_encoding::percent_decode_str;

/// The first value of a parameter.
pub(crate) fn value(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(key, value)| (decoded(key), value))
        .find(|(key, _)| key == name)
        .map(|(_, value)| decoded(value))
}

/// A number between two bounds; `default` if there is none that can be read.
pub(crate) fn number(query: Option<&str>, name: &str, default: u64, bounds: [u64; 2]) -> u64 {
    let [least, most] = bounds;
    value(query, name).and_then(|text| text.parse().ok()).unwrap_or(default).clamp(least, most)
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Some("path=%2Fa+b%2Fc&empty&path=second&n=7&big=99999999999999999999");
        assert_eq!(value(query, "path").as_deref(), Some("/a b/c"));
        assert_eq!(value(query, "empty").as_deref(), Some(""));
        assert_eq!(value(query, "other"), None);
        assert_eq!(number(query, "n", 1, [1, 5]), 5);
        assert_eq!(number(query, "big", 3, [1, 5]), 3);
        assert_eq!(value(None, "path"), None);
    }
}
