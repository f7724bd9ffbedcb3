//! Reading contexts: ours, and those of the original program, whatever is in them.
//!
//! A file that cannot be understood is reported beside the others; it hides none of them (§15, 11 and 27).

use std::io;
use std::path::{Path, PathBuf};

use ledger_fs::{Kind, read_all};
use serde_json::Value;

use super::home::{Home, HomeError, MAX_CONTEXT_BYTES};
use super::session::is_session_name;
use crate::process::{self, Identity};
use crate::tag;

/// Deepest folder that is searched for contexts.
const MAX_DEPTH: usize = 70;

/// One service in the ledger.
#[derive(Clone, Debug)]
pub struct Record {
    /// The context file, absolute.
    pub path: PathBuf,
    /// The same relative to the ledger home.
    pub relative: PathBuf,
    /// Name of the session folder; empty if the file stands in none.
    pub session: String,
    /// Whether the file is a link: the service was started in an earlier session.
    pub is_link: bool,
    /// The identity of the process, in contexts of ours that stand where they were written.
    pub process: Option<Identity>,
    /// The identity of its keeper, in contexts of ours.
    pub keeper: Option<Identity>,
    /// The whole file.
    pub value: Value,
}

/// A context that cannot be understood.
#[derive(Clone, Debug, thiserror::Error)]
#[error("yard: {}: {problem}", path.display())]
pub struct RecordProblem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// Whether a recorded process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// That very process is there.
    Alive,
    /// It is not.
    Dead,
}

impl Home {
    /// All contexts of the ledger, or of the one session that this is; links only where `with_links` says so.
    ///
    /// # Errors
    /// When the folder cannot be read. A single file that cannot is a problem in the result.
    pub fn records(&self, with_links: bool) -> Result<(Vec<Record>, Vec<RecordProblem>), HomeError> {
        self.records_below(Path::new(""), with_links)
    }

    pub(super) fn records_below(
        &self,
        folder: &Path,
        with_links: bool,
    ) -> Result<(Vec<Record>, Vec<RecordProblem>), HomeError> {
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        let mut names = Vec::new();
        self.find(folder, 0, &mut |name, kind| {
            let is_context = name.to_string_lossy().ends_with(".context.json");
            if is_context && (kind == Kind::File || (kind == Kind::Link && with_links)) {
                names.push((name, kind == Kind::Link));
            }
        })?;
        names.sort();
        for (name, is_link) in names {
            match self.record(&name, is_link) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        Ok((records, problems))
    }

    pub(super) fn find(
        &self,
        folder: &Path,
        depth: usize,
        found: &mut dyn FnMut(PathBuf, Kind),
    ) -> Result<(), HomeError> {
        let entries = match self.dir().entries(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            let name = folder.join(&entry.name);
            let is_private = depth == 0 && folder.as_os_str().is_empty() && entry.name == ".run";
            if entry.kind == Kind::Dir && depth < MAX_DEPTH && !is_private {
                self.find(&name, depth.saturating_add(1), found)?;
            } else {
                found(name, entry.kind);
            }
        }
        Ok(())
    }

    /// One context; `None` if it is gone.
    pub(crate) fn record(&self, name: &Path, is_link: bool) -> Result<Option<Record>, RecordProblem> {
        let path = self.path().join(name);
        let failed = |problem: String| RecordProblem { path: path.clone(), problem };
        let bytes = match read_all(&**self.dir(), name, MAX_CONTEXT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| failed(format!("not JSON: {error}")))?;
        if !value.is_object() {
            return Err(failed("not an object".to_owned()));
        }
        // In a copy of a ledger the processes are those of the original, which are not to be touched from here.
        let is_at_home =
            value.pointer("/paths/context").and_then(Value::as_str).map(Path::new) == Some(&path);
        let identity =
            |key: &str| serde_json::from_value(value.get(key).filter(|_| is_at_home)?.clone()).ok();
        let first = name.components().next().map(|first| first.as_os_str().to_string_lossy().into_owned());
        let own = self.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let session = [first.unwrap_or_default(), own].into_iter().find(|name| is_session_name(name));
        let (process, keeper) = (identity("process"), identity("keeper"));
        let relative = name.to_owned();
        Ok(Some(Record {
            path,
            relative,
            session: session.unwrap_or_default(),
            is_link,
            process,
            keeper,
            value,
        }))
    }
}

impl Record {
    /// Text at the first of these places that has one; a place is a JSON pointer (RFC 6901).
    fn text(&self, places: [&str; 2]) -> &str {
        places.iter().find_map(|place| self.value.pointer(place)?.as_str()).unwrap_or("")
    }

    /// Unique name of the service.
    pub fn service_id(&self) -> &str {
        self.text(["/serviceId", "/service/id"])
    }

    /// Name of the kind.
    pub fn kind(&self) -> &str {
        self.text(["/kind", "/service/kind"])
    }

    /// `embedded`.
    pub fn nature(&self) -> &str {
        self.text(["/supplier/nature", "/nature"])
    }

    /// Where the service answers.
    pub fn url(&self) -> &str {
        self.text(["/service/upstreamUrl", "/listen/probeUrl"])
    }

    /// `http://HOST:PORT`.
    pub fn base_url(&self) -> &str {
        self.text(["/listen/baseUrl", "/listen/baseUrl"])
    }

    /// Path under which a proxy offers it.
    pub fn prefix(&self) -> &str {
        self.text(["/proxyPrefix", "/service/proxyEndpointPrefix"])
    }

    /// The data file.
    pub fn provenance(&self) -> &str {
        self.text(["/provenance", "/spawned/plan/env/TRUTH_YARD_PROVENANCE"])
    }

    /// Path of the data file relative to its root.
    pub fn relative_path(&self) -> &str {
        self.text(["/relativePath", "/relativePath"])
    }

    /// UUID of the run that started it.
    pub fn run_id(&self) -> &str {
        self.text(["/session/sessionId", "/sessionId"])
    }

    /// Whether the service was told this prefix, by a variable or an argument: then it answers below it.
    pub(crate) fn was_told(&self, prefix: &str) -> bool {
        let plan = self.value.pointer("/spawned/plan");
        let variables = plan.and_then(|plan| plan.get("env")?.as_object()).into_iter().flatten();
        let mut variables =
            variables.filter(|(name, _)| !name.starts_with(tag::PREFIX)).map(|(_, value)| value);
        let mut arguments = plan.and_then(|plan| plan.get("args")?.as_array()).into_iter().flatten();
        let is_it = |value: &Value| value.as_str().is_some_and(|text| text.trim_end_matches('/') == prefix);
        !prefix.is_empty() && (variables.any(is_it) || arguments.any(is_it))
    }

    /// Device and inode of the data file when the service was started.
    pub(crate) fn inode(&self) -> Option<(u64, u64)> {
        let number = |key: &str| self.value.pointer(key)?.as_u64();
        Some((number("/file/device")?, number("/file/inode")?))
    }

    /// Log of standard output.
    pub fn stdout(&self) -> &str {
        self.text(["/paths/stdout", "/spawned/plan/stdoutLogPath"])
    }

    /// Log of standard error.
    pub fn stderr(&self) -> &str {
        self.text(["/paths/stderr", "/spawned/plan/stderrLogPath"])
    }

    /// Process id, if there was a process.
    pub fn pid(&self) -> Option<u32> {
        let places = ["/pid", "/spawned/pid"];
        let pid = places.iter().find_map(|place| self.value.pointer(place)?.as_u64())?;
        u32::try_from(pid).ok().filter(|pid| *pid > 0)
    }

    /// Port, if one is recorded.
    pub fn port(&self) -> Option<u16> {
        let places = ["/port", "/listen/port"];
        places.iter().find_map(|place| u16::try_from(self.value.pointer(place)?.as_u64()?).ok())
    }

    /// State as recorded; empty in contexts of the original.
    pub fn state(&self) -> &str {
        self.text(["/state/name", "/state/name"])
    }

    /// Why it is in this state, where there is something to say.
    pub fn reason(&self) -> &str {
        self.text(["/state/reason", "/state/reason"])
    }

    /// Whether that very process lives. For contexts of the original, which record no more than a pid, the process with
    /// that pid must carry the path of this file in its environment.
    pub fn liveness(&self) -> Liveness {
        let alive = match (&self.process, self.pid()) {
            (Some(process), _) => process.is_alive(),
            (None, Some(pid)) => self.is_tagged(pid),
            (None, None) => false,
        };
        if alive { Liveness::Alive } else { Liveness::Dead }
    }

    /// Whether a living keeper looks after it: then it will be started again if it ends.
    pub fn is_kept(&self) -> bool {
        self.keeper.as_ref().is_some_and(Identity::is_alive)
    }

    /// State as it is: what is recorded, unless nobody is left who could have recorded the end.
    pub fn actual_state(&self) -> &str {
        let recorded = self.state();
        let is_over = matches!(recorded, "stopped" | "failed");
        match (recorded, self.liveness()) {
            ("", Liveness::Alive) => "running",
            ("", Liveness::Dead) => "dead",
            (_, Liveness::Dead) if !is_over && !self.is_kept() => "dead",
            (recorded, _) => recorded,
        }
    }

    fn is_tagged(&self, pid: u32) -> bool {
        Identity::of(pid).is_some()
            && process::environment(pid)
                .and_then(|environment| environment.get(tag::CONTEXT_PATH).cloned())
                .is_some_and(|path| Path::new(&path) == self.path)
    }
}
