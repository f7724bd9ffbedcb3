//! The verifier: reads a folder of chunk files and says whether it is what was signed.
//!
//! ```no_run
//! use std::sync::Arc;
//! use ledger_chain::verify::{Verdict, Verifier};
//!
//! let folder: Arc<dyn ledger_fs::Dir> = Arc::new(ledger_fs::RealDir::open("backup/ledger")?);
//! let report = Verifier::new().verify(&folder)?;
//! assert_eq!(report.verdict, Verdict::Verified);
//! println!("verified until {:?}", report.verified_until);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! It makes every check of the Python package `ccf` and, beyond them:
//!
//! - the sequence numbers of file name, place, IV and public domain agree, begin at 1 and have no gap; views never decrease;
//! - closed chunks end in a signature, chunk flags stand where they may;
//! - node ids fit the keys, node certificates are issued by the service in force;
//! - a service that changes its key says so, and names its predecessor and the last root that it signed;
//! - recorded trees are the trees of the entries, so that a changed entry is *named*, not only noticed;
//! - signatures that name a time name one at which the certificates of who signed were valid; others are counted in a note;
//! - with the ledger secret, every authentication tag;
//! - what is behind the last signature is reported as the unsigned tail, a ledger without a signature is not called verified;
//! - snapshots belong to the ledger, and none is newer than its end ([`Verifier::verify_home`]);
//! - with [`Verifier::expect`], that nothing is missing at the end.
//!
//! Every thread takes the next piece of work: a batch to read, parse and hash into subtrees, or signatures to check; who completes
//! the next batch in order puts it into the tree. Memory does not grow with the ledger: a fixed number of batches of 256 KiB (or
//! one larger entry each) is in flight.

mod checkpoint;
mod compare;
mod digest;
mod home;
mod read;
mod report;
mod resume;
mod run;
mod signatures;
mod state;
mod survey;
mod threads;

use std::{collections::BTreeMap, io, sync::Arc, thread};

use ledger_fs::Dir;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use compare::{Comparison, Difference, compare};
pub use report::{Check, Problem, Report, Tail, Verdict};

pub(crate) use read::{Batch, ChunkReader, Source};
pub(crate) use survey::{Survey, SurveyError};

use crate::{
    crypto::{LedgerSecret, PublicKey},
    directory::{ChunkFile, Listing, list},
    format::TxId,
};
use resume::Resume;
use run::Run;

/// Ledger secrets with the sequence number from which each is in force.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    secrets: BTreeMap<u64, Arc<LedgerSecret>>,
}

impl Secrets {
    /// No secret: private domains stay closed.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a secret that is in force from `seqno` on.
    pub fn insert(&mut self, seqno: u64, secret: LedgerSecret) {
        self.secrets.insert(seqno, Arc::new(secret));
    }

    /// All of them, by the sequence number from which each is in force.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &LedgerSecret)> {
        self.secrets.iter().map(|(seqno, secret)| (*seqno, &**secret))
    }

    /// The secret in force at `seqno`.
    #[must_use]
    pub fn at(&self, seqno: u64) -> Option<&LedgerSecret> {
        self.entry_at(seqno).map(|(_, secret)| secret)
    }

    /// The secret in force at `seqno`, with the sequence number from which it is in force.
    #[must_use]
    pub fn entry_at(&self, seqno: u64) -> Option<(u64, &LedgerSecret)> {
        self.secrets.range(..=seqno).next_back().map(|(from, secret)| (*from, &**secret))
    }
}

/// Settings of a verification.
#[derive(Debug)]
pub struct Verifier {
    secrets: Secrets,
    threads: usize,
    committed_only: bool,
    expected: Option<TxId>,
    service: Option<PublicKey>,
    checkpoint: Option<Checkpoint>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Verifies with all processors.
    #[must_use]
    pub fn new() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self {
            secrets: Secrets::none(),
            threads,
            committed_only: false,
            expected: None,
            service: None,
            checkpoint: None,
        }
    }

    /// Checks authentication tags with these secrets.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// Number of threads that hash and check signatures.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Reads `.committed` chunks only.
    #[must_use]
    pub fn committed_only(mut self, only: bool) -> Self {
        self.committed_only = only;
        self
    }

    /// The ledger must be verified at least until here: finds out that something is missing at the end, which nothing inside a
    /// ledger tells.
    #[must_use]
    pub fn expect(mut self, position: TxId) -> Self {
        self.expected = Some(position);
        self
    }

    /// The service that signs last must have this key; otherwise the ledger vouches for itself.
    #[must_use]
    pub fn service(mut self, key: PublicKey) -> Self {
        self.service = Some(key);
        self
    }

    /// Goes on from a checkpoint that is trusted. Chunks before it are not looked at, and need not be there. The ledger must still
    /// hold the signature of the checkpoint, and it is checked again.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Verifies a folder.
    ///
    /// # Errors
    /// Only if the folder cannot be listed; everything else is a [`Problem`] in the report.
    pub fn verify(&self, folder: &Arc<dyn Dir>) -> io::Result<Report> {
        Ok(self.run(folder, None)?.0)
    }

    /// Verifies a folder, and gives a checkpoint at its last signature, from which the next verification can go on; none unless the
    /// ledger is [`Verified`](Verdict::Verified).
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_to_checkpoint(&self, folder: &Arc<dyn Dir>) -> io::Result<(Report, Option<Checkpoint>)> {
        self.run(folder, None)
    }

    fn run(&self, folder: &Arc<dyn Dir>, resume: Option<Resume>) -> io::Result<(Report, Option<Checkpoint>)> {
        let resume = resume.or_else(|| self.checkpoint.as_ref().map(Checkpoint::resume));
        let (report, _, checkpoint) = self.survey(folder, resume)?;
        Ok((report, checkpoint))
    }

    /// Verifies a folder, and tells what its end says.
    pub(crate) fn survey(
        &self,
        folder: &Arc<dyn Dir>,
        resume: Option<Resume>,
    ) -> io::Result<(Report, Survey, Option<Checkpoint>)> {
        let listing = list(&**folder)?;
        let mut run = Run::new(self, &listing, resume);
        run.go(&**folder);
        Ok(run.finish())
    }
}

/// The chunks to read in order from the entry `from` on, and what is wrong with their sequence. Reading ends where the sequence
/// breaks. Chunks that end before `from` are left out; it may stand within the first one that is read.
pub(crate) fn sequence(
    listing: &Listing,
    committed_only: bool,
    from: u64,
) -> (Vec<ChunkFile>, Option<Problem>) {
    let mut chunks: Vec<ChunkFile> = Vec::new();
    let wanted = |chunk: &&ChunkFile| {
        (!committed_only || chunk.name.committed) && chunk.name.end.is_none_or(|end| end >= from)
    };
    for chunk in listing.chunks.iter().filter(wanted) {
        let problem = |reason: String| Problem {
            check: Check::Sequence,
            chunk: chunk.file_name(),
            seqno: Some(chunk.name.start),
            offset: None,
            reason,
        };
        let next = match chunks.last() {
            None => from.min(chunk.name.start),
            Some(previous) => match previous.name.end {
                Some(end) => end.saturating_add(1),
                None => {
                    let reason = format!("a chunk follows the open chunk {}", previous.file_name());
                    return (chunks, Some(problem(reason)));
                }
            },
        };
        if chunk.name.start > next {
            let reason = format!("entries {next} to {} are missing", chunk.name.start.saturating_sub(1));
            return (chunks, Some(problem(reason)));
        }
        if chunk.name.start < next {
            let previous = chunks.last().map(ChunkFile::file_name).unwrap_or_default();
            return (chunks, Some(problem(format!("the chunk overlaps with {previous}"))));
        }
        chunks.push(*chunk);
    }
    (chunks, None)
}
