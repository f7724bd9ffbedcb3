//! Which states a crash could leave: the choice of a fate for everything that was not safe.

use std::collections::HashSet;
use std::fmt;

use super::disk::{Disk, Pending, Safety};
use super::random::Random;
use super::tree::{Change, NodeId, Tree};

const SECTOR: usize = 512;
/// Writes up to this long are torn at every byte, longer ones at chosen places.
const TORN_EVERYWHERE: usize = 16;

/// How many of the possible states are looked at, and which.
///
/// When a crash point has at most [`images_per_point`](Self::images_per_point) combinations of fates, all are tried.
/// Otherwise, in this order until the number is reached:
///
/// 1. everything kept; everything lost; names kept with all data lost, and with all data zeros; data kept with all new
///    names lost;
/// 2. in an order shuffled by the seed: everything up to one operation kept and everything behind it lost, one operation
///    alone lost, torn or zeroed, one alone kept (at most half of the number);
/// 3. fates drawn at random from the seed; a write may then be torn at any byte.
///
/// Equal states of one crash point count once. The same seed gives the same images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPolicy {
    /// Where the random choices start.
    pub seed: u64,
    /// At most this many different states per crash point.
    pub images_per_point: usize,
}

impl Default for CrashPolicy {
    fn default() -> Self {
        Self { seed: 0x1ED6E5, images_per_point: 64 }
    }
}

/// What becomes of one change that was not safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    /// The file is as long as if it had been written, but what is new is zeros.
    Zeros,
    /// Only this many bytes of the front were written, and the file ends there.
    Head(usize),
    /// Only this many bytes of the front were written; the rest is zeros.
    HeadThenZeros(usize),
    /// All but this many bytes of the front were written.
    Tail(usize),
}

/// A crash point: what is sure, and what is open.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    base: Tree,
    questions: Vec<Pending>,
    /// For each question the earlier ones without which it cannot have happened.
    needs: Vec<Vec<usize>>,
}

/// One answer to all questions.
#[derive(Clone, Debug)]
pub(super) struct Answer(Vec<Fate>);

impl Scene {
    /// A power cut: everything that is not safe is open, `under_way` too.
    pub(super) fn power_cut(disk: &Disk, under_way: Option<&Change>) -> Self {
        let mut disk = disk.clone();
        if let Some(change) = under_way {
            disk.base.add_nodes(change);
            disk.pending.push(Pending::new(change.clone()));
        }
        let questions: Vec<Pending> = disk.open_questions().into_iter().cloned().collect();
        let needs = questions.iter().enumerate().map(|(newer, question)| {
            let older = questions.iter().take(newer).enumerate();
            older.filter(|(_, older)| question.rests_on(older)).map(|(older, _)| older).collect()
        });
        Self { needs: needs.collect(), base: disk.base, questions }
    }

    /// A killed process: everything that was done is there, only `under_way` is open.
    pub(super) fn kill(seen: &Tree, under_way: Option<&Change>) -> Self {
        let questions: Vec<Pending> = under_way.cloned().map(Pending::new).into_iter().collect();
        let mut base = seen.clone();
        questions.iter().for_each(|question| base.add_nodes(&question.change));
        Self { base, needs: vec![Vec::new(); questions.len()], questions }
    }

    /// The different states of this crash point, by the policy.
    pub(super) fn images(self, policy: CrashPolicy) -> impl Iterator<Item = (Tree, Description)> {
        let answers = self.answers(policy);
        let mut seen = HashSet::new();
        answers.into_iter().filter_map(move |answer| {
            let tree = self.render(&answer).reachable();
            seen.insert(tree.fingerprint()).then(|| (tree, self.describe(&answer)))
        })
    }

    fn answers(&self, policy: CrashPolicy) -> Vec<Answer> {
        let limit = policy.images_per_point.max(1);
        let options: Vec<Vec<Fate>> = self.questions.iter().map(|question| self.options(question)).collect();
        let combinations =
            options.iter().fold(1_usize, |product, options| product.saturating_mul(options.len()));
        if combinations <= limit {
            return all_combinations(&options);
        }
        let mut random = Random::new(policy.seed ^ (self.questions.len() as u64).rotate_left(32));
        let mut answers = self.extremes();
        let mut single = self.one_at_a_time(&options);
        random.shuffle(&mut single);
        single.truncate((limit / 2).saturating_sub(answers.len()).max(1));
        answers.append(&mut single);
        while answers.len() < limit {
            answers.push(self.any(&options, &mut random));
        }
        answers.truncate(limit);
        answers
    }

    fn extremes(&self) -> Vec<Answer> {
        let by_kind = |names: Fate, data: Fate| {
            let fate = |question: &Pending| if question.file().is_some() { data } else { names };
            Answer(self.questions.iter().map(fate).collect())
        };
        vec![
            by_kind(Fate::Kept, Fate::Kept),
            by_kind(Fate::Lost, Fate::Lost),
            by_kind(Fate::Kept, Fate::Lost),
            by_kind(Fate::Kept, Fate::Zeros),
            by_kind(Fate::Lost, Fate::Kept),
        ]
    }

    fn one_at_a_time(&self, options: &[Vec<Fate>]) -> Vec<Answer> {
        let mut answers = Vec::new();
        let count = self.questions.len();
        let names_kept = |question: &Pending| if question.file().is_some() { Fate::Lost } else { Fate::Kept };
        for (this, fates) in options.iter().enumerate() {
            for fate in fates.iter().copied() {
                let around = |before: &dyn Fn(usize) -> Fate, after: &dyn Fn(usize) -> Fate| {
                    let fate = |index: usize| match index.cmp(&this) {
                        std::cmp::Ordering::Less => before(index),
                        std::cmp::Ordering::Equal => fate,
                        std::cmp::Ordering::Greater => after(index),
                    };
                    Answer((0..count).map(fate).collect())
                };
                let kept = |_: usize| Fate::Kept;
                let lost = |_: usize| Fate::Lost;
                let no_data = |index: usize| self.questions.get(index).map_or(Fate::Lost, names_kept);
                answers.push(around(&kept, &lost));
                answers.push(around(&kept, &kept));
                answers.push(around(&no_data, &no_data));
            }
        }
        answers
    }

    fn any(&self, options: &[Vec<Fate>], random: &mut Random) -> Answer {
        // Some images keep nearly everything, some hardly anything.
        let keep = random.below(5);
        let fates = options.iter().zip(&self.questions).map(|(options, question)| {
            if random.below(4) < keep {
                return Fate::Kept;
            }
            match &question.change {
                Change::Write { bytes, .. } if bytes.len() > 1 && random.below(2) == 0 => {
                    let cut = 1 + random.below(bytes.len() - 1);
                    [Fate::Head(cut), Fate::HeadThenZeros(cut), Fate::Head(cut)]
                        .get(random.below(3))
                        .copied()
                        .unwrap_or(Fate::Lost)
                }
                _ => options.get(random.below(options.len())).copied().unwrap_or(Fate::Kept),
            }
        });
        Answer(fates.collect())
    }

    /// The fates that are tried in turn.
    fn options(&self, question: &Pending) -> Vec<Fate> {
        if question.safety == Safety::Synced {
            return vec![Fate::Kept];
        }
        let mut options = vec![Fate::Kept, Fate::Lost];
        if let Change::Write { node, offset, bytes } = &question.change {
            let extends = self.may_extend(*node, offset + bytes.len());
            let sectors = sector_cuts(*offset, bytes.len());
            options.extend(cuts(bytes.len(), &sectors).into_iter().map(Fate::Head));
            options.extend(sectors.iter().copied().map(Fate::Tail));
            if extends {
                options.push(Fate::Zeros);
                let middle = (bytes.len() > 1).then_some(bytes.len() / 2);
                options.extend(sectors.iter().copied().chain(middle).map(Fate::HeadThenZeros));
            }
        }
        options
    }

    /// Whether the file may be shorter than `end`, so that writing up to there lengthens it.
    fn may_extend(&self, file: NodeId, end: usize) -> bool {
        let cut = |question: &Pending| match question.change {
            Change::SetLen { node, len } => node == file && len < end,
            _ => false,
        };
        self.base.content(file).is_none_or(|content| content.len() < end) || self.questions.iter().any(cut)
    }

    fn render(&self, Answer(fates): &Answer) -> Tree {
        let mut tree = self.base.clone();
        let mut happened: Vec<bool> = Vec::with_capacity(fates.len());
        for ((question, needs), fate) in self.questions.iter().zip(&self.needs).zip(fates) {
            let possible = needs.iter().all(|older| happened.get(*older).copied().unwrap_or(false));
            let fate = match question.safety {
                Safety::Synced => Fate::Kept,
                Safety::Unsynced | Safety::Doomed if possible => *fate,
                Safety::Unsynced | Safety::Doomed => Fate::Lost,
            };
            happened.push(fate != Fate::Lost);
            match (&question.change, fate) {
                (_, Fate::Lost) => {}
                (Change::Write { node, offset, bytes }, fate) => {
                    write(&mut tree, *node, *offset, bytes, fate);
                }
                (Change::Entries(_) | Change::SetLen { .. }, _) => tree.apply(&question.change),
            }
        }
        tree
    }

    fn describe(&self, Answer(fates): &Answer) -> Description {
        Description { answers: self.questions.iter().cloned().zip(fates.iter().copied()).collect() }
    }
}

fn write(tree: &mut Tree, node: NodeId, offset: usize, bytes: &[u8], fate: Fate) {
    let end = offset + bytes.len();
    match fate {
        Fate::Lost => {}
        Fate::Kept => tree.write(node, offset, bytes),
        Fate::Zeros => tree.extend(node, end),
        Fate::Head(cut) => tree.write(node, offset, bytes.get(..cut).unwrap_or(bytes)),
        Fate::HeadThenZeros(cut) => {
            tree.write(node, offset, bytes.get(..cut).unwrap_or(bytes));
            tree.extend(node, end);
        }
        Fate::Tail(cut) => tree.write(node, offset + cut, bytes.get(cut..).unwrap_or_default()),
    }
}

/// Where the sectors of the disk divide a write: the first two places and the last two.
fn sector_cuts(offset: usize, len: usize) -> Vec<usize> {
    let first = SECTOR - offset % SECTOR;
    let all: Vec<usize> = (first..len).step_by(SECTOR).collect();
    match all.as_slice() {
        [a, b, .., y, z] => vec![*a, *b, *y, *z],
        _ => all,
    }
}

/// Where a write is torn: everywhere if it is short, else in what may be a header, in the middle, before the end, and
/// between sectors.
fn cuts(len: usize, sectors: &[usize]) -> Vec<usize> {
    if len <= TORN_EVERYWHERE {
        return (1..len).collect();
    }
    let mut cuts = vec![1, 4, 8, len / 2, len - 1];
    cuts.extend(sectors);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn all_combinations(options: &[Vec<Fate>]) -> Vec<Answer> {
    let mut answers = vec![Answer(Vec::with_capacity(options.len()))];
    for fates in options {
        let longer = |answer: Answer| {
            fates.iter().map(move |fate| {
                let mut answer = answer.clone();
                answer.0.push(*fate);
                answer
            })
        };
        answers = answers.into_iter().flat_map(longer).collect();
    }
    answers
}

/// What became of each change that was not safe.
#[derive(Clone)]
pub(super) struct Description {
    answers: Vec<(Pending, Fate)>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.answers.is_empty() {
            return f.write_str("  nothing was open\n");
        }
        for (question, fate) in &self.answers {
            writeln!(f, "  {}: {}", question.change, FateOf(question.safety, *fate))?;
        }
        Ok(())
    }
}

struct FateOf(Safety, Fate);

impl fmt::Display for FateOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Safety::Synced, _) => f.write_str("safe"),
            (_, Fate::Kept) => f.write_str("kept"),
            (_, Fate::Lost) => f.write_str("lost"),
            (_, Fate::Zeros) => f.write_str("zeros"),
            (_, Fate::Head(cut)) => write!(f, "only its first {cut} bytes"),
            (_, Fate::HeadThenZeros(cut)) => write!(f, "its first {cut} bytes, then zeros"),
            (_, Fate::Tail(cut)) => write!(f, "all but its first {cut} bytes"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { node, offset, bytes } => {
                write!(f, "write {}..{} of file {node}", offset, offset + bytes.len())
            }
            Self::SetLen { node, len } => write!(f, "set length {len} of file {node}"),
            Self::Entries(slots) => {
                for (index, slot) in slots.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    let name = slot.name.display();
                    match (slot.now, slot.created) {
                        (Some(node), Some(_)) => write!(f, "{separator}{name} created as {node}")?,
                        (Some(node), None) => write!(f, "{separator}{name} is {node}")?,
                        (None, _) => write!(f, "{separator}{name} removed")?,
                    }
                }
                Ok(())
            }
        }
    }
}
