//! Marker variables: what a service carries in its environment, so that it is found without a ledger (specification §7.1).

use std::collections::BTreeMap;

use crate::ledger::Context;

/// Prefix of all of them; a `.env` file cannot set one.
pub(crate) const PREFIX: &str = "TRUTH_YARD_";
/// Absolute path of the data file.
pub(crate) const PROVENANCE: &str = "TRUTH_YARD_PROVENANCE";
/// Absolute path of the context file.
pub(crate) const CONTEXT_PATH: &str = "TRUTH_YARD_CONTEXT_PATH";
/// UUID of the run.
pub(crate) const SESSION_ID: &str = "TRUTH_YARD_SESSION_ID";
/// Path as walked.
pub(crate) const SERVICE_ID: &str = "TRUTH_YARD_SERVICE_ID";

/// Absolute path of the context file, in the environment of a keeper: its service does not have it.
pub(crate) const KEEPER: &str = "TRUTH_YARD_KEEPER";

/// The variables of a service.
pub(crate) fn of(context: &Context) -> BTreeMap<String, String> {
    let tags = [
        (PROVENANCE, context.provenance.clone()),
        (CONTEXT_PATH, context.paths.context.clone()),
        (SESSION_ID, context.session.session_id.clone()),
        (SERVICE_ID, context.service.id.clone()),
        ("TRUTH_YARD_KIND", context.kind.clone()),
        ("TRUTH_YARD_LABEL", context.service.label.clone()),
        ("TRUTH_YARD_PROXY_ENDPOINT_PREFIX", context.proxy_prefix.clone()),
        ("TRUTH_YARD_UPSTREAM_URL", context.service.upstream_url.clone()),
        ("TRUTH_YARD_LISTEN_HOST", context.listen.host.clone()),
        ("TRUTH_YARD_PORT", context.port.to_string()),
        ("TRUTH_YARD_BASE_URL", context.listen.base_url.clone()),
        ("TRUTH_YARD_PROBE_URL", context.listen.probe_url.clone()),
    ];
    tags.map(|(name, value)| (name.to_owned(), value)).into()
}
