//! From a data file to the plan of its service: names, address, variables, files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::cargo::{Cargo, PATTERNS, parse_dotenv};
use crate::keeper::Plan;
use crate::kind::{Kind, Values, Variable};
use crate::ledger::{
    Context, DataFile, Home, Host, Listen, MASK, Moment, Paths, Service, SessionContext, SpawnPlan, Spawned,
    SrcPath, State, Supplier, run_folder,
};
use crate::ports;
use crate::settings::Settings;
use crate::tag;

/// Largest `.env` file that is read, in bytes.
const MAX_DOTENV_BYTES: u64 = 1 << 20;

/// One run of the yard, as it stands in every context that the run writes.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Name of the session folder.
    pub(crate) session: String,
    /// UUID of the run.
    pub(crate) id: Uuid,
    /// Since when.
    pub(crate) started_at: Moment,
}

impl Run {
    /// The run, in the original's words.
    pub(crate) fn context(&self) -> SessionContext {
        SessionContext {
            session_id: self.id.to_string(),
            host: Host { identity: "spawn".to_owned(), pid: std::process::id() },
            started_at: self.started_at,
        }
    }
}

/// A data file, what serves it, and the names under which it does.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) cargo: &'a Cargo,
    pub(crate) kind: &'a Kind,
    pub(crate) id: String,
    pub(crate) prefix: String,
}

impl Candidate<'_> {
    /// Folder of the service below `.run`.
    pub(crate) fn run_folder(&self) -> PathBuf {
        run_folder(&self.cargo.relative)
    }

    /// A file of the service in a session.
    pub(crate) fn file(&self, session: &str, end: &str) -> PathBuf {
        Path::new(session).join(format!("{}.{end}", self.cargo.relative))
    }

    /// The plan for a port, and remarks about variables that were left out.
    pub(crate) fn plan(
        &self,
        settings: &Settings,
        home: &Home,
        run: &Run,
        ports: &Path,
        port: u16,
    ) -> io::Result<(Plan, Vec<String>)> {
        let run_folder = home.path().join(self.run_folder());
        let values = Values {
            path: &self.cargo.provenance,
            host: &settings.listen_host,
            port,
            prefix: &self.prefix,
            run: &run_folder.to_string_lossy(),
        };
        let dotenv = self.dotenv()?;
        let mut context = self.context(settings, home, run, &values);
        let variables = self.kind.variables(&values);
        let mut environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| !name.starts_with(tag::PREFIX))
            .collect();
        let shown = &mut context.spawned.plan.env;
        for (name, Variable { value, .. }) in &variables {
            shown.insert(name.clone(), value.clone());
        }
        environment.extend(shown.clone());
        let mut remarks = Vec::new();
        let is_private = !dotenv.is_empty();
        for (name, value) in dotenv {
            if name.starts_with(tag::PREFIX) || variables.get(&name).is_some_and(|variable| variable.is_fixed)
            {
                remarks.push(format!(
                    "{}: .env sets {name}, which the yard sets itself, so that the service is where the ledger says; left out",
                    self.cargo.walked
                ));
                continue;
            }
            shown.insert(name.clone(), MASK.to_owned());
            environment.insert(name, value);
        }
        let tags = tag::of(&context);
        context.spawned.plan.env.extend(tags.clone());
        environment.extend(tags);
        let plan = Plan {
            home: home.path().to_owned(),
            context_name: self.file(&run.session, "context.json"),
            ready_path: values.fill(&self.kind.ready.path),
            context,
            environment,
            is_private,
            ports: ports.to_owned(),
            ready_timeout: self.kind.ready.timeout(),
            restart: settings.restart,
            stop_timeout: settings.stop_timeout,
            max_log_bytes: settings.max_log_bytes,
        };
        Ok((plan, remarks))
    }

    /// The variables of the `.env` file beside the data file.
    fn dotenv(&self) -> io::Result<BTreeMap<String, String>> {
        let folder = Path::new(&self.cargo.provenance).parent().unwrap_or(Path::new("/"));
        let file = match std::fs::File::open(folder.join(".env")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}/.env: {error}", folder.display())));
            }
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_DOTENV_BYTES), &mut bytes)?;
        Ok(parse_dotenv(&String::from_utf8_lossy(&bytes)))
    }

    fn context(&self, settings: &Settings, home: &Home, run: &Run, values: &Values<'_>) -> Context {
        let (cargo, kind, port) = (self.cargo, &self.kind.name, values.port);
        let file = |end| home.path().join(self.file(&run.session, end)).to_string_lossy().into_owned();
        let (context, stdout, stderr) = (file("context.json"), file("stdout.log"), file("stderr.log"));
        let (device, inode) = cargo.stamp.inode();
        let base_url = format!("http://{}", ports::address(&settings.listen_host, port));
        let label = format!("{kind}:{}", cargo.walked);
        let executable = values.fill(&self.kind.command);
        let args = self.kind.arguments(values);
        Context {
            service_id: self.id.clone(),
            session_id: run.session.clone(),
            provenance: cargo.provenance.clone(),
            relative_path: cargo.relative.clone(),
            kind: kind.clone(),
            port,
            proxy_prefix: self.prefix.clone(),
            pid: None,
            spawned_at: None,
            executable: executable.clone(),
            args: args.clone(),
            started_at: None,
            service: Service {
                id: cargo.walked.clone(),
                kind: kind.clone(),
                label: label.clone(),
                proxy_endpoint_prefix: self.prefix.clone(),
                upstream_url: format!("{base_url}{}", self.prefix),
            },
            supplier: Supplier {
                nature: "embedded".to_owned(),
                kind: kind.clone(),
                src_path: SrcPath {
                    path: cargo.root.clone(),
                    globs: PATTERNS.iter().map(|&pattern| pattern.to_owned()).collect(),
                },
                location: cargo.walked.clone(),
                label: cargo.file_name().to_owned(),
                db_path: cargo.walked.clone(),
            },
            session: run.context(),
            listen: Listen {
                host: settings.listen_host.clone(),
                port,
                probe_url: format!("{base_url}{}", values.fill(&self.kind.ready.path)),
                base_url,
            },
            spawned: Spawned {
                pid: None,
                plan: SpawnPlan {
                    command: executable,
                    args,
                    env: BTreeMap::new(),
                    tag: label,
                    cwd: values.run.to_owned(),
                    stdout_log_path: stdout.clone(),
                    stderr_log_path: stderr.clone(),
                },
            },
            paths: Paths { context, stdout, stderr },
            file: DataFile { device, inode },
            state: State::starting(),
            process: None,
            keeper: None,
        }
    }
}
