//! From batches to the pages of the tables, and to the keys for the indexes.

use std::io;
use std::rc::Rc;

use super::super::build::Failure;
use super::super::field::{Converter, Field};
use super::super::fold::{Folded, Folder};
use super::super::layout::{Affinity, Layout, TableLayout};
use super::super::load::{Totals, fold};
use super::super::rows::{Batch, CallRow, Cell, TurnRow};
use super::key;
use super::pages::Pages;
use super::record::Record;
use super::sort::Sorters;
use super::tree::TableTree;
use crate::hash::Hash64;

/// Cells of a turn in front of the columns that come from stamps.
const CELLS_BEFORE_FACTS: usize = 24;

/// Turns batches into rows.
pub(super) struct BulkLoader<'c, 'p> {
    tables: Tables<'c, 'p>,
    last_session: String,
    totals: Totals,
}

/// The four large tables, and what their values come from.
struct Tables<'c, 'p> {
    turns: Filling<'p>,
    calls: Filling<'p>,
    events: Filling<'p>,
    compactions: Filling<'p>,
    folder: Folder<'c>,
    sorters: Sorters,
    /// Of turns and calls.
    last_rowid: u64,
}

/// A table that is being filled.
struct Filling<'p> {
    tree: TableTree<'p>,
    layout: &'p TableLayout,
    rows: u64,
    record: Record,
    bytes: Vec<u8>,
}

impl<'c, 'p> BulkLoader<'c, 'p> {
    pub(super) fn new(
        folder: Folder<'c>,
        layout: &'p Layout,
        pages: &'p Pages<'p>,
        sorters: Sorters,
        totals: Totals,
    ) -> Self {
        let [turns, calls, events, compactions] = layout.tables.each_ref().map(|layout| Filling {
            tree: TableTree::new(layout.root, pages),
            layout,
            rows: 0,
            record: Record::default(),
            bytes: Vec::new(),
        });
        let tables = Tables { turns, calls, events, compactions, folder, sorters, last_rowid: 0 };
        Self { tables, last_session: String::new(), totals }
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> Result<(), Failure> {
        let text = batch.text.as_str();
        for turn in &batch.turns {
            let facts = fold(&mut self.tables.folder, turn, text)?;
            self.tables.turn(turn, &facts, text)?;
            let calls = batch.calls.get(turn.calls.clone()).unwrap_or_default();
            for (index, call) in (0_i64..).zip(calls) {
                self.tables.call(turn, index, call, text)?;
            }
            let [_, session, _] = turn.key();
            self.note_session(&self.tables.folder.converter.key_text(session, text)?);
        }
        let Tables { events, compactions, folder, sorters, .. } = &mut self.tables;
        let converter = &folder.converter;
        for cells in &batch.events {
            events.push_cells(cells, text, converter, sorters)?;
        }
        for cells in &batch.compactions {
            compactions.push_cells(cells, text, converter, sorters)?;
        }
        self.totals.add(batch);
        Ok(())
    }

    fn note_session(&mut self, session: &str) {
        if self.last_session != session {
            session.clone_into(&mut self.last_session);
            self.totals.session_ids.insert(Hash64::of(session));
        }
    }

    /// Writes the last pages of the tables, and gives the last keys to be sorted.
    pub(super) fn finish(self) -> io::Result<Totals> {
        let Tables { turns, calls, events, compactions, sorters, .. } = self.tables;
        for table in [turns, calls, events, compactions] {
            table.tree.finish()?;
        }
        sorters.finish()?;
        Ok(self.totals)
    }
}

impl Tables<'_, '_> {
    fn turn(&mut self, turn: &TurnRow, facts: &Rc<Folded>, text: &str) -> Result<(), Failure> {
        let (before, after) = turn.cells.split_at(CELLS_BEFORE_FACTS);
        let mut columns = self.turns.layout.affinities.iter().copied();
        let mut fields = Vec::with_capacity(self.turns.layout.affinities.len());
        for (cell, affinity) in before.iter().zip(&mut columns) {
            fields.push(self.folder.converter.field(*cell, text, affinity)?);
        }
        for fact in &facts.columns {
            fields.push(self.folder.converter.fact(fact)?);
        }
        fields.push(Field::text(facts.json.as_str().into()));
        for (cell, affinity) in after.iter().zip(columns.skip(facts.columns.len() + 1)) {
            fields.push(self.folder.converter.field(*cell, text, affinity)?);
        }
        self.last_rowid += 1;
        Ok(self.turns.push(self.last_rowid, &fields, &mut self.sorters)?)
    }

    fn call(&mut self, turn: &TurnRow, index: i64, call: &CallRow, text: &str) -> Result<(), Failure> {
        let [source, session, message] = turn.key();
        let [use_id, name, target, args, is_error] = call.cells;
        let text_field = |cell| self.folder.converter.field(cell, text, Affinity::Text);
        let whole_field = |cell| self.folder.converter.field(cell, text, Affinity::Integer);
        let fields = [
            text_field(source)?,
            text_field(session)?,
            text_field(message)?,
            Field::Integer(index),
            text_field(use_id)?,
            text_field(name)?,
            text_field(target)?,
            text_field(args)?,
            whole_field(is_error)?,
            call.replaced_tools.as_deref().map_or(Field::Null, |tools| Field::text(tools.into())),
            whole_field(call.collapsed_calls)?,
        ];
        self.last_rowid += 1;
        Ok(self.calls.push(self.last_rowid, &fields, &mut self.sorters)?)
    }
}

impl Filling<'_> {
    /// A row whose cells are its columns.
    fn push_cells(
        &mut self,
        cells: &[Cell],
        text: &str,
        converter: &Converter,
        sorters: &mut Sorters,
    ) -> Result<(), Failure> {
        let fields = cells.iter().zip(&self.layout.affinities);
        let fields = fields.map(|(cell, affinity)| converter.field(*cell, text, *affinity));
        let fields = fields.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(self.push(self.rows + 1, &fields, sorters)?)
    }

    fn push(&mut self, rowid: u64, fields: &[Field<'_>], sorters: &mut Sorters) -> io::Result<()> {
        self.rows += 1;
        self.record.clear();
        fields.iter().for_each(|field| self.record.push(field));
        self.bytes.clear();
        self.record.write(&mut self.bytes);
        self.tree.push(rowid, &self.bytes)?;
        for index in &self.layout.indexes {
            sorters.add(index.number, |out| {
                index.columns.iter().filter_map(|column| fields.get(*column)).for_each(|f| key::put(out, f));
                key::put_rowid(out, rowid);
            })?;
        }
        Ok(())
    }
}
