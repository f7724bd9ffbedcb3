//! A folder with cargo and a ledger, and stand-ins for the programs that serve.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Listens as SQLPage and surveilr do. How it behaves is said by a file beside the database: `NAME.behaviour`.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import http.server, os, signal, subprocess, sys, time
if os.path.basename(sys.argv[0]) == "surveilr":
    flags = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    host, port, path = flags["--host"], flags["--port"], flags["-d"]
else:
    host, port = os.environ["LISTEN_ON"].rsplit(":", 1)
    path = os.environ["DATABASE_URL"][len("sqlite://"):]
try:
    behaviour = open(path + ".behaviour").read().strip()
except OSError:
    behaviour = ""
if behaviour == "die":
    print("cannot go on: nothing is right today", file=sys.stderr)
    sys.exit(7)
if behaviour == "hang":
    time.sleep(600)
if behaviour == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if behaviour == "fork":
    env = {k: v for k, v in os.environ.items() if not k.startswith("TRUTH_YARD")}
    away = subprocess.Popen(["sleep", "600"], start_new_session=True, env=env)
    open(path + ".forked", "w").write(str(away.pid))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("served " + path).encode())
    def log_message(self, form, *args):
        print(form % args, flush=True)
server = http.server.ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
print("started successfully", file=sys.stderr, flush=True)
server.serve_forever()
"#;

/// A yard of one test. All its services end with it.
pub(crate) struct Yard {
    folder: TempDir,
    path: String,
}

impl Yard {
    /// Two services: `apps/dashboard.db` (sqlpage) and `evidence/audit.sqlite.db` (surveilr).
    pub(crate) fn new() -> Self {
        let yard = Self::empty();
        yard.database("apps/dashboard.db", "sqlpage_files");
        yard.database("evidence/audit.sqlite.db", "uniform_resource");
        yard
    }

    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("programs");
        fs::create_dir_all(&programs).unwrap();
        fs::create_dir_all(folder.path().join("cargo.d")).unwrap();
        for name in ["sqlpage", "surveilr"] {
            let program = programs.join(name);
            fs::write(&program, STAND_IN).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        Self { folder, path }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn cargo(&self, name: &str) -> PathBuf {
        self.at("cargo.d").join(name)
    }

    /// Makes a database with one table.
    pub(crate) fn database(&self, name: &str, table: &str) {
        let path = self.cargo(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let database = rusqlite::Connection::open(path).unwrap();
        database.execute_batch(&format!("CREATE TABLE {table}(path, contents, last_modified)")).unwrap();
    }

    /// Says how the service of a database behaves.
    pub(crate) fn behaviour(&self, name: &str, behaviour: &str) {
        fs::write(self.cargo(&format!("{name}.behaviour")), behaviour).unwrap();
    }

    /// A command in the folder of the yard.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
        command.arg("yard").args(args).current_dir(self.folder.path()).env("PATH", &self.path);
        command.env_remove("LEDGER_DB").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; answers its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The context of a service as it is now.
    pub(crate) fn context(&self, relative: &str) -> Value {
        let link = self.at("ledger.d/.run").join(relative).join("current");
        serde_json::from_slice(&fs::read(link).unwrap()).unwrap()
    }

    /// The state of a service as it is now; empty before there is any.
    pub(crate) fn state(&self, relative: &str) -> String {
        let link = self.at("ledger.d/.run").join(relative).join("current");
        let bytes = fs::read(link).unwrap_or_default();
        let context: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        context.pointer("/state/name").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn pid(&self, relative: &str) -> u32 {
        u32::try_from(self.context(relative)["pid"].as_u64().unwrap()).unwrap()
    }

    /// Starts a watch, and waits for its first listing.
    pub(crate) fn watch(&self, args: &[&str]) -> Watch<'_> {
        let out = fs::File::create(self.at("watch.out")).unwrap();
        let all = [&["start", "--watch"], args].concat();
        let child = self.command(&all).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        Watch { yard: self, child }
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = self.command(&["kill", "--timeout", "0"]).output();
    }
}

/// A watch that runs.
pub(crate) struct Watch<'y> {
    yard: &'y Yard,
    child: Child,
}

impl Watch<'_> {
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.yard.at("watch.out")).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as Ctrl+C does.
    pub(crate) fn interrupt(mut self) -> String {
        signal(self.child.id(), "INT");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.output());
        self.output()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "{what}: did not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Whether a process is there and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// What a service answers.
pub(crate) fn get(context: &Value) -> String {
    use std::io::{Read, Write};
    let port = u16::try_from(context["port"].as_u64().unwrap()).unwrap();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The mode of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A program that a test needs; Debian's package has it.
pub(crate) fn need(program: &str, package: &str) {
    if Command::new(program).arg("--version").output().is_ok() {
        return;
    }
    let install =
        format!("apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq {package}");
    let installed = Command::new("sh").args(["-c", &install]).output().unwrap();
    assert!(
        installed.status.success(),
        "this test needs {program}: apt-get install {package}; {installed:?}"
    );
}
