//! B-trees, built from the left to the right (<https://sqlite.org/fileformat2.html#b_tree_pages>).
//!
//! Rows or entries come in order, so every page is filled, written once, and never looked at again. In the tree of a table
//! the rows are in the leaves, and the pages above say up to which rowid each leaf goes; in the tree of an index the entries
//! between two leaves stand in the pages above.

use std::io;
use std::mem;

use super::pages::{PAGE_BYTES, Pages};
use super::record::put_varint;

const LEAF_HEADER: usize = 8;
const INTERIOR_HEADER: usize = 12;
/// What remains in the cell of a record that overflows, at least.
const MIN_LOCAL: usize = (PAGE_BYTES - 12) * 32 / 255 - 23;

/// Two kinds of trees.
#[derive(Clone, Copy)]
struct Shape {
    leaf: u8,
    interior: u8,
    /// The longest record that stays in its cell whole.
    max_local: usize,
}

const TABLE: Shape = Shape { leaf: 0x0d, interior: 0x05, max_local: PAGE_BYTES - 35 };
const INDEX: Shape = Shape { leaf: 0x0a, interior: 0x02, max_local: (PAGE_BYTES - 12) * 64 / 255 - 23 };

/// The tree of a table.
pub(super) struct TableTree<'p> {
    tree: Tree<'p>,
    last: u64,
}

impl<'p> TableTree<'p> {
    /// A tree whose root is that page.
    pub(super) const fn new(root: u32, pages: &'p Pages<'p>) -> Self {
        Self { tree: Tree::new(TABLE, root, pages), last: 0 }
    }

    /// Adds a row. Rowids rise.
    pub(super) fn push(&mut self, rowid: u64, record: &[u8]) -> io::Result<()> {
        let mut cell = mem::take(&mut self.tree.cell);
        cell.clear();
        put_varint(&mut cell, record.len() as u64);
        put_varint(&mut cell, rowid);
        self.tree.put_payload(&mut cell, record)?;
        if !self.tree.leaf.fits(LEAF_HEADER, cell.len()) {
            let mut up_to = Vec::new();
            put_varint(&mut up_to, self.last);
            self.tree.end_leaf(up_to)?;
        }
        self.tree.leaf.push(&[&cell]);
        self.tree.cell = cell;
        self.last = rowid;
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.tree.finish()
    }
}

/// The tree of an index.
pub(super) struct IndexTree<'p>(Tree<'p>);

impl<'p> IndexTree<'p> {
    /// A tree whose root is that page.
    pub(super) const fn new(root: u32, pages: &'p Pages<'p>) -> Self {
        Self(Tree::new(INDEX, root, pages))
    }

    /// Adds an entry. They come in the order of the index.
    pub(super) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        let tree = &mut self.0;
        let mut cell = mem::take(&mut tree.cell);
        cell.clear();
        put_varint(&mut cell, record.len() as u64);
        tree.put_payload(&mut cell, record)?;
        if !tree.leaf.fits(LEAF_HEADER, cell.len()) {
            // Not the new one: it would leave an empty leaf behind it if it is the last.
            let between = tree.leaf.pop();
            tree.end_leaf(between)?;
        }
        tree.leaf.push(&[&cell]);
        tree.cell = cell;
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.0.finish()
    }
}

struct Tree<'p> {
    shape: Shape,
    root: u32,
    pages: &'p Pages<'p>,
    leaf: Node,
    /// The pages above that are being filled, the lowest first.
    above: Vec<Node>,
    /// Memory that is used again and again.
    cell: Vec<u8>,
    page: Vec<u8>,
}

impl<'p> Tree<'p> {
    const fn new(shape: Shape, root: u32, pages: &'p Pages<'p>) -> Self {
        Self { shape, root, pages, leaf: Node::new(), above: Vec::new(), cell: Vec::new(), page: Vec::new() }
    }

    /// Appends a record to its cell, what is too much of it to pages of its own.
    fn put_payload(&self, cell: &mut Vec<u8>, record: &[u8]) -> io::Result<()> {
        if record.len() <= self.shape.max_local {
            cell.extend_from_slice(record);
            return Ok(());
        }
        let filling = MIN_LOCAL + (record.len() - MIN_LOCAL) % (PAGE_BYTES - 4);
        let local = if filling <= self.shape.max_local { filling } else { MIN_LOCAL };
        let (here, there) = record.split_at_checked(local).unwrap_or((record, &[]));
        cell.extend_from_slice(here);
        cell.extend_from_slice(&self.pages.append_chain(there)?.to_be_bytes());
        Ok(())
    }

    /// Writes the leaf; `between` goes up and stands between it and the next one.
    fn end_leaf(&mut self, between: Vec<u8>) -> io::Result<()> {
        self.leaf.write(self.shape.leaf, None, &mut self.page);
        self.leaf.clear();
        let (mut child, mut between) = (self.pages.append(&self.page)?, between);
        let mut level = 0;
        loop {
            if self.above.len() == level {
                self.above.push(Node::new());
            }
            let Some(node) = self.above.get_mut(level) else { return Ok(()) };
            if node.fits(INTERIOR_HEADER, 4 + between.len()) {
                node.push(&[&child.to_be_bytes(), &between]);
                return Ok(());
            }
            // The last child of a page has nothing behind it.
            let last = node.pop();
            let (right, up) = last.split_first_chunk().unwrap_or((&[0; 4], &[]));
            node.write(self.shape.interior, Some(*right), &mut self.page);
            node.clear();
            node.push(&[&child.to_be_bytes(), &between]);
            (child, between) = (self.pages.append(&self.page)?, up.to_vec());
            level += 1;
        }
    }

    /// Writes the pages that are not full yet; the uppermost is the root.
    fn finish(mut self) -> io::Result<()> {
        self.leaf.write(self.shape.leaf, None, &mut self.page);
        for node in &self.above {
            let right = self.pages.append(&self.page)?;
            node.write(self.shape.interior, Some(right.to_be_bytes()), &mut self.page);
        }
        self.pages.overwrite(self.root, &self.page)
    }
}

/// The cells of a page.
struct Node {
    cells: Vec<u8>,
    starts: Vec<usize>,
}

impl Node {
    const fn new() -> Self {
        Self { cells: Vec::new(), starts: Vec::new() }
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.starts.clear();
    }

    fn fits(&self, header: usize, cell: usize) -> bool {
        header + 2 * (self.starts.len() + 1) + self.cells.len() + cell <= PAGE_BYTES
    }

    fn push(&mut self, parts: &[&[u8]]) {
        self.starts.push(self.cells.len());
        parts.iter().for_each(|part| self.cells.extend_from_slice(part));
    }

    /// Takes the last cell out.
    fn pop(&mut self) -> Vec<u8> {
        self.cells.split_off(self.starts.pop().unwrap_or(0))
    }

    /// The page: header, where each cell is, nothing, cells.
    fn write(&self, kind: u8, right: Option<[u8; 4]>, page: &mut Vec<u8>) {
        let content = PAGE_BYTES - self.cells.len();
        page.clear();
        page.extend_from_slice(&[kind, 0, 0]);
        page.extend_from_slice(&two_bytes(self.starts.len()));
        page.extend_from_slice(&two_bytes(content));
        page.push(0);
        page.extend_from_slice(right.as_ref().map_or(&[], |right| &right[..]));
        for start in &self.starts {
            page.extend_from_slice(&two_bytes(content + start));
        }
        page.resize(content, 0);
        page.extend_from_slice(&self.cells);
    }
}

const fn two_bytes(value: usize) -> [u8; 2] {
    let [.., high, low] = value.to_be_bytes();
    [high, low]
}
