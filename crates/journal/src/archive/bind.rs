//! Binding rows to statements.
//!
//! A row mostly repeats a part of the row before: source, session, model, project. SQLite keeps what is bound, and copies
//! every text that is bound anew; so a value is only bound where it differs from what the parameter holds.

use std::rc::Rc;

use rusqlite::{Connection, Statement, ToSql};

use super::fold::Folded;
use super::rows::Cell;

/// A statement that is executed for many rows.
pub(super) struct Rows<'c> {
    statement: Statement<'c>,
    /// What the parameters hold, as cells of the present batch; `None` when it is not known.
    cells: Vec<Option<Cell>>,
    /// The facts that the parameters hold.
    facts: Option<Rc<Folded>>,
}

impl<'c> Rows<'c> {
    pub(super) fn prepare(db: &'c Connection, sql: &str) -> rusqlite::Result<Self> {
        let statement = db.prepare(sql)?;
        let cells = vec![None; statement.parameter_count()];
        Ok(Self { statement, cells, facts: None })
    }

    /// A new batch: cells of an earlier one mean nothing any more.
    pub(super) fn forget_cells(&mut self) {
        self.cells.fill(None);
    }

    /// Binds the parameters in their order; cells refer to `text`.
    pub(super) fn row<'r>(&'r mut self, text: &'r str) -> Row<'r, 'c> {
        Row { rows: self, next: 0, text }
    }

    /// Returns how many rows were changed.
    pub(super) fn execute(&mut self) -> rusqlite::Result<usize> {
        self.statement.raw_execute()
    }

    /// Runs a query; `read` gets its first row.
    pub(super) fn query<T>(
        &mut self,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        self.statement.raw_query().next()?.map(read).transpose()
    }
}

/// The parameters of one row.
pub(super) struct Row<'r, 'c> {
    rows: &'r mut Rows<'c>,
    /// Parameters before the next one.
    next: usize,
    text: &'r str,
}

impl Row<'_, '_> {
    pub(super) fn cells(&mut self, cells: &[Cell]) -> rusqlite::Result<()> {
        for cell in cells {
            let known = self.rows.cells.get_mut(self.next);
            self.next += 1;
            if let Some(known) = known {
                if known.is_some_and(|known| known.is_same(*cell, self.text)) {
                    continue;
                }
                *known = Some(*cell);
            }
            self.rows.statement.raw_bind_parameter(self.next, cell.bind(self.text))?;
        }
        Ok(())
    }

    pub(super) fn value(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.next += 1;
        self.rows.statement.raw_bind_parameter(self.next, value)
    }

    /// Binds `workflow_id`, `agent_id`, `persona`, `tier` and `enrichment_json`.
    pub(super) fn facts(&mut self, facts: &Rc<Folded>) -> rusqlite::Result<()> {
        if self.rows.facts.as_ref().is_some_and(|known| Rc::ptr_eq(known, facts)) {
            self.next += facts.columns.len() + 1;
            return Ok(());
        }
        self.rows.facts = Some(Rc::clone(facts));
        for column in &facts.columns {
            self.value(column)?;
        }
        self.value(&facts.json)
    }
}
