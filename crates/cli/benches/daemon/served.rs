//! A daemon as a process of its own, with a fresh database, and a store in this process to compare it with.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use ledger_api::Client;
use ledger_sqlite::{SqliteStore, StreamNames};
use tempfile::TempDir;

use crate::common::support::folder;

/// A daemon that is stopped when this is dropped.
pub(crate) struct Daemon {
    home: TempDir,
}

impl Daemon {
    /// Starts one on a new database.
    pub(crate) fn start() -> Self {
        Self::configured("")
    }

    /// Starts one with these lines in its configuration.
    pub(crate) fn configured(yaml: &str) -> Self {
        let daemon = Self { home: folder() };
        let path = daemon.path("config.yaml");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("listen: 127.0.0.1:0\n{yaml}")).unwrap();
        daemon.run(&["start"]);
        daemon
    }

    /// A path in the folder of its configuration and its database.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(".ledger").join(name)
    }

    /// A command of the binary that concerns this daemon.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
        command.args(arguments).env_clear().env("HOME", self.home.path()).stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed; answers its standard output.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its process id and its address, as `status` says.
    pub(crate) fn process(&self) -> (String, String) {
        let status = self.run(&["status"]);
        let (_, facts) = status.split_once("(pid ").unwrap();
        let (pid, address) = facts.trim_end().trim_end_matches(')').split_once(", addr ").unwrap();
        (pid.to_owned(), address.to_owned())
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(&self) {
        let (pid, _) = self.process();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        while !self.command(&["status"]).output().unwrap().stdout.starts_with(b"ledger daemon is not running")
        {
        }
    }

    /// A client with a connection of its own.
    pub(crate) async fn connect(&self) -> Client<i64> {
        Client::at(self.process().1).connect().await.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.command(&["stop"]).output();
    }
}

/// A store in this process, of the kind that the daemon opens.
pub(crate) async fn embedded(folder: &TempDir) -> SqliteStore {
    let options = SqliteStore::open(folder.path().join("embedded.db"));
    options.stream_names(StreamNames::Mapped).build().await.unwrap()
}
