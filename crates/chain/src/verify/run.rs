//! One verification: takes results in the order of the ledger, collects the verdict.

use ledger_fs::Dir;

use super::{
    Check, Checkpoint, Problem, Report, Survey, Verdict, Verifier,
    digest::Digested,
    read::Source,
    resume::Resume,
    sequence,
    signatures::{Checked, SignatureJob},
    state::{State, Walk},
    threads::{self, Sink},
};
use crate::{
    directory::{ChunkFile, Listing},
    format::TxId,
};

pub(crate) struct Run<'a> {
    verifier: &'a Verifier,
    chunks: Vec<ChunkFile>,
    walk: Walk,
    problems: Vec<Problem>,
    notes: Vec<String>,
    raw: u64,
    cose: u64,
    verified_until: Option<TxId>,
    signature_failed: bool,
    read: u64,
    resumed_at: Option<TxId>,
    expected: Option<TxId>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(verifier: &'a Verifier, listing: &Listing, resume: Option<Resume>) -> Self {
        let from = resume.as_ref().map_or(1, |resume| resume.state.tree.size());
        let (chunks, broken) = sequence(listing, verifier.committed_only, from);
        let mut notes = Vec::new();
        if let Some(Resume { name, .. }) = &resume {
            notes.push(format!("verified from {name} on; entries before {from} were not looked at"));
        }
        let mut note = |names: &[String], what: &str| {
            if !names.is_empty() {
                notes.push(format!("not read, {what}: {}", names.join(", ")));
            }
        };
        note(&listing.strays, "not a chunk file");
        note(&listing.ignored, "set aside by a writer");
        note(
            &listing.recovery.iter().map(ChunkFile::file_name).collect::<Vec<_>>(),
            "of an unfinished recovery",
        );
        Self {
            verifier,
            chunks,
            resumed_at: resume.as_ref().map(|resume| resume.at),
            // What was signed before is still there.
            expected: verifier.expected.max(resume.as_ref().map(|resume| resume.at)),
            verified_until: resume.as_ref().filter(|resume| resume.verified).map(|resume| resume.at),
            walk: Walk::new(resume.map_or_else(State::new, |resume| resume.state)),
            problems: broken.into_iter().collect(),
            notes,
            raw: 0,
            cose: 0,
            signature_failed: false,
            read: 0,
        }
    }

    /// Reads to the end or to the first problem.
    pub(crate) fn go(&mut self, folder: &dyn Dir) {
        let verifier = self.verifier;
        let mut source = Source::new(folder, self.chunks.clone());
        let from = self.walk.state.tree.size();
        if from > 1
            && let Err(problem) = source.skip_to(from, None)
        {
            self.problems.push(problem);
            return;
        }
        let (read, problem) = threads::run(source, self, &verifier.secrets, verifier.threads);
        self.read = read;
        self.problems.extend(problem);
    }

    pub(crate) fn finish(mut self) -> (Report, Survey, Option<Checkpoint>) {
        let mut survey = self.walk.survey();
        survey.verified_until = self.verified_until;
        self.check_expectations();
        let walk = &self.walk;
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                self.notes.push(format!("{count} {what}"));
            }
        };
        note(walk.deprecated, "entries of a deprecated type");
        note(walk.outdated, "signatures from a time at which the certificate of who signed was not valid");
        note(walk.unordered, "entries whose maps are not in canonical order");
        for txid in &walk.services {
            self.notes.push(format!("the service changed its identity at {txid}"));
        }
        let verdict = match self.verified_until {
            _ if !self.problems.is_empty() => Verdict::Damaged,
            None => Verdict::Unsigned,
            Some(_) => Verdict::Verified,
        };
        self.problems.sort_by_key(|problem| (problem.seqno.is_none(), problem.seqno));
        let report = Report {
            verdict,
            resumed_at: self.resumed_at,
            verified_until: self.verified_until,
            chunks: self.read,
            entries: walk.entries,
            bytes: walk.bytes,
            raw_signatures: self.raw,
            cose_signatures: self.cose,
            snapshots: 0,
            service: walk.state.service.as_ref().map(|service| service.key.id()),
            unsigned_tail: walk.tail,
            problems: self.problems,
            notes: self.notes,
        };
        let until = self.verified_until.filter(|_| verdict == Verdict::Verified);
        let before = self.walk.before_signature.filter(|(at, _)| Some(*at) == until);
        (report, survey, before.map(|(at, state)| Checkpoint::new(at, state)))
    }

    fn check_expectations(&mut self) {
        let last = self.chunks.last().map(ChunkFile::file_name).unwrap_or_default();
        let mut problem = |check, reason| {
            self.problems.push(Problem { check, chunk: last.clone(), seqno: None, offset: None, reason });
        };
        if let Some(expected) = self.expected.filter(|expected| {
            self.verified_until.is_none_or(|until| until.seqno < expected.seqno || until.view < expected.view)
        }) {
            problem(Check::Expected, format!("the ledger should be signed up to {expected}, but is not"));
        }
        let service = self.walk.state.service.as_ref();
        if self
            .verifier
            .service
            .as_ref()
            .is_some_and(|key| service.is_none_or(|service| *service.key != *key))
        {
            let reason = "the ledger does not belong to the service whose certificate was given";
            problem(Check::Service, reason.into());
        }
    }
}

impl Sink for Run<'_> {
    fn digested(&mut self, digested: &Digested) -> (Vec<SignatureJob>, Result<(), Problem>) {
        let mut signatures = Vec::new();
        let outcome = self.walk.take(digested, &mut signatures);
        (signatures, outcome)
    }

    fn checked(&mut self, checked: Checked) {
        self.raw = self.raw.saturating_add(checked.raw);
        self.cose = self.cose.saturating_add(checked.cose);
        if !self.signature_failed {
            self.verified_until = checked.until.or(self.verified_until);
        }
        self.signature_failed |= checked.problem.is_some();
        self.problems.extend(checked.problem);
    }
}
