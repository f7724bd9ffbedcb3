//! Records: the values of a row, or of an entry of an index (<https://sqlite.org/fileformat2.html#record_format>).
//!
//! ```text
//! 04 0f 08 01   07   61   ←  'a', 0, 7: length of the header, three types; the text and one byte for 7, none for 0
//! ```

use super::super::field::Field;

/// A record that is being put together.
#[derive(Default)]
pub(super) struct Record {
    types: Vec<u8>,
    body: Vec<u8>,
}

impl Record {
    pub(super) fn clear(&mut self) {
        self.types.clear();
        self.body.clear();
    }

    /// Adds a value.
    pub(super) fn push(&mut self, field: &Field<'_>) {
        match field {
            Field::Null => self.types.push(0),
            Field::Integer(value) => self.integer(*value),
            Field::Real(value) => {
                self.types.push(7);
                self.body.extend_from_slice(&value.to_be_bytes());
            }
            Field::Text(text) => {
                put_varint(&mut self.types, 13 + 2 * text.len() as u64);
                self.body.extend_from_slice(text);
            }
        }
    }

    fn integer(&mut self, value: i64) {
        let magnitude = if value < 0 { !value } else { value };
        let bits_with_sign = 65 - magnitude.leading_zeros();
        let (kind, bytes) = match value {
            0 => (8, 0),
            1 => (9, 0),
            _ => match bits_with_sign {
                0..=8 => (1, 1),
                9..=16 => (2, 2),
                17..=24 => (3, 3),
                25..=32 => (4, 4),
                33..=48 => (5, 6),
                _ => (6, 8),
            },
        };
        self.types.push(kind);
        self.body.extend_from_slice(value.to_be_bytes().get(8 - bytes..).unwrap_or_default());
    }

    /// Appends the record.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // The length of the header counts itself.
        let rest = self.types.len() as u64;
        put_varint(out, if rest < 127 { rest + 1 } else { rest + 2 });
        out.extend_from_slice(&self.types);
        out.extend_from_slice(&self.body);
    }
}

/// Appends a number of at most 56 bits as a varint: lengths and rowids, which count what is there, are far smaller.
pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    let groups = (64 - (value | 1).leading_zeros()).div_ceil(7);
    for group in (0..groups).rev() {
        let bits = (value >> (7 * group)).to_le_bytes()[0] & 0x7f;
        out.push(if group == 0 { bits } else { bits | 0x80 });
    }
}
