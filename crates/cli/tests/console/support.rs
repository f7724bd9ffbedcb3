//! A console over a yard with two services, and a client that says exactly what is sent.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use crate::yard::{Yard, need, signal, until};

/// The application of the tests.
const APP: &str = include_str!("app.py");
/// A kind of service that does not know its prefix.
const CONFIG: &str = "kinds: {plain: {match: {extensions: [.plain.db]}, command: plain, args: ['{host}', '{port}'], ready: {path: /}}}\n";
/// Prefix of the service that knows it, and of the one that does not.
pub(crate) const KEPT: &str = "/apps/sqlpage/apps/kept";
pub(crate) const STRIPPED: &str = "/apps/plain/my apps/plain.plain";
/// The same in a URL.
pub(crate) const STRIPPED_URL: &str = "/apps/plain/my%20apps/plain.plain";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A yard whose services run: `apps/kept.db` is told its prefix, `my apps/plain.plain.db` is not.
pub(crate) fn yard() -> Yard {
    let yard = Yard::empty();
    for name in ["sqlpage", "plain"] {
        let program = yard.at("programs").join(name);
        fs::write(&program, APP).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(yard.at("yard.yaml"), CONFIG).unwrap();
    yard.database("apps/kept.db", "sqlpage_files");
    yard.database("my apps/plain.plain.db", "anything");
    yard.ok(&["start"]);
    yard
}

/// A console that runs.
pub(crate) struct Web {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

impl Web {
    /// Starts a console on a free port.
    pub(crate) fn start(yard: &Yard, args: &[&str]) -> Self {
        let mut command = yard.command(&[&["web", "--port", "0"], args].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let lines: Vec<String> = (0..5).map(|_| line(&mut out)).collect();
        assert!(lines[1].starts_with("UI:") && lines[4].starts_with("Ledger:"), "{lines:?}");
        let port = lines[0].rsplit(':').next().unwrap().trim().parse().unwrap();
        Self { child, out, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        line(&mut self.out)
    }

    /// Ends it as Ctrl+C does; it must end well.
    pub(crate) fn interrupt(mut self) {
        signal(self.child.id(), "INT");
        assert!(self.child.wait().unwrap().success());
    }

    /// A connection on which something was said. `Host` is added.
    pub(crate) fn say(&self, head: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = if head.to_ascii_lowercase().contains("\nhost:") { "" } else { "Host: localhost\r\n" };
        let head = head.trim_start().replace('\n', "\r\n");
        stream.write_all(format!("{head}\r\n{host}\r\n").as_bytes()).unwrap();
        BufReader::new(stream)
    }

    /// The answer to a request without a body.
    pub(crate) fn ask(&self, head: &str) -> Answer {
        Answer::read(
            &mut self.say(&format!("{head}\nConnection: close")),
            head.trim_start().starts_with("HEAD"),
        )
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1"))
    }

    /// JSON that must be there.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Memory that it has in the machine, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert!(out.read_line(&mut line).unwrap() > 0, "it has ended");
    line.trim_end().to_owned()
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads one answer.
    pub(crate) fn read(stream: &mut BufReader<TcpStream>, is_head: bool) -> Self {
        let mut answer = Self::read_head(stream);
        let is_chunked = answer.header("transfer-encoding") == Some("chunked");
        match answer.header("content-length").map(|length| length.parse::<usize>().unwrap()) {
            _ if is_head || answer.status == 101 || answer.status == 304 => {}
            Some(length) => {
                answer.body.resize(length, 0);
                stream.read_exact(&mut answer.body).unwrap();
            }
            None if is_chunked => {
                while let Some(chunk) = chunk(stream) {
                    answer.body.extend(chunk);
                }
            }
            None => _ = stream.read_to_end(&mut answer.body).unwrap(),
        }
        answer
    }

    /// Reads the head of one answer.
    pub(crate) fn read_head(stream: &mut BufReader<TcpStream>) -> Self {
        let status = line(stream).split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = line(stream);
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Self { status, headers, body: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The next piece of a body in pieces; `None` at its end.
pub(crate) fn chunk(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let length = usize::from_str_radix(&line(stream), 16).unwrap();
    let mut bytes = vec![0; length + 2];
    stream.read_exact(&mut bytes).unwrap();
    bytes.truncate(length);
    (length > 0).then_some(bytes)
}

/// Server-sent events, one after the other.
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    text: String,
    opened: Instant,
}

impl Events {
    pub(crate) fn open(web: &Web, path: &str) -> Self {
        let mut stream = web.say(&format!("GET {path} HTTP/1.1"));
        let head = Answer::read_head(&mut stream);
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        Self { stream, text: String::new(), opened: Instant::now() }
    }

    /// The next event: its name and data. Comments are passed over.
    pub(crate) fn next(&mut self) -> (String, Value) {
        loop {
            // Heartbeats alone go on for ever.
            assert!(self.opened.elapsed() < 2 * PATIENCE, "what is waited for does not come");
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let event = (field("event: "), field("data: "));
                self.text = rest.to_owned();
                if let (Some(name), Some(data)) = event {
                    return (name, serde_json::from_str(&data).unwrap());
                }
            } else {
                self.text +=
                    &String::from_utf8(chunk(&mut self.stream).expect("the stream goes on")).unwrap();
            }
        }
    }

    /// The next event of which something holds.
    pub(crate) fn until(&mut self, mut holds: impl FnMut(&str, &Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next();
            if holds(&name, &data) {
                return data;
            }
        }
    }
}

/// The folder of the build, where artefacts of tests are kept.
pub(crate) fn target() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_ledger"));
    binary.ancestors().nth(2).unwrap().to_owned()
}
