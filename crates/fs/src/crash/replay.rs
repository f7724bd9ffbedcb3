//! Walking through what was recorded, from one crash point to the next.

use std::fmt;
use std::vec;

use super::disk::{Disk, Effect};
use super::fault::Operation;
use super::fs::CrashFs;
use super::images::{CrashPolicy, Description, Scene};
use super::live::Logged;
use super::tree::{Change, Tree};

/// One state that a crash could leave.
pub struct Image {
    /// The file system after the crash: everything in it is safe, nothing is locked or open, and nothing fails. It
    /// records in turn, so that a crash during the recovery can be tried too.
    pub fs: CrashFs,
    description: Description,
}

impl fmt::Display for Image {
    /// What became of each operation that was not safe, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.description.fmt(f)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({})", self.description)
    }
}

/// A recording, and how far it was walked through.
pub(super) struct Replay {
    disk: Disk,
    /// What programs see.
    seen: Tree,
    rest: vec::IntoIter<Logged>,
}

impl Replay {
    pub(super) fn new((start, log): (Tree, Vec<Logged>)) -> Self {
        Self { disk: Disk::new(start.clone()), seen: start, rest: log.into_iter() }
    }

    /// The operation that is under way, unless all are done.
    pub(super) fn next_operation(&self) -> Option<&Operation> {
        self.rest.as_slice().first().map(|logged| &logged.operation)
    }

    /// Whether the operation under way makes a difference to a crash.
    pub(super) fn matters(&self) -> bool {
        self.rest.as_slice().first().is_some_and(|logged| logged.effect.is_some())
    }

    /// Completes the operation that is under way.
    pub(super) fn step(&mut self) {
        if let Some(Logged { effect: Some(effect), .. }) = self.rest.next() {
            self.disk.step(&effect);
            if let Effect::Change(change) = &effect {
                self.seen.apply(change);
            }
        }
    }

    fn under_way(&self) -> Option<&Change> {
        match &self.rest.as_slice().first()?.effect {
            Some(Effect::Change(change)) => Some(change),
            _ => None,
        }
    }

    /// What a power cut could leave while the operation is under way.
    pub(super) fn power_cut(&self, policy: CrashPolicy) -> impl Iterator<Item = Image> + use<> {
        images(Scene::power_cut(&self.disk, self.under_way()), policy)
    }

    /// What a power cut could leave before the operation begins.
    pub(super) fn power_cut_before(&self, policy: CrashPolicy) -> impl Iterator<Item = Image> + use<> {
        images(Scene::power_cut(&self.disk, None), policy)
    }

    /// What a killed process could leave while the operation is under way.
    pub(super) fn kill(&self, policy: CrashPolicy) -> impl Iterator<Item = Image> + use<> {
        images(Scene::kill(&self.seen, self.under_way()), policy)
    }

    /// What a killed process leaves before the operation begins.
    pub(super) fn kill_before(&self, policy: CrashPolicy) -> impl Iterator<Item = Image> + use<> {
        images(Scene::kill(&self.seen, None), policy)
    }
}

fn images(scene: Scene, policy: CrashPolicy) -> impl Iterator<Item = Image> {
    scene.images(policy).map(|(tree, description)| Image { fs: CrashFs::with(tree), description })
}
