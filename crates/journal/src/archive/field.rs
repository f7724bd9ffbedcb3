//! Values as SQLite would store them.

use std::borrow::Cow;

use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;

use super::layout::Affinity;
use super::rows::Cell;

/// A value in a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field<'t> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'t, [u8]>),
}

impl<'t> Field<'t> {
    pub(super) fn text(text: Cow<'t, str>) -> Self {
        Self::Text(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }
}

/// What SQLite makes of values that are not of their column's kind, which is rare: asked of SQLite itself.
pub(super) struct Converter(Connection);

impl Converter {
    pub(super) fn new() -> rusqlite::Result<Self> {
        let db = Connection::open_in_memory()?;
        db.execute_batch("CREATE TABLE converted (id INTEGER PRIMARY KEY, text TEXT, number INTEGER)")?;
        Ok(Self(db))
    }

    /// What a column of that kind stores for a cell.
    pub(super) fn field<'t>(
        &self,
        cell: Cell,
        text: &'t str,
        affinity: Affinity,
    ) -> rusqlite::Result<Field<'t>> {
        Ok(match (cell, affinity) {
            (Cell::Null, _) => Field::Null,
            (Cell::Number(value), Affinity::Integer) => number(value),
            (Cell::Number(value), Affinity::Text) => self.ask("text", SqlValue::Real(value))?,
            (Cell::Bool(value), _) => Field::Integer(i64::from(value)),
            (Cell::Text(_), Affinity::Text) => Field::text(cell.text(text).unwrap_or_default()),
            (Cell::Text(_), Affinity::Integer) => {
                self.ask("number", SqlValue::Text(cell.text(text).unwrap_or_default().into_owned()))?
            }
        })
    }

    /// The text that a key column stores for a cell.
    pub(super) fn key_text<'t>(&self, cell: Cell, text: &'t str) -> rusqlite::Result<Cow<'t, str>> {
        if let Some(key) = cell.text(text) {
            return Ok(key);
        }
        Ok(match self.field(cell, text, Affinity::Text)? {
            Field::Text(key) => String::from_utf8_lossy(&key).into_owned().into(),
            _ => Cow::default(),
        })
    }

    /// What a text column stores for a value that stamps say.
    pub(super) fn fact<'t>(&self, value: &'t SqlValue) -> rusqlite::Result<Field<'t>> {
        match value {
            SqlValue::Text(text) => Ok(Field::text(text.into())),
            SqlValue::Null => Ok(Field::Null),
            other => self.ask("text", other.clone()),
        }
    }

    fn ask(&self, column: &str, value: SqlValue) -> rusqlite::Result<Field<'static>> {
        let sql = format!("INSERT OR REPLACE INTO converted (id, {column}) VALUES (1, ?1)");
        self.0.prepare_cached(&sql)?.execute([value])?;
        let mut read = self.0.prepare_cached(&format!("SELECT {column} FROM converted"))?;
        read.query_row([], |row| {
            Ok(match row.get(0)? {
                SqlValue::Integer(value) => Field::Integer(value),
                SqlValue::Real(value) => Field::Real(value),
                SqlValue::Text(text) => Field::text(text.into()),
                SqlValue::Null | SqlValue::Blob(_) => Field::Null,
            })
        })
    }
}

/// A number in an integer column: whole numbers become integers
/// (<https://sqlite.org/datatype3.html#type_affinity>), but those at the ends of the range.
fn number(value: f64) -> Field<'static> {
    #[expect(clippy::cast_possible_truncation, reason = "compared afterwards")]
    let whole = value as i64;
    #[expect(clippy::cast_precision_loss, reason = "it came from a double")]
    let same = whole as f64 == value;
    if same && whole > i64::MIN && whole < i64::MAX { Field::Integer(whole) } else { Field::Real(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stored_as_sqlite_stores_them() {
        let converter = Converter::new().unwrap();
        let two_to_63 = 9_223_372_036_854_775_808.0;
        let numbers = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            1e15,
            9_007_199_254_740_993.0,
            1e18,
            -1e18,
            two_to_63,
            -two_to_63,
            9_223_372_036_854_774_784.0,
            -9_223_372_036_854_774_784.0,
            1e19,
            1e300,
            5e-324,
            f64::INFINITY,
        ];
        for value in numbers {
            let asked = converter.ask("number", SqlValue::Real(value)).unwrap();
            assert_eq!(number(value), asked, "{value}");
        }
    }
}
