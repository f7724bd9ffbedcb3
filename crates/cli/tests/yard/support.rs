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

/// Listens as SQLPage and surveilr do.
const STAND_IN: &str = include_str!("stand_in.py");

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
        Self::without_programs().with_stand_ins()
    }

    /// With the programs that the machine has.
    pub(crate) fn without_programs() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("cargo.d")).unwrap();
        Self { folder, path: std::env::var("PATH").unwrap() }
    }

    /// Programs in this folder come before all others.
    pub(crate) fn with_programs(mut self, folder: &Path) -> Self {
        self.path = format!("{}:{}", folder.display(), self.path);
        self
    }

    fn with_stand_ins(self) -> Self {
        let programs = self.at("programs");
        fs::create_dir_all(&programs).unwrap();
        for name in ["sqlpage", "surveilr"] {
            let program = programs.join(name);
            fs::write(&program, STAND_IN).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        self.with_programs(&programs)
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

    /// Runs a command that must not succeed; answers its standard error.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// What `ps` says.
    pub(crate) fn ps(&self) -> Vec<Value> {
        self.ok(&["ps", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The folder of the newest session.
    pub(crate) fn session(&self) -> PathBuf {
        let name = fs::read_to_string(self.at("ledger.d/.current-session")).unwrap();
        self.at("ledger.d").join(name.trim())
    }

    /// The pid of what a service has forked away.
    pub(crate) fn forked(&self, name: &str) -> u32 {
        fs::read_to_string(self.cargo(&format!("{name}.forked"))).unwrap().parse().unwrap()
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
        number(&self.context(relative)["pid"])
    }

    pub(crate) fn keeper(&self, relative: &str) -> u32 {
        number(&self.context(relative)["keeper"]["pid"])
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

pub(crate) fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// What a service answers.
pub(crate) fn get(context: &Value) -> String {
    ask(context, "/")
}

/// What a service answers to the request for a path.
pub(crate) fn ask(context: &Value, path: &str) -> String {
    use std::io::{Read, Write};
    let port = u16::try_from(number(&context["port"])).unwrap();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The mode of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A program that a test needs; Debian's package has it. Tests that install take turns.
pub(crate) fn need(program: &str, package: &str) {
    let _turn = turn("apt");
    if Command::new(program).arg("-v").output().is_ok() {
        return;
    }
    let install = format!(
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {package}"
    );
    let installed = Command::new("sh").args(["-c", &install]).output().unwrap();
    assert!(
        installed.status.success(),
        "this test needs {program}: apt-get install {package}; {installed:?}"
    );
}

/// One at a time, over all test programs of this build.
pub(crate) fn turn(of: &str) -> fs::File {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).unwrap();
    let file = fs::File::create(folder.join(format!("{of}.turn"))).unwrap();
    file.lock().unwrap();
    file
}

/// The programs of a Python with these packages, installed once for every list of them.
pub(crate) fn python(name: &str, packages: &[&str]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    let _turn = turn(&format!("python-{name}"));
    let (done, wanted) = (folder.join("installed"), packages.join("\n"));
    if fs::read_to_string(&done).ok() != Some(wanted.clone()) {
        let run = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(
                output.status.success(),
                "this test needs python3 with venv and pip (apt-get install python3-venv python3-pip), and the network the \
                 first time: {command:?}: {output:?}"
            );
        };
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(folder.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(packages));
        fs::write(&done, wanted).unwrap();
    }
    folder.join("bin")
}

/// nginx with the files of `proxy-conf --nginx-out nginx`; ends with the value.
pub(crate) struct Nginx {
    server: Child,
    /// Where it listens.
    pub(crate) listen: String,
}

impl Nginx {
    /// Makes the files with these further flags, has nginx check them, and starts it.
    pub(crate) fn start(yard: &Yard, flags: &[&str]) -> Self {
        need("nginx", "nginx-light");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        yard.ok(&[&["proxy-conf", "--nginx-out", "nginx", "--listen", &listen], flags].concat());
        let config = format!(
            "daemon off; pid {0}/nginx.pid; error_log {0}/error.log;\nevents {{}}\nhttp {{ access_log off; \
             client_body_temp_path {0}/t; proxy_temp_path {0}/t; fastcgi_temp_path {0}/t; uwsgi_temp_path {0}/t; \
             scgi_temp_path {0}/t; include {0}/nginx/*.conf; }}\n",
            yard.at("").display().to_string().trim_end_matches('/')
        );
        fs::write(yard.at("nginx.conf"), config).unwrap();
        let nginx = || {
            let mut nginx = Command::new("nginx");
            nginx.arg("-c").arg(yard.at("nginx.conf")).arg("-e").arg(yard.at("error.log"));
            nginx
        };
        let tested = nginx().arg("-t").output().unwrap();
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        assert!(!String::from_utf8_lossy(&tested.stderr).contains("conflicting"), "{tested:?}");
        let nginx = Self { server: nginx().spawn().unwrap(), listen };
        until("nginx listens", || std::net::TcpStream::connect(&nginx.listen).is_ok());
        nginx
    }

    /// Status line, headers and body.
    pub(crate) fn ask(&self, path: &str, flags: &[&str]) -> String {
        let url = format!("http://{}{path}", self.listen);
        let output = Command::new("curl").args(["-s", "-i"]).args(flags).arg(url).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it on this signal only.
        signal(self.server.id(), "TERM");
        let _ = self.server.wait();
    }
}
