//! Where the large tables and their indexes are in a database file.

use rusqlite::Connection;

use super::schema::LARGE;

/// The large tables, in the order of [`LARGE`].
pub(super) struct Layout {
    pub(super) tables: [TableLayout; LARGE.len()],
    /// Pages of the file.
    pub(super) pages: u32,
    /// Indexes of all tables.
    pub(super) indexes: usize,
}

/// A table.
#[derive(Default)]
pub(super) struct TableLayout {
    pub(super) root: u32,
    /// Of its columns, in order.
    pub(super) affinities: Vec<Affinity>,
    pub(super) indexes: Vec<IndexLayout>,
}

/// An index.
pub(super) struct IndexLayout {
    /// Its number among the indexes of all tables.
    pub(super) number: usize,
    pub(super) root: u32,
    /// Numbers of its columns in the table.
    pub(super) columns: Vec<usize>,
    /// Its columns are the primary key.
    pub(super) is_key: bool,
}

/// What a column makes of values. Ours are of two kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Text,
    Integer,
}

impl Layout {
    /// Asks the database.
    pub(super) fn of(db: &Connection) -> rusqlite::Result<Self> {
        let pages = db.query_row("SELECT page_count FROM pragma_page_count", [], |row| row.get(0))?;
        let mut layout = Self { tables: Default::default(), pages, indexes: 0 };
        let mut root = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?1")?;
        let mut types = db.prepare("SELECT type FROM pragma_table_info(?1) ORDER BY cid")?;
        let mut names = db.prepare("SELECT name FROM pragma_index_list(?1)")?;
        let mut columns = db.prepare("SELECT cid FROM pragma_index_info(?1) ORDER BY seqno")?;
        for (table, found) in LARGE.iter().zip(&mut layout.tables) {
            found.root = root.query_row([table.name], |row| row.get(0))?;
            let types = types.query_map([table.name], |row| row.get::<_, String>(0))?;
            for kind in types {
                found.affinities.push(if kind? == "TEXT" { Affinity::Text } else { Affinity::Integer });
            }
            let names = names.query_map([table.name], |row| row.get::<_, String>(0))?;
            for name in names {
                let name = name?;
                let columns = columns.query_map([&name], |row| Ok(row.get::<_, u32>(0)? as usize))?;
                found.indexes.push(IndexLayout {
                    number: layout.indexes,
                    root: root.query_row([&name], |row| row.get(0))?,
                    columns: columns.collect::<rusqlite::Result<_>>()?,
                    is_key: name == table.key_index(),
                });
                layout.indexes += 1;
            }
        }
        Ok(layout)
    }
}
