//! A home folder for a daemon.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::Run;

/// A home folder; the daemon that runs in it is stopped when it is dropped.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    /// A home with a configuration that takes any free port.
    pub(crate) fn new() -> Self {
        let home = Self::empty();
        home.configure("");
        home
    }

    /// A home in another folder than that for temporary files.
    pub(crate) fn on(folder: &Path) -> Self {
        let home = Self { folder: tempfile::tempdir_in(folder).unwrap() };
        home.configure("");
        home
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn configure(&self, yaml: &str) {
        std::fs::create_dir_all(self.path("")).unwrap();
        std::fs::write(self.path("config.yaml"), format!("listen: 127.0.0.1:0\n{yaml}")).unwrap();
        // It may hold a key.
        std::fs::set_permissions(self.path("config.yaml"), PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// A path in the configuration folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(".ledger").join(name)
    }

    pub(crate) fn content(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
        command.args(arguments).env_clear().env("HOME", self.folder.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        finished(&mut self.command(arguments))
    }

    /// Runs what must succeed; answers its standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run.out
    }

    /// Starts the daemon; answers its pid.
    pub(crate) fn start(&self) -> u32 {
        let out = self.ok(&["start"]);
        let pid = out.strip_prefix("ledger daemon started (pid ").and_then(|rest| rest.strip_suffix(")\n"));
        pid.unwrap_or_else(|| panic!("{out}")).parse().unwrap()
    }

    /// Where the daemon listens, as `status` says.
    pub(crate) fn address(&self) -> String {
        let out = self.ok(&["status"]);
        let (_, address) = out.trim_end().trim_end_matches(')').split_once(", addr ").unwrap();
        address.to_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.command(&["stop"]).output();
    }
}

/// A daemon that commands on streams talk to.
pub(crate) struct Wire {
    pub(crate) home: Home,
    pub(crate) address: String,
}

impl Wire {
    pub(crate) fn start() -> Self {
        let home = Home::new();
        home.start();
        Self { address: home.address(), home }
    }

    pub(crate) fn with_address<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["stream"], arguments, &["--addr", &self.address]].concat()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.home.run(&self.with_address(arguments))
    }

    /// Runs what must succeed without a remark; answers standard output.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{arguments:?}");
        run.out
    }

    /// Runs what must fail without printing results; answers standard error.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{arguments:?}: {}", run.err);
        run.err
    }
}

pub(crate) fn finished(command: &mut Command) -> Run {
    Run::of(command.output().unwrap())
}
