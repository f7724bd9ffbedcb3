//! A workload, and everything that can happen to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use super::fault::{Fault, Operation};
use super::fs::CrashFs;
use super::images::CrashPolicy;
use super::replay::{Image, Replay};

/// What a workload says of itself while it runs: what it is about to do, and what it was told is done.
///
/// The check of a crash point gets what was said before the crash.
#[derive(Debug)]
pub struct History<E> {
    fs: CrashFs,
    events: Mutex<Vec<(usize, E)>>,
}

impl<E> History<E> {
    fn new(fs: &CrashFs) -> Self {
        Self { fs: fs.clone(), events: Mutex::default() }
    }

    /// Notes `event`: it comes after the operations so far and before the next one.
    pub fn note(&self, event: E) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push((self.fs.operations(), event));
    }

    fn into_events(self) -> Vec<(usize, E)> {
        self.events.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a program is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The process is killed: what was written stays.
    Kill,
    /// The power is cut: only what was synced surely stays.
    PowerCut,
}

/// A workload was stopped, and this is what it left.
#[derive(Debug)]
pub struct Crash<'a, E> {
    /// What stopped it.
    pub cause: Cause,
    /// The operation that was under way; none when the crash came between two, or after the last.
    pub under_way: Option<&'a Operation>,
    /// What the workload had noted by then.
    pub events: &'a [E],
    /// What is left.
    pub image: Image,
}

/// How much was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Moments at which the workload was stopped, or operations that were made to fail.
    pub points: usize,
    /// States that were checked.
    pub images: usize,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} images at {} points", self.images, self.points)
    }
}

/// Runs `workload` once, then lets `check` look at every state that a crash could have left: killed and without power,
/// at every event that the workload noted and in the middle of every operation that changes something.
///
/// `check` panics when it finds a promise broken; what crashed, when, and what became of each unsafe operation is then
/// printed to standard error.
pub fn for_each_crash<E: Clone + fmt::Debug>(
    policy: CrashPolicy,
    workload: impl FnOnce(&CrashFs, &History<E>),
    check: impl FnMut(&Crash<'_, E>),
) -> Tried {
    for_each_crash_of(CrashFs::new(), policy, workload, check)
}

/// [`for_each_crash`] on a file system that was prepared: what is on it in the beginning counts as safe if it is an
/// [`Image`]'s, or as far as it was synced.
pub fn for_each_crash_of<E: Clone + fmt::Debug>(
    fs: CrashFs,
    policy: CrashPolicy,
    workload: impl FnOnce(&CrashFs, &History<E>),
    mut check: impl FnMut(&Crash<'_, E>),
) -> Tried {
    let begin = fs.operations();
    let history = History::new(&fs);
    workload(&fs, &history);
    let mut by_moment: BTreeMap<usize, Vec<E>> = BTreeMap::new();
    for (moment, event) in history.into_events() {
        by_moment.entry(moment).or_default().push(event);
    }
    let mut replay = Replay::new(fs.recording());
    let mut events: Vec<E> = Vec::new();
    let mut tried = Tried::default();
    let mut look =
        |cause, under_way: Option<&Operation>, events: &[E], images: &mut dyn Iterator<Item = Image>| {
            tried.points += 1;
            for image in images {
                tried.images += 1;
                let crash = Crash { cause, under_way, events, image };
                let witness = Witness(&crash);
                check(&crash);
                drop(witness);
            }
        };
    loop {
        let operation = replay.next_operation().cloned();
        let moment = operation.as_ref().map_or(usize::MAX, |operation| operation.number);
        // Between two operations, after each word of the workload; at the end even if it said nothing.
        let due: Vec<usize> = by_moment.range(..=moment).map(|(moment, _)| *moment).collect();
        for event in due.into_iter().filter_map(|moment| by_moment.remove(&moment)).flatten() {
            events.push(event);
            look(Cause::Kill, None, &events, &mut replay.kill_before(policy));
            look(Cause::PowerCut, None, &events, &mut replay.power_cut_before(policy));
        }
        let Some(operation) = operation else { break };
        if replay.matters() && operation.number >= begin {
            look(Cause::Kill, Some(&operation), &events, &mut replay.kill(policy));
            look(Cause::PowerCut, Some(&operation), &events, &mut replay.power_cut(policy));
        }
        replay.step();
    }
    look(Cause::Kill, None, &events, &mut replay.kill_before(policy));
    look(Cause::PowerCut, None, &events, &mut replay.power_cut_before(policy));
    tried
}

/// A workload ran while an operation was made to fail.
#[derive(Debug)]
pub struct Failure<E> {
    /// How it failed.
    pub fault: Fault,
    /// Whether all later operations of the kind failed too.
    pub lasting: bool,
    /// The operation that failed, as it was in the run without failures.
    pub operation: Operation,
    /// What the workload noted.
    pub events: Vec<E>,
    /// The file system afterwards: nothing fails any more, but what was not safe is still not safe. Look at what the
    /// program makes of it as it is, and at [`CrashFs::kill`] and [`CrashFs::images`].
    pub fs: CrashFs,
}

/// Runs `workload` once as it is; then once for every operation and every one of `faults` that the operation can suffer,
/// failing that operation alone, and once more failing all operations from there on. After each run `check` looks at
/// what is left. `images` of the result counts the runs.
///
/// The workload must do the same operations in every run up to the failure, must bear errors, and notes what it was
/// told.
pub fn for_each_fault<E: fmt::Debug>(
    faults: &[Fault],
    mut workload: impl FnMut(&CrashFs, &History<E>),
    mut check: impl FnMut(&Failure<E>),
) -> Tried {
    let undisturbed = CrashFs::new();
    workload(&undisturbed, &History::new(&undisturbed));
    let mut tried = Tried::default();
    for operation in undisturbed.log() {
        tried.points += 1;
        for fault in faults.iter().copied().filter(|fault| fault.concerns(operation.kind)) {
            for lasting in [false, true] {
                let fs = CrashFs::new();
                if lasting {
                    fs.fail_from(operation.number, fault);
                } else {
                    fs.fail_at(operation.number, fault);
                }
                let history = History::new(&fs);
                tried.images += 1;
                let setting = Setting { fault, lasting, operation: &operation };
                workload(&fs, &history);
                fs.heal();
                let events = history.into_events().into_iter().map(|(_, event)| event).collect();
                let failure = Failure { fault, lasting, operation: operation.clone(), events, fs };
                check(&failure);
                drop(setting);
            }
        }
    }
    tried
}

/// Says what was being checked when a check panics.
struct Witness<'a, 'c, E: fmt::Debug>(&'a Crash<'c, E>);

impl<E: fmt::Debug> Drop for Witness<'_, '_, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Crash { cause, under_way, events, image } = self.0;
            eprintln!(
                "broken by {cause:?}, while under way: {under_way:?}\nwhat was open:\n{image}so far: {events:?}"
            );
        }
    }
}

struct Setting<'a> {
    fault: Fault,
    lasting: bool,
    operation: &'a Operation,
}

impl Drop for Setting<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { fault, lasting, operation } = self;
            let all = if *lasting { ", and all after it" } else { "" };
            eprintln!("broken by {fault:?} of {operation:?}{all}");
        }
    }
}
