//! Processes that carry the marker variables: services as the process table knows them (specification §7.2).
//!
//! Only the environment counts, never the text of a command line (§15, 21), and values may hold anything (22). A child that
//! inherited the variables of its service is not another service (23): of the processes with one context path those are
//! reported whose parent does not have it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::process::{self, Identity};
use crate::tag;

/// A process with the variables of a service.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tagged {
    /// Process id.
    pub pid: u32,
    /// UUID of the run that started it.
    pub session_id: String,
    /// Path as walked.
    pub service_id: String,
    /// The context file.
    pub context_path: PathBuf,
    /// The data file.
    pub provenance: String,
    /// The command line.
    pub cmdline: String,
    /// The variables with the marker's prefix, and no others: the rest of the environment may hold secrets.
    pub env: BTreeMap<String, String>,
    /// Which process it is.
    #[serde(skip)]
    pub identity: Identity,
    /// The keeper of its context, if it lives: a service that is ended beside it would be started again.
    #[serde(skip)]
    pub keeper: Option<Identity>,
}

/// All tagged processes whose context lies below a folder, by pid.
pub fn tagged(home: &Path) -> Vec<Tagged> {
    let mut keepers: BTreeMap<PathBuf, Identity> = BTreeMap::new();
    let mut carriers: BTreeMap<u32, (u32, Tagged)> = BTreeMap::new();
    for stat in process::table() {
        let Some(mut env) = process::environment(stat.pid) else { continue };
        env.retain(|name, _| name.starts_with(tag::PREFIX));
        if let (Some(path), Some(identity)) = (env.get(tag::KEEPER), Identity::of(stat.pid)) {
            keepers.insert(PathBuf::from(path), identity);
        } else if let Some(tagged) =
            Tagged::read(stat.pid, env).filter(|one| one.context_path.starts_with(home))
        {
            carriers.insert(stat.pid, (stat.parent, tagged));
        }
    }
    for (_, tagged) in carriers.values_mut() {
        tagged.keeper = keepers.get(&tagged.context_path).cloned();
    }
    let is_inherited = |(parent, tagged): &(u32, Tagged)| {
        carriers.get(parent).is_some_and(|(_, other)| other.context_path == tagged.context_path)
    };
    carriers.values().filter(|carrier| !is_inherited(carrier)).map(|(_, tagged)| tagged.clone()).collect()
}

impl Tagged {
    /// `None` if the process is gone, or lacks one of the four variables.
    fn read(pid: u32, env: BTreeMap<String, String>) -> Option<Self> {
        let value = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
        let (session_id, service_id) = (value(tag::SESSION_ID)?, value(tag::SERVICE_ID)?);
        let (context_path, provenance) = (PathBuf::from(value(tag::CONTEXT_PATH)?), value(tag::PROVENANCE)?);
        let (identity, cmdline) = (Identity::of(pid)?, process::command_line(pid));
        let keeper = None;
        Some(Self { pid, session_id, service_id, context_path, provenance, cmdline, env, identity, keeper })
    }
}
