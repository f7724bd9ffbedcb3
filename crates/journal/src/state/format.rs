//! Numbers and sizes as text.

/// With commas between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in its unit; below 1024 in `small`, which is `B` or `bytes`.
pub(super) fn size(bytes: u64, small: &str) -> String {
    if bytes < 1024 {
        return format!("{bytes} {small}");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "KB";
    for next in ["MB", "GB", "TB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// The number with its noun, plural unless it is exactly one.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_look_like_those_of_the_original() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(4556), grouped(1_234_567)],
            ["0", "999", "4,556", "1,234,567"]
        );
        assert_eq!([size(0, "B"), size(137, "bytes"), size(1561, "B")], ["0 B", "137 bytes", "1.52 KB"]);
        assert_eq!(
            [size(230_686, "B"), size(294_912, "B"), size(45_000, "B")],
            ["225 KB", "288 KB", "43.9 KB"]
        );
        assert_eq!(size(3 << 40, "B"), "3.00 TB");
    }
}
