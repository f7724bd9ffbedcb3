//! What the console's proxy adds to a small request: beside the same request sent to the service directly, on a machine
//! with many services, as processes must not be enumerated for a request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Instant;

use crate::cargo::Yard;
use crate::common::report::Report;
use crate::common::support::quantile;

/// Other services that run.
const OTHERS: usize = 50;
/// Rounds of direct and proxied requests in turn, and requests of each in a round.
const ROUNDS: usize = 10;
const REQUESTS: usize = 500;
/// The program that is measured, and its kind: it knows no prefix and keeps connections.
const PROGRAM: &str = "keeping";
const KINDS: &str = "kinds: {keeping: {match: {extensions: [.keeping.db]}, command: keeping, args: ['{address}'], ready: {path: /}}}\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/// Whether this process is to be the service.
pub(crate) fn is_service() -> bool {
    let program = std::env::args_os().next().unwrap_or_default();
    std::path::Path::new(&program).file_name() == Some(PROGRAM.as_ref())
}

/// Answers every request; connections stay open.
pub(crate) fn serve() {
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap()).unwrap();
    for stream in listener.incoming() {
        std::thread::spawn(move || {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut closes = false;
            let mut line = String::new();
            while !closes && lines.read_line(&mut line).is_ok_and(|length| length > 0) {
                loop {
                    closes |= line.to_ascii_lowercase().starts_with("connection: close");
                    line.clear();
                    if !lines.read_line(&mut line).is_ok_and(|length| length > 2) {
                        break;
                    }
                }
                line.clear();
                stream.write_all(ANSWER).unwrap();
            }
        });
    }
}

pub(crate) fn overhead(report: &mut Report) {
    let yard = Yard::with(OTHERS, true);
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), yard.at("programs").join(PROGRAM)).unwrap();
    std::fs::write(yard.at("yard.yaml"), KINDS).unwrap();
    std::fs::copy(yard.at("template"), yard.at("cargo.d/x.keeping.db")).unwrap();
    yard.start();
    let link = yard.at("ledger.d/.run/x.keeping.db/current");
    let context: serde_json::Value = serde_json::from_slice(&std::fs::read(link).unwrap()).unwrap();
    let mut web = yard.ledger(&["web", "--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(web.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port: u16 = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    let service = u16::try_from(context["port"].as_u64().unwrap()).unwrap();
    let (mut direct, mut proxied) = (Client::new(service, "/"), Client::new(port, "/x.keeping.db/"));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (client, times) in [&mut direct, &mut proxied].into_iter().zip(&mut times) {
            // The first ones of a round find cold caches.
            (0..REQUESTS / 10).for_each(|_| _ = client.get());
            times.extend((0..REQUESTS).map(|_| client.get()));
        }
    }
    web.kill().unwrap();
    web.wait().unwrap();
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let [direct, proxied] = times.map(|times| [quantile(&times, 0.5), quantile(&times, 0.99)]);
    report.fact("a small GET directly, median (ms)", direct[0]);
    report.fact("a small GET through the proxy, median (ms)", proxied[0]);
    report.fact("a small GET through the proxy, 99th percentile (ms)", proxied[1]);
    report.at_most("what the proxy adds, median (µs)", (proxied[0] - direct[0]) * 1e3, 500.0);
}

/// One connection that is kept.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    fn new(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").into_bytes();
        Self { stream, request, answer: vec![0; 4096] }
    }

    /// One request and its answer; how long it took in milliseconds.
    fn get(&mut self) -> f64 {
        let since = Instant::now();
        self.stream.write_all(&self.request).unwrap();
        let mut length = 0;
        while !self.answer[..length].ends_with(b"\r\n\r\nok") {
            match self.stream.read(&mut self.answer[length..]).unwrap() {
                0 => panic!("{}", String::from_utf8_lossy(&self.answer[..length])),
                read => length += read,
            }
        }
        assert!(
            self.answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&self.answer[..length])
        );
        since.elapsed().as_secs_f64() * 1e3
    }
}
