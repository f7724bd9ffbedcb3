//! A yard to measure: databases, a service over each, and the program that serves.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::support::folder;

/// Services of a yard.
pub(crate) const SERVICES: usize = 200;
/// Databases in one folder.
const IN_A_FOLDER: usize = 20;

/// Whether this process is to be a service.
pub(crate) fn is_service() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|program| Path::new(&program).file_name() == Some("sqlpage".as_ref()))
}

/// Answers every request, until a signal ends the process.
pub(crate) fn serve() {
    let listener = TcpListener::bind(std::env::var("LISTEN_ON").unwrap()).unwrap();
    for stream in listener.incoming() {
        let mut stream: TcpStream = stream.unwrap();
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok_and(|length| length > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    }
}

/// A folder with databases; what runs over them ends with it.
pub(crate) struct Yard {
    folder: TempDir,
}

impl Yard {
    /// So many databases with pages, or, if they are not served, without.
    pub(crate) fn with(databases: usize, are_served: bool) -> Self {
        let yard = Self { folder: folder() };
        std::fs::create_dir(yard.at("programs")).unwrap();
        let program = yard.at("programs/sqlpage");
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), program).unwrap();
        yard.database("template", are_served);
        for number in 0..databases {
            let name = format!("cargo.d/{:04}/{number:05}.db", number / IN_A_FOLDER);
            std::fs::create_dir_all(yard.at(&name).parent().unwrap()).unwrap();
            std::fs::copy(yard.at("template"), yard.at(&name)).unwrap();
        }
        yard
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self, name: &str, is_served: bool) {
        let database = rusqlite::Connection::open(self.at(name)).unwrap();
        let table = if is_served { "sqlpage_files" } else { "ordinary" };
        database.execute_batch(&format!("CREATE TABLE {table}(path, contents, last_modified)")).unwrap();
    }

    /// A command in the folder, with the service on its search path.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.at("programs").display(), std::env::var("PATH").unwrap());
        command.args(arguments).current_dir(self.folder.path()).env("PATH", path);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    pub(crate) fn ledger(&self, arguments: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_ledger"), &[&["yard"], arguments].concat())
    }

    /// Runs `ledger yard …`, which must succeed; how long it took.
    pub(crate) fn run(&self, arguments: &[&str]) -> Duration {
        let since = Instant::now();
        let output = self.ledger(arguments).output().unwrap();
        let took = since.elapsed();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        took
    }

    /// Starts everything that does not run; how long it took.
    pub(crate) fn start(&self) -> Duration {
        self.run(&["start", "--no-ls", "--port-base", "21000"])
    }

    /// Starts a watch and waits for its first round.
    pub(crate) fn watch(&self) -> Child {
        let out = std::fs::File::create(self.at("watch.out")).unwrap();
        let mut watch = self.ledger(&["start", "--watch", "--port-base", "21000"]);
        let child = watch.stdout(out).spawn().unwrap();
        while !std::fs::read_to_string(self.at("watch.out")).unwrap().contains("PROXY PREFIX") {
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = self.ledger(&["kill", "--timeout", "0"]).output();
    }
}
