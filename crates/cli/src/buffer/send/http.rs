//! A file as the body of one POST.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use clap::Args;
use flate2::Compression;
use flate2::read::GzEncoder;
use jiff::Timestamp;
use ledger_buffer::LedgerReader;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response};
use ureq::{Agent, Body, SendBody};

use super::retry::Patience;
use crate::buffer::BufferError;
use crate::errors::Failure;

/// How long the endpoint may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one POST may take.
const POST_TIMEOUT: Duration = Duration::from_secs(120);
/// Most bytes of an answer that are shown.
const SHOWN_ANSWER_BYTES: u64 = 500;

/// How to POST.
#[derive(Args, Debug)]
pub(crate) struct HttpArgs {
    /// Compress what is sent
    #[arg(long)]
    gzip: bool,
    /// Header to send along, such as "Authorization: Basic …"; repeatable
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

/// Where files are sent to.
pub(super) struct Endpoint {
    agent: Agent,
    url: String,
    headers: HeaderMap,
    gzip: bool,
    patience: Patience,
}

/// Why an attempt failed.
enum Problem {
    /// It may work later, perhaps at a time that the endpoint has named.
    Later { reason: String, wait: Option<Duration> },
    /// It will not work.
    Never(BufferError),
}

impl Endpoint {
    /// # Errors
    /// [`Failure::Arguments`] for headers that are none.
    pub(super) fn new(
        url: &str,
        args: &HttpArgs,
        content_type: &str,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        let pairs = args.headers.iter().map(|text| (text, text.split_once(':')));
        for (text, pair) in pairs {
            let wrong = || Failure::Arguments(format!("--header {text:?} is not of the form NAME: VALUE"));
            let (name, value) = pair.ok_or_else(wrong)?;
            headers.append(
                header_name(name.trim()).ok_or_else(wrong)?,
                header_value(value.trim()).ok_or_else(wrong)?,
            );
        }
        let content_type = header_value(content_type)
            .ok_or_else(|| Failure::Arguments("--content-type is no type".to_owned()))?;
        headers.entry("content-type").or_insert(content_type);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(POST_TIMEOUT))
            .user_agent(concat!("ledger/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { agent, url: url.to_owned(), headers, gzip: args.gzip, patience })
    }

    /// Sends a file, trying again as long as there is hope; answers its bytes.
    pub(super) fn send(&mut self, reader: &mut LedgerReader) -> Result<(u64, u64), Failure> {
        let mut attempts = self.patience.begin();
        loop {
            let (reason, wait) = match self.post(reader) {
                Ok(()) => return Ok((reader.content_length(), 0)),
                Err(Problem::Never(error)) => return Err(error.into()),
                Err(Problem::Later { reason, wait }) => (reason, wait),
            };
            match attempts.next_wait(wait) {
                Some(wait) => std::thread::sleep(wait),
                None => {
                    let (file, attempts) = (reader.path(), attempts.count());
                    return Err(BufferError::GaveUp { file, reason, attempts }.into());
                }
            }
            reader.rewind();
        }
    }

    fn post(&self, reader: &mut LedgerReader) -> Result<(), Problem> {
        let (path, length) = (reader.path(), reader.content_length());
        let mut request = self.agent.post(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = if self.gzip {
            // How long it will be is not known before it has been compressed: it goes out in chunks.
            let mut packed = GzEncoder::new(reader, Compression::default());
            let body = SendBody::from_reader(&mut packed);
            request.header("content-encoding", "gzip").send(body)
        } else {
            request.header("content-length", length.to_string()).send(SendBody::from_reader(reader))
        };
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(refusal(answer, path)),
            // The file is not what it was when it was checked.
            Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                Err(Problem::Never(BufferError::Io(error)))
            }
            Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => {
                let text = format!("{:?} is no address that can be posted to: {error}", self.url);
                Err(Problem::Never(BufferError::Io(std::io::Error::new(ErrorKind::InvalidInput, text))))
            }
            Err(error) => Err(Problem::Later { reason: error.to_string(), wait: None }),
        }
    }
}

fn refusal(mut answer: Response<Body>, file: std::path::PathBuf) -> Problem {
    let status = answer.status();
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        let wait = answer.headers().get("retry-after").and_then(|value| retry_after(value, Timestamp::now()));
        return Problem::Later { reason: format!("the endpoint answered {status}"), wait };
    }
    let mut shown = Vec::new();
    // Whatever cannot be read of it is not shown.
    let _ = answer.body_mut().as_reader().take(SHOWN_ANSWER_BYTES).read_to_end(&mut shown);
    let shown = String::from_utf8_lossy(&shown).trim().to_owned();
    Problem::Never(BufferError::Refused { file, status: status.as_u16(), answer: shown })
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a point in time.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(then.duration_since(now)).unwrap_or_default())
}

fn header_name(text: &str) -> Option<HeaderName> {
    text.parse().ok()
}

fn header_value(text: &str) -> Option<HeaderValue> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_point_in_time() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let wait = |text| retry_after(&HeaderValue::from_static(text), now);
        assert_eq!(wait("17"), Some(Duration::from_secs(17)));
        assert_eq!(wait("Sat, 21 Nov 2026 12:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Sat, 21 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
