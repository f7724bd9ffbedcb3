//! What would be on the disk: what surely is, and what may be.

use std::collections::BTreeSet;

use super::tree::{Change, NodeId, Tree};

/// What a program asked for, as far as a crash can tell the difference.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// Something that may be lost.
    Change(Change),
    /// The file's data so far is safe.
    SyncFile(NodeId),
    /// The folder's names so far are safe.
    SyncDir(NodeId),
    /// A sync failed and the kernel forgot that the pages are dirty: no later sync will write them.
    DropPages(NodeId),
}

/// The state of the disk at one moment.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// What surely is there.
    pub(super) base: Tree,
    /// What may be there, oldest first.
    pub(super) pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) change: Change,
    pub(super) safety: Safety,
    /// Folders whose sync this change still waits for.
    unsynced_dirs: Vec<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Safety {
    /// May be lost until it is synced.
    Unsynced,
    /// May be lost whatever is synced.
    Doomed,
    /// Surely there; listed only because something older, which it lies upon, is not.
    Synced,
}

impl Pending {
    pub(super) fn new(change: Change) -> Self {
        let mut unsynced_dirs = Vec::new();
        if let Change::Entries(slots) = &change {
            unsynced_dirs.extend(slots.iter().map(|slot| slot.dir));
            unsynced_dirs.dedup();
        }
        Self { change, safety: Safety::Unsynced, unsynced_dirs }
    }

    /// The file whose bytes or length change.
    pub(super) fn file(&self) -> Option<NodeId> {
        match self.change {
            Change::Write { node, .. } | Change::SetLen { node, .. } => Some(node),
            Change::Entries(_) => None,
        }
    }

    /// Whether this change cannot have happened without `older`: they concern the same name.
    pub(super) fn needs(&self, older: &Self) -> bool {
        match (&self.change, &older.change) {
            (Change::Entries(mine), Change::Entries(theirs)) => {
                mine.iter().any(|slot| theirs.iter().any(|other| slot.same_name(other)))
            }
            _ => false,
        }
    }

    /// Whether this change cannot be seen without `older`: they concern the same name, or `older` made the folder in which
    /// this happens. (A name may be safe in a folder that is not; it is lost with it.)
    pub(super) fn rests_on(&self, older: &Self) -> bool {
        let made_folder = match (&self.change, &older.change) {
            (Change::Entries(mine), Change::Entries(theirs)) => {
                mine.iter().any(|slot| theirs.iter().any(|other| other.now == Some(slot.dir)))
            }
            _ => false,
        };
        made_folder || self.needs(older)
    }
}

impl Disk {
    pub(super) fn new(base: Tree) -> Self {
        Self { base, pending: Vec::new() }
    }

    pub(super) fn step(&mut self, effect: &Effect) {
        match effect {
            Effect::Change(change) => {
                // A file's bytes can be safe before any of its names is.
                self.base.add_nodes(change);
                self.pending.push(Pending::new(change.clone()));
            }
            Effect::SyncFile(node) => self.mark(*node, Safety::Synced),
            Effect::DropPages(node) => self.mark(*node, Safety::Doomed),
            Effect::SyncDir(dir) => self.sync_dir(*dir),
        }
        self.settle();
    }

    fn mark(&mut self, node: NodeId, safety: Safety) {
        for pending in &mut self.pending {
            if pending.file() == Some(node) && pending.safety == Safety::Unsynced {
                pending.safety = safety;
            }
        }
    }

    fn sync_dir(&mut self, dir: NodeId) {
        for pending in &mut self.pending {
            let waited = !pending.unsynced_dirs.is_empty();
            pending.unsynced_dirs.retain(|unsynced| *unsynced != dir);
            if waited && pending.unsynced_dirs.is_empty() {
                pending.safety = Safety::Synced;
            }
        }
        // A move between two folders that waits for its other folder is carried along by what was done to its name since.
        for newer in (0..self.pending.len()).rev() {
            let (before, after) = self.pending.split_at_mut(newer);
            if let Some(newer) = after.first().filter(|newer| newer.safety == Safety::Synced) {
                before
                    .iter_mut()
                    .filter(|older| newer.needs(older))
                    .for_each(|older| older.safety = Safety::Synced);
            }
        }
    }

    /// The changes that can make a difference: not those to files to which no name leads any more.
    pub(super) fn open_questions(&self) -> Vec<&Pending> {
        let mut named: BTreeSet<NodeId> = self.base.named();
        for pending in &self.pending {
            if let Change::Entries(slots) = &pending.change {
                named.extend(slots.iter().filter_map(|slot| slot.now));
            }
        }
        self.pending
            .iter()
            .filter(|pending| pending.file().is_none_or(|file| named.contains(&file)))
            .collect()
    }

    /// Moves to the base what is safe and lies upon nothing that is not.
    fn settle(&mut self) {
        let mut unsafe_files: Vec<NodeId> = Vec::new();
        let base = &mut self.base;
        self.pending.retain(|pending| {
            let safe = pending.safety == Safety::Synced
                && pending.file().is_none_or(|file| !unsafe_files.contains(&file));
            if safe {
                base.apply(&pending.change);
            } else {
                unsafe_files.extend(pending.file());
            }
            !safe
        });
    }
}
