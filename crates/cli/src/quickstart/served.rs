//! The second half of the tour: a daemon on free ports, and what can be pasted to talk to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use ledger_api::proto::SOURCES;
use ledger_server::{DaemonError, Handle, Loaded, Overrides, ServeError, Server};
use ledger_streams::DEFAULT_STORE_NAME;
use tokio::process::Command;
use tokio::task::{JoinError, JoinHandle};

use super::{Interruptions, STREAM, Words, cannot_write};
use crate::console::Console;
use crate::errors::Failure;

/// A client of few lines, on what a generator makes of the protocol.
const CLIENT: &str = include_str!("client.py");
/// How long a command that is shown may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves the database, shows how to talk to it, and goes on until it is interrupted, or to the end of what is shown.
pub(super) async fn show(
    database: &Path,
    folder: &Path,
    words: &Words,
    exit: bool,
    interruptions: &mut Interruptions,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let daemon = Daemon::start(database, folder).await?;
    let mut shown = interruptions.end(examples(&daemon, folder, console)).await;
    if shown.is_ok() && !exit {
        shown = go_on(&daemon, database, folder, words, console);
        if shown.is_ok() {
            interruptions.next().await;
        }
    }
    daemon.stop().await?;
    shown
}

/// A daemon in this process, so that none is left behind.
struct Daemon {
    grpc: SocketAddr,
    http: Option<SocketAddr>,
    handle: Handle,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Daemon {
    async fn start(database: &Path, folder: &Path) -> Result<Self, Failure> {
        let config = folder.join("config.yaml");
        let database = std::path::absolute(database).map_err(|error| cannot_write(database, error))?;
        // A JSON string is a YAML string.
        let database = serde_json::Value::from(database.to_string_lossy());
        let text = format!(
            "listen: 127.0.0.1:0\nhttp_listen: 127.0.0.1:0\nshutdown_timeout: 1s\ndb: {{sqlite: {{path: {database}}}}}\n"
        );
        std::fs::write(&config, text).map_err(|error| cannot_write(&config, error))?;
        // Nothing of the environment: this daemon has nothing to do with any other.
        let loaded = Loaded::load(&Overrides { config: Some(config), ..Overrides::default() }, false)?;
        let server = Server::bind(loaded).await.map_err(DaemonError::from)?;
        let (grpc, http, handle) = (server.address(), server.http_address(), server.handle());
        Ok(Self { grpc, http, handle, running: tokio::spawn(server.run()) })
    }

    async fn stop(self) -> Result<(), Failure> {
        self.handle.stop();
        let ended: Result<_, JoinError> = self.running.await;
        match ended {
            Ok(ended) => Ok(ended.map_err(DaemonError::from)?),
            Err(error) => Err(Failure::Runtime(error.into())),
        }
    }
}

async fn examples(daemon: &Daemon, folder: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
    writeln!(console.out, "daemon   serves these entries with gRPC on {}", daemon.grpc)?;
    if let Some(http) = daemon.http {
        writeln!(console.out, "         and with HTTP on {http}")?;
        let url = format!("http://{http}/v1/streams/{STREAM}/entries?options.limit=1&options.desc=true");
        let command = format!("curl -sS -w '\\n' -H 'x-ledger-store: {DEFAULT_STORE_NAME}' '{url}'");
        let example = Example { name: "curl", title: "the newest entry", needs: "curl --version", command };
        example.show(folder, console).await?;
    }
    write_client(folder)?;
    let protos = SOURCES.map(|(path, _)| path).join(" ");
    let needs = "python3 -c 'import grpc_tools.protoc'";
    let command = format!(
        "python3 -m grpc_tools.protoc --proto_path=proto --python_out=. --grpc_python_out=. {protos}"
    );
    let generate =
        Example { name: "generate", title: "a client in Python (pip install grpcio-tools)", needs, command };
    generate.show(folder, console).await?;
    let command = format!("python3 client.py {}", daemon.grpc);
    let call = Example { name: "call", title: "append an entry with it", needs, command };
    call.show(folder, console).await
}

/// Writes the protocol and a program that uses it.
fn write_client(folder: &Path) -> Result<(), Failure> {
    let client = ("client.py".to_owned(), CLIENT);
    let sources = SOURCES.map(|(path, text)| (format!("proto/{path}"), text));
    for (path, text) in sources.into_iter().chain([client]) {
        let path = folder.join(path);
        let written = match path.parent() {
            Some(folder) => std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)),
            None => Ok(()),
        };
        written.map_err(|error| cannot_write(&path, error))?;
    }
    Ok(())
}

/// A command that can be pasted into a shell.
struct Example {
    name: &'static str,
    title: &'static str,
    /// A command that succeeds where the example can be run.
    needs: &'static str,
    command: String,
}

impl Example {
    /// Prints it and, where its program is there, runs it and prints what it says.
    async fn show(&self, folder: &Path, console: &mut Console<'_>) -> Result<(), Failure> {
        let Self { name, title, needs, command } = self;
        let place = quoted(&folder.to_string_lossy());
        writeln!(console.out, "{name:<8} {title}:\n           cd {place} && {command}")?;
        console.out.flush()?;
        if !run(needs, folder).await.is_some_and(|output| output.status.success()) {
            return Ok(writeln!(console.out, "           (not run: its program is not installed here)")?);
        }
        match run(command, folder).await {
            Some(output) => {
                for line in String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).lines() {
                    writeln!(console.out, "           > {line}")?;
                }
                if !output.status.success() {
                    writeln!(console.out, "           (it failed: {})", output.status)?;
                }
            }
            None => writeln!(console.out, "           (it took too long, or could not be started)")?,
        }
        Ok(console.out.flush()?)
    }
}

/// Runs a command in the folder; `None` if it could not be started, or took too long.
async fn run(command: &str, folder: &Path) -> Option<Output> {
    let mut shell = Command::new("sh");
    // In place of the shell, so that nothing is left of it if this is interrupted.
    shell
        .args(["-c", &format!("exec {command}")])
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(COMMAND_TIMEOUT, shell.output()).await.ok()?.ok()
}

fn go_on(
    daemon: &Daemon,
    database: &Path,
    folder: &Path,
    words: &Words,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ledger"));
    let (program, tag, word) = (quoted(&program.to_string_lossy()), quoted(&words.tag), quoted(&words.text));
    let stays = if database.starts_with(folder) {
        "use --db FILE to keep the entries".to_owned()
    } else {
        format!("the entries stay in {}", database.display())
    };
    writeln!(
        console.out,
        r#"
Go on in another terminal with:

  alias ledger={program}
  export LEDGER_LISTEN={}
  ledger stream list
  ledger stream stat   --stream {STREAM}
  ledger stream read   --stream {STREAM} --tag {tag} --desc --limit 5
  ledger stream search --stream {STREAM} {word}
  ledger stream tail   --stream {STREAM} --from now &
  ledger stream append --stream {STREAM} --json '{{"type":"login","user":"you"}}'
  ledger stream export --stream {STREAM} --output events.jsonl

The daemon runs until Ctrl+C, which also removes {} ({stays})."#,
        daemon.grpc,
        folder.display(),
    )?;
    Ok(console.out.flush()?)
}

/// A word of a POSIX shell.
fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
