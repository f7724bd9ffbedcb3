//! A small HTTP server that answers as it is told and remembers what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body, unpacked if it was packed.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        match self.header("content-encoding") {
            Some("gzip") => GzDecoder::new(&self.body[..]).read_to_string(&mut text).unwrap(),
            _ => (&self.body[..]).read_to_string(&mut text).unwrap(),
        };
        text
    }
}

/// The server; it ends with the test.
pub(crate) struct Server {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers the first requests with these, `hang up` meaning no answer at all, and all others with 200.
    pub(crate) fn new(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/batch", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let (kept, mut answers) =
            (received.clone(), answers.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        answers.reverse();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), &kept, &mut answers);
            }
        });
        Self { url, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, received: &Mutex<Vec<Received>>, answers: &mut Vec<String>) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(request) = read_request(&mut reader) {
        received.lock().unwrap().push(request);
        let answer = answers.pop().unwrap_or_else(|| "200 OK".to_owned());
        if answer == "hang up" {
            return;
        }
        let (head, body) = answer.split_once('|').unwrap_or((&answer, ""));
        let length = body.len();
        if write!(writer, "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    assert_eq!(line, "POST /v1/batch HTTP/1.1\r\n");
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Received { headers, body: Vec::new() };
    match request.header("content-length").map(|length| length.parse::<usize>().unwrap()) {
        Some(length) => {
            request.body.resize(length, 0);
            reader.read_exact(&mut request.body).ok()?;
        }
        None => while read_chunk(reader, &mut request.body)? {},
    }
    Some(request)
}

fn read_chunk(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Option<bool> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
    let begin = body.len();
    body.resize(begin + length + 2, 0);
    reader.read_exact(&mut body[begin..]).ok()?;
    body.truncate(begin + length);
    Some(length > 0)
}
