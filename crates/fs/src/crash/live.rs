//! The file system as programs see it: names, open files, locks, and the log of everything that was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::disk::Effect;
use super::fault::{Fault, Operation, OperationKind, Plan};
use super::tree::{Body, Change, Node, NodeId, Slot, Tree};
use crate::error::FileError;

#[derive(Debug)]
pub(super) struct Live {
    /// The state in the beginning, all of it safe.
    pub(super) start: Tree,
    pub(super) tree: Tree,
    pub(super) log: Vec<Logged>,
    pub(super) plan: Plan,
    next_node: NodeId,
    next_handle: u64,
    /// How often each file is open.
    open: BTreeMap<NodeId, usize>,
    /// Which handle holds the lock of each file.
    locks: BTreeMap<NodeId, u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) operation: Operation,
    /// What it may leave on the disk, if anything.
    pub(super) effect: Option<Effect>,
}

/// What the inside of an operation returns.
type Outcome<T> = io::Result<(T, Option<Effect>)>;

impl Live {
    pub(super) fn new(mut tree: Tree) -> Self {
        let mut used = BTreeSet::new();
        for node in tree.nodes.values_mut() {
            // A file whose removal was lost may meet one that was given its number since.
            while !used.insert(node.inode) {
                node.inode = used.last().copied().unwrap_or(0) + 1;
            }
        }
        Self {
            next_node: tree.nodes.keys().last().copied().unwrap_or(0) + 1,
            start: tree.clone(),
            tree,
            log: Vec::new(),
            plan: Plan::default(),
            next_handle: 0,
            open: BTreeMap::new(),
            locks: BTreeMap::new(),
        }
    }

    /// Runs one operation, or lets it fail as planned, and logs it.
    pub(super) fn operate<T>(
        &mut self,
        kind: OperationKind,
        words: &'static str,
        path: &Path,
        inside: impl FnOnce(&mut Self, Option<Fault>) -> Outcome<T>,
    ) -> io::Result<T> {
        let operation = Operation { number: self.log.len(), kind, path: path.to_owned() };
        let fault = self.plan.fault(operation.number, kind, path);
        let outcome = match fault.and_then(Fault::error) {
            // The kernel forgets what was to be synced.
            Some(error) if fault == Some(Fault::FailedSync) => {
                (Err(error), inside(self, fault).ok().and_then(|(_, effect)| effect))
            }
            Some(error) => (Err(error), None),
            None => match inside(self, fault) {
                Ok((value, effect)) => (Ok(value), effect),
                Err(error) => (Err(error), None),
            },
        };
        let (result, effect) = outcome;
        if let Some(Effect::Change(change)) = &effect {
            self.tree.apply(change);
            self.forget_unreachable(change);
        }
        self.log.push(Logged { operation, effect });
        result.map_err(|error| FileError::wrap(words, path, error))
    }

    /// The change that creates a file or folder; its number is the lowest that is free, as file systems do.
    pub(super) fn creation(&mut self, path: &Path, is_dir: bool) -> io::Result<(NodeId, Change)> {
        let (dir, name) = self.tree.find_slot(path)?;
        let used: BTreeSet<u64> = self.tree.nodes.values().map(|node| node.inode).collect();
        let inode = (2..).find(|inode| !used.contains(inode)).unwrap_or(u64::MAX);
        let node = self.next_node;
        self.next_node += 1;
        let created = Some((is_dir, inode));
        Ok((node, Change::Entries(vec![Slot { dir, name: name.to_owned(), now: Some(node), created }])))
    }

    pub(super) fn slot(&self, path: &Path, now: Option<NodeId>) -> io::Result<Slot> {
        let (dir, name) = self.tree.find_slot(path)?;
        Ok(Slot { dir, name: name.to_owned(), now, created: None })
    }

    pub(super) fn node(&self, id: NodeId) -> io::Result<&Node> {
        self.tree.nodes.get(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.tree.find(path)?;
        if self.node(node)?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(node) }
    }

    pub(super) fn folder(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.tree.find(path)?;
        if self.node(node)?.is_dir() { Ok(node) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Whether a rename would be refused, by the rules of `rename(2)`; `false` when both names are the same file and
    /// nothing happens.
    pub(super) fn may_rename(&self, from: &Path, to: &Path) -> io::Result<bool> {
        let source = self.tree.find(from)?;
        self.tree.find_slot(to)?;
        let source_is_dir = self.node(source)?.is_dir();
        if source_is_dir && from != to && to.starts_with(from) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Ok(target) = self.tree.find(to) else { return Ok(true) };
        match (source_is_dir, &self.node(target)?.body) {
            _ if source == target => Ok(false),
            (true, Body::Dir(entries)) if !entries.is_empty() => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            (true, Body::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            (false, Body::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            (true, Body::Dir(_)) | (false, Body::File(_)) => Ok(true),
        }
    }

    pub(super) fn new_handle(&mut self, node: NodeId) -> u64 {
        *self.open.entry(node).or_default() += 1;
        self.next_handle += 1;
        self.next_handle
    }

    pub(super) fn close(&mut self, node: NodeId, handle: u64) {
        self.unlock(node, handle);
        if let Some(count) = self.open.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&node);
                self.forget(&[node]);
            }
        }
    }

    pub(super) fn try_lock(&mut self, node: NodeId, handle: u64) -> bool {
        *self.locks.entry(node).or_insert(handle) == handle
    }

    pub(super) fn unlock(&mut self, node: NodeId, handle: u64) {
        if self.locks.get(&node) == Some(&handle) {
            self.locks.remove(&node);
        }
    }

    fn forget_unreachable(&mut self, change: &Change) {
        if let Change::Entries(_) = change {
            let all: Vec<NodeId> = self.tree.nodes.keys().copied().collect();
            self.forget(&all);
        }
    }

    /// Frees what has no name and is not open.
    fn forget(&mut self, candidates: &[NodeId]) {
        let named = self.tree.named();
        for node in candidates {
            if *node != super::tree::ROOT && !named.contains(node) && !self.open.contains_key(node) {
                self.tree.nodes.remove(node);
            }
        }
    }

    pub(super) fn bytes_to_take(bytes: &[u8], fault: Option<Fault>) -> Arc<[u8]> {
        let taken = match fault {
            Some(Fault::ShortWrite(limit) | Fault::TornWrite(limit)) => {
                bytes.get(..limit.min(bytes.len().saturating_sub(1)))
            }
            _ => Some(bytes),
        };
        taken.unwrap_or_default().into()
    }
}
