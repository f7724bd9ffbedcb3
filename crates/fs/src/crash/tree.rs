//! Files and folders in memory, and the changes that lead from one state to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::SystemTime;

/// Identity of a file or folder inside the model; never used twice (the inode number that programs see is).
pub(super) type NodeId = u64;

pub(super) const ROOT: NodeId = 0;

/// What can be cloned cheaply: contents are shared until one side changes.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<NodeId, Node>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The number that programs see.
    pub(super) inode: u64,
    pub(super) modified: SystemTime,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    File(Arc<Vec<u8>>),
    Dir(Arc<BTreeMap<OsString, NodeId>>),
}

/// A change of the state, after all names were resolved.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Names in folders change what they stand for: all of these or none.
    Entries(Vec<Slot>),
    Write {
        node: NodeId,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    SetLen {
        node: NodeId,
        len: usize,
    },
}

/// One name of one folder, and what it stands for afterwards.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) dir: NodeId,
    pub(super) name: OsString,
    pub(super) now: Option<NodeId>,
    /// The node is new with this change, with this inode number.
    pub(super) created: Option<(bool, u64)>,
}

impl Slot {
    pub(super) fn same_name(&self, other: &Self) -> bool {
        self.dir == other.dir && self.name == other.name
    }
}

impl Node {
    pub(super) fn new(is_dir: bool, inode: u64) -> Self {
        let body = if is_dir { Body::Dir(Arc::default()) } else { Body::File(Arc::default()) };
        Self { inode, modified: SystemTime::now(), body }
    }

    pub(super) fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir(_))
    }

    pub(super) fn len(&self) -> usize {
        match &self.body {
            Body::File(content) => content.len(),
            Body::Dir(entries) => entries.len(),
        }
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::new(true, 1))]) }
    }

    pub(super) fn content(&self, node: NodeId) -> Option<&Arc<Vec<u8>>> {
        match &self.nodes.get(&node)?.body {
            Body::File(content) => Some(content),
            Body::Dir(_) => None,
        }
    }

    pub(super) fn entries(&self, node: NodeId) -> Option<&Arc<BTreeMap<OsString, NodeId>>> {
        match &self.nodes.get(&node)?.body {
            Body::Dir(entries) => Some(entries),
            Body::File(_) => None,
        }
    }

    /// The node that `path` leads to.
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for part in path.components() {
            if let Component::Normal(name) = part {
                let entries = self.entries(node).ok_or(io::ErrorKind::NotADirectory)?;
                node = *entries.get(name).ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(node)
    }

    /// The folder that holds the last name of `path`, and that name.
    pub(super) fn find_slot<'p>(&self, path: &'p Path) -> io::Result<(NodeId, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.entries(dir).ok_or(io::ErrorKind::NotADirectory)?;
        Ok((dir, name))
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Entries(slots) => {
                self.add_nodes(change);
                slots.iter().for_each(|slot| self.set_slot(slot));
            }
            Change::Write { node, offset, bytes } => self.write(*node, *offset, bytes),
            Change::SetLen { node, len } => self.set_len(*node, *len),
        }
    }

    /// The files and folders that `change` creates, without their names.
    pub(super) fn add_nodes(&mut self, change: &Change) {
        if let Change::Entries(slots) = change {
            for slot in slots {
                if let (Some(node), Some((is_dir, inode))) = (slot.now, slot.created) {
                    self.nodes.entry(node).or_insert_with(|| Node::new(is_dir, inode));
                }
            }
        }
    }

    fn set_slot(&mut self, slot: &Slot) {
        if let Some(Node { body: Body::Dir(entries), modified, .. }) = self.nodes.get_mut(&slot.dir) {
            *modified = SystemTime::now();
            match slot.now {
                Some(node) => Arc::make_mut(entries).insert(slot.name.clone(), node),
                None => Arc::make_mut(entries).remove(&slot.name),
            };
        }
    }

    fn file(&mut self, node: NodeId) -> Option<&mut Vec<u8>> {
        match self.nodes.get_mut(&node)? {
            Node { body: Body::File(content), modified, .. } => {
                *modified = SystemTime::now();
                Some(Arc::make_mut(content))
            }
            Node { body: Body::Dir(_), .. } => None,
        }
    }

    /// Bytes at an offset; a gap before them is filled with zeros.
    pub(super) fn write(&mut self, node: NodeId, offset: usize, bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len());
        if bytes.is_empty() {
            return;
        }
        if let Some(content) = self.file(node) {
            if content.len() < end {
                content.resize(end, 0);
            }
            if let Some(target) = content.get_mut(offset..end) {
                target.copy_from_slice(bytes);
            }
        }
    }

    pub(super) fn set_len(&mut self, node: NodeId, len: usize) {
        if let Some(content) = self.file(node) {
            content.resize(len, 0);
        }
    }

    /// Zeros up to `len`, where the file is shorter.
    pub(super) fn extend(&mut self, node: NodeId, len: usize) {
        if self.content(node).is_some_and(|content| content.len() < len) {
            self.set_len(node, len);
        }
    }

    /// The nodes to which a name leads.
    pub(super) fn named(&self) -> BTreeSet<NodeId> {
        let folders = self.nodes.values().filter_map(|node| match &node.body {
            Body::Dir(entries) => Some(entries),
            Body::File(_) => None,
        });
        folders.flat_map(|entries| entries.values().copied()).collect()
    }

    /// Without the nodes to which no name leads.
    pub(super) fn reachable(&self) -> Self {
        let mut found = Self { nodes: BTreeMap::new() };
        let mut waiting = vec![ROOT];
        while let Some(id) = waiting.pop() {
            if let Some(node) = self.nodes.get(&id)
                && found.nodes.insert(id, node.clone()).is_none()
                && let Body::Dir(entries) = &node.body
            {
                waiting.extend(entries.values());
            }
        }
        found
    }

    /// Equal for equal names with equal contents: identities and times do not count.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_node(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_node(&self, id: NodeId, hasher: &mut DefaultHasher) {
        match self.nodes.get(&id).map(|node| &node.body) {
            Some(Body::File(content)) => content.hash(hasher),
            Some(Body::Dir(entries)) => {
                entries.len().hash(hasher);
                for (name, node) in entries.iter() {
                    name.hash(hasher);
                    self.hash_node(*node, hasher);
                }
            }
            None => {}
        }
    }
}
