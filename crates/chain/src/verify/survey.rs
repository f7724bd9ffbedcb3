//! A verification that also tells what the ledger says of itself at its end: for whoever goes on with it.

use std::{io, sync::Arc};

use ledger_fs::Dir;

use super::{Problem, Verifier, resume::Resume};
use crate::{
    format::{Digest, TxId},
    snapshot::Base,
};

/// What a verified ledger says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    pub(crate) verified_until: Option<TxId>,
    /// Root of the last signature.
    pub(crate) signed_root: Option<Digest>,
    /// Certificate of the service.
    pub(crate) service_pem: Option<String>,
    /// The first entry of the service.
    pub(crate) service_created: Option<TxId>,
    pub(crate) recovery_count: u64,
    /// Ids of the nodes that are not retired.
    pub(crate) nodes: Vec<String>,
    /// Sequence number of the last endorsement of a service.
    pub(crate) last_endorsement: Option<u64>,
}

/// Why there is no survey.
#[derive(Debug)]
pub(crate) enum SurveyError {
    File(io::Error),
    Damaged(Problem),
}

impl Survey {
    /// Of a ledger whose beginning `base` may stand for.
    pub(crate) fn of(folder: &Arc<dyn Dir>, base: Option<&Base>) -> Result<Self, SurveyError> {
        let resume = base.map(|base| Resume::of_snapshot(&base.file)).transpose();
        let resume = resume.map_err(SurveyError::Damaged)?;
        let (report, survey, _) = Verifier::new().survey(folder, resume).map_err(SurveyError::File)?;
        match report.problems.into_iter().next() {
            Some(problem) => Err(SurveyError::Damaged(problem)),
            None => Ok(survey),
        }
    }
}
