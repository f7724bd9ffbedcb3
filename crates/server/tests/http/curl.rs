//! The client that everybody has.

use std::net::SocketAddr;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{Daemon, Folder};

/// A daemon with a gateway on a free port.
pub(crate) struct Served {
    pub(crate) daemon: Daemon,
    pub(crate) http: SocketAddr,
}

impl Served {
    pub(crate) async fn start(yaml: &str) -> Self {
        Self::from(Folder::new(&with_gateway(yaml))).await
    }

    /// A folder whose configuration has a gateway.
    pub(crate) async fn from(folder: Folder) -> Self {
        let server = folder.bind().await.unwrap();
        let (address, handle, http) = (server.address(), server.handle(), server.http_address().unwrap());
        Self { daemon: Daemon { address, handle, running: tokio::spawn(server.run()), folder }, http }
    }

    /// `curl` to this gateway, to the store `orders`.
    pub(crate) fn curl(&self, method: &str, path: &str) -> Curl {
        self.bare(method, path).header("x-ledger-store: orders")
    }

    /// `curl` to this gateway, without any header.
    pub(crate) fn bare(&self, method: &str, path: &str) -> Curl {
        Self::to(method, format!("http://{}{path}", self.http))
    }

    /// `curl` by TLS, to the name `localhost`.
    pub(crate) fn secure(&self, method: &str, path: &str) -> Curl {
        Self::to(method, format!("https://localhost:{}{path}", self.http.port()))
    }

    fn to(method: &str, url: String) -> Curl {
        let arguments = ["-sS", "-i", "--path-as-is", "--globoff", "--max-time", "60", "-X", method];
        let mut arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        arguments.push(url);
        Curl { arguments }
    }

    pub(crate) async fn append(&self, stream: &str, payloads: &[&str]) -> Vec<String> {
        use base64::Engine;
        let entries = payloads.iter().map(|payload| {
            serde_json::json!({ "payload": base64::engine::general_purpose::STANDARD.encode(payload) })
        });
        let body = serde_json::json!({ "entries": entries.collect::<Vec<_>>() });
        let path = format!("/v1/streams/{stream}/entries");
        let answer = self.curl("POST", &path).body(&body.to_string()).run().await.ok();
        answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn with_gateway(yaml: &str) -> String {
    format!("listen: 127.0.0.1:0\nhttp_listen: 127.0.0.1:0\n{yaml}")
}

/// One run of `curl`.
pub(crate) struct Curl {
    arguments: Vec<String>,
}

impl Curl {
    pub(crate) fn header(self, header: &str) -> Self {
        self.with(&["-H", header])
    }

    pub(crate) fn body(self, body: &str) -> Self {
        self.with(&["--data-binary", body])
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new("curl");
        command.args(&self.arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self) -> Answer {
        let output = self.command().output().await;
        let output = output.expect("curl is needed; install it with: apt-get install -y curl");
        assert!(output.status.success(), "{:?}: {}", self.arguments, String::from_utf8_lossy(&output.stderr));
        Answer::of(&output)
    }

    /// The answer; `None` if there was no connection, or it was ended without one.
    pub(crate) async fn try_run(&self) -> Option<Answer> {
        let output = self.command().output().await.unwrap();
        output.status.success().then(|| Answer::of(&output))
    }

    /// What has come by the time that `--max-time` is over.
    pub(crate) async fn partial(&self) -> Answer {
        let output = self.command().output().await.unwrap();
        const TIMED_OUT: i32 = 28;
        let is_fine = output.status.success() || output.status.code() == Some(TIMED_OUT);
        assert!(is_fine, "{:?}: {}", self.arguments, String::from_utf8_lossy(&output.stderr));
        Answer::of(&output)
    }

    /// Runs on, and gives its lines as they come.
    pub(crate) fn follow(self) -> Following {
        let mut child = self
            .with(&["-N", "--no-include", "--max-time", "120"])
            .command()
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Following { _child: child, lines }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let mut rest = text.as_str();
        loop {
            let (head, behind) = rest.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines();
            let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
            if status == 100 {
                rest = behind;
                continue;
            }
            let headers = lines.filter_map(|line| line.split_once(": "));
            let headers =
                headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            return Self { status, headers, body: behind.to_owned() };
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer that must be a good one.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("grpc-metadata-content-type"), Some("application/grpc"));
        self.json()
    }

    /// Status, code and message of an answer that must be a refusal.
    pub(crate) fn refusal(&self) -> (u16, i64, String) {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["details"], serde_json::json!([]), "{self:?}");
        (self.status, body["code"].as_i64().unwrap(), body["message"].as_str().unwrap().to_owned())
    }
}

/// An event stream under way.
pub(crate) struct Following {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// One block of an event stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
    pub(crate) comment: String,
}

impl Block {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Following {
    /// The next block that is no heartbeat; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<Block> {
        let mut block = Block::default();
        let mut is_empty = true;
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if line.is_empty() {
                if !is_empty {
                    return Some(block);
                }
                continue;
            }
            let (field, value) = line.split_once(": ").unwrap();
            is_empty = false;
            match field {
                "event" => block.event = value.to_owned(),
                "id" => block.id = Some(value.to_owned()),
                "data" => block.data.push_str(value),
                "" => block.comment = value.to_owned(),
                "retry" => is_empty = true,
                _ => panic!("{line}"),
            }
        }
        None
    }

    /// The next entries: id and payload.
    pub(crate) async fn entries(&mut self, count: usize) -> Vec<(String, String)> {
        use base64::Engine;
        let mut entries = Vec::new();
        while entries.len() < count {
            let block = self.block().await.expect("the stream has ended");
            if block.event.is_empty() && !block.data.is_empty() {
                let entry = block.json();
                assert_eq!(entry["id"].as_str(), block.id.as_deref());
                let payload = entry["payload"].as_str().unwrap();
                let payload = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
                entries.push((block.id.unwrap(), String::from_utf8(payload).unwrap()));
            }
        }
        entries
    }

    /// Reads on until an event of a name.
    pub(crate) async fn until(&mut self, event: &str) -> Block {
        loop {
            let block = self.block().await.unwrap_or_else(|| panic!("the stream has ended before {event}"));
            if block.event == event {
                return block;
            }
        }
    }
}
