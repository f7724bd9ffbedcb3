//! Names that services get: each once; what would clash is an error that names both files (§15, 7 and 8).

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo::Cargo;
use crate::kind::Kind;
use crate::ledger::Record;
use crate::plan::Candidate;
use crate::settings::Settings;

/// Names that are given: each once. Running services keep theirs.
pub(super) struct Names {
    ids: BTreeSet<String>,
    prefixes: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl Names {
    pub(super) fn of(running: &BTreeMap<String, Record>, wanted: &[(&Cargo, &Kind)]) -> Self {
        let ids = running.values().map(|record| record.service_id().to_owned()).collect();
        let prefixes = running
            .values()
            .map(|record| (record.prefix().to_owned(), record.provenance().to_owned()))
            .collect();
        let files = wanted
            .iter()
            .filter(|(cargo, _)| running.contains_key(&cargo.provenance))
            .map(|(cargo, _)| (cargo.relative.clone(), cargo.provenance.clone()))
            .collect();
        Self { ids, prefixes, files }
    }

    pub(super) fn give<'a>(
        &mut self,
        cargo: &'a Cargo,
        kind: &'a Kind,
        settings: &Settings,
    ) -> Result<Candidate<'a>, String> {
        let prefix = settings.prefix.of(&kind.name, &cargo.relative);
        let clash = |what: &str, name: &str, other: &str| {
            format!(
                "yard: {} and {other} would share the {what} {name:?}; rename one of them, or move it",
                cargo.provenance
            )
        };
        if let Some(other) = self.files.get(&cargo.relative) {
            return Err(clash("place in the ledger", &cargo.relative, other));
        }
        if let Some(other) = self.prefixes.get(&prefix) {
            return Err(clash("prefix", &prefix, other));
        }
        // The path as last resort: `x.db` may be both the name of one file and the place of another.
        let mut ids = [cargo.file_name(), &cargo.relative, &cargo.provenance].into_iter();
        let id = ids.find(|id| !self.ids.contains(*id)).unwrap_or(&cargo.provenance).to_owned();
        self.ids.insert(id.clone());
        self.files.insert(cargo.relative.clone(), cargo.provenance.clone());
        self.prefixes.insert(prefix.clone(), cargo.provenance.clone());
        Ok(Candidate { cargo, kind, id, prefix })
    }
}
