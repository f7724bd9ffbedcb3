//! Percent escapes in paths and queries (RFC 3986 §2.1).

/// A text with escapes that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// A percent sign without two hexadecimal digits behind it.
    #[error("invalid URL escape at byte {at}; write %25 for a percent sign")]
    Escape {
        /// Position of the percent sign.
        at: usize,
    },
    /// The bytes are no text.
    #[error("the URL is not UTF-8 at byte {at} of the decoded text")]
    NotUtf8 {
        /// Position in the decoded bytes.
        at: usize,
    },
}

/// One segment of a path.
pub(super) fn decode_segment(text: &str) -> Result<String, Malformed> {
    decode(text, false)
}

/// A name or value of a query, where a plus is a space.
pub(super) fn decode_form(text: &str) -> Result<String, Malformed> {
    decode(text, true)
}

fn decode(text: &str, plus_is_space: bool) -> Result<String, Malformed> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        decoded.push(match byte {
            b'%' => {
                let at = text.len().saturating_sub(rest.len().saturating_add(1));
                let [high, low, behind @ ..] = rest else { return Err(Malformed::Escape { at }) };
                rest = behind;
                let digits = hex(*high).zip(hex(*low)).ok_or(Malformed::Escape { at })?;
                digits.0 << 4 | digits.1
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|error| Malformed::NotUtf8 { at: error.utf8_error().valid_up_to() })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_bad_ones_located() {
        assert_eq!(decode_segment("a%20b+c%2B%e2%82%AC").unwrap(), "a b+c+€");
        assert_eq!(decode_form("a+b%2B").unwrap(), "a b+");
        assert_eq!(decode_segment("").unwrap(), "");
        for (text, at) in [("%", 0), ("ab%4", 2), ("é%4g", 2), ("%-1", 0), ("%%41", 0)] {
            assert_eq!(decode_segment(text), Err(Malformed::Escape { at }), "{text}");
        }
        assert_eq!(decode_segment("ab%ff"), Err(Malformed::NotUtf8 { at: 2 }));
    }
}
