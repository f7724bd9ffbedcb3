//! The daemon's log: text on standard error, or JSON lines in a file that is set aside when it has grown
//! (specification §6.6).
//!
//! ```json
//! {"time":"2026-11-21T07:00:00.123Z","level":"INFO","msg":"ledger daemon listening","addr":"127.0.0.1:50051"}
//! ```
//!
//! A full file `ledger.log` becomes `ledger.log.1`, that becomes `ledger.log.2`, and so on; the oldest is deleted.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Size at which a log file is set aside.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// How many files are kept beside the current one.
const KEPT_FILES: u32 = 3;

/// Where the log goes. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    file: Option<Arc<Mutex<RotatingFile>>>,
}

impl Log {
    /// A log in a file, or on standard error with `None`.
    ///
    /// # Errors
    /// Those of opening the file.
    pub fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let file = match path {
            Some(path) => Some(RotatingFile::open(path, MAX_FILE_BYTES)?),
            None => None,
        };
        Ok(Self { file: file.map(|file| Arc::new(Mutex::new(file))) })
    }

    /// Makes it the log of this process, from level INFO. The first call counts.
    pub fn install(&self) {
        let builder = tracing_subscriber::fmt().with_max_level(Level::INFO).with_writer(self.clone());
        let result = builder.event_format(Lines { is_json: self.file.is_some() }).try_init();
        if result.is_err() {
            tracing::debug!("this process has a log already");
        }
    }

    /// Whether it goes to a file.
    pub fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Opens the file again, in case somebody else has set it aside.
    ///
    /// # Errors
    /// Those of opening it; the old one stays in use.
    pub fn reopen(&self) -> std::io::Result<()> {
        match &self.file {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).reopen(),
            None => Ok(()),
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LogWriter;
    fn make_writer(&'a self) -> LogWriter {
        LogWriter(self.clone())
    }
}

/// Writes whole lines to a [`Log`].
pub struct LogWriter(Log);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match &self.0.file {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write(line),
            None => std::io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct RotatingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    max_bytes: u64,
}

impl RotatingFile {
    fn open(path: &Path, max_bytes: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, max_bytes })
    }

    fn reopen(&mut self) -> std::io::Result<()> {
        *self = Self::open(&self.path, self.max_bytes)?;
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let line_bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(line_bytes) > self.max_bytes {
            self.set_aside();
        }
        self.file.write_all(line)?;
        self.bytes = self.bytes.saturating_add(line_bytes);
        Ok(line.len())
    }

    /// If it fails, the log goes on in the old file: better too large than lost.
    fn set_aside(&mut self) {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT_FILES).rev() {
            let _ = std::fs::rename(numbered(number), numbered(number.saturating_add(1)));
        }
        let _ = std::fs::rename(&self.path, numbered(1)).and_then(|()| self.reopen());
    }
}

/// The form of a line.
struct Lines {
    is_json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = Timestamp::now();
        let level = event.metadata().level().as_str();
        let message = fields.0.remove("message").unwrap_or_default();
        if self.is_json {
            write!(writer, r#"{{"time":"{now:.3}","level":"{level}","msg":{message}"#)?;
            for (name, value) in &fields.0 {
                write!(writer, ",{}:{value}", Value::from(name.as_str()))?;
            }
            return writeln!(writer, "}}");
        }
        write!(writer, "{now:.3} {level} {}", text(&message))?;
        for (name, value) in &fields.0 {
            write!(writer, " {name}={}", text(value))?;
        }
        writeln!(writer)
    }
}

/// A value on a line of text: quoted where it would break the line or its fields.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) if !text.contains(|c: char| c.is_control() || c == '"') => text.clone(),
        other => other.to_string(),
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.0.insert(field.name().to_owned(), text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.log");
        let mut log = RotatingFile::open(&path, 10).unwrap();
        for number in 0..6 {
            log.write(format!("line {number}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("ledger.log").unwrap(), "line 5\n");
        assert_eq!(read("ledger.log.1").unwrap(), "line 4\n");
        assert_eq!(read("ledger.log.3").unwrap(), "line 2\n");
        assert_eq!(read("ledger.log.4"), None);
        // A file that is there already counts with what it holds.
        RotatingFile::open(&path, 10).unwrap().write(b"line 6\n").unwrap();
        assert_eq!(read("ledger.log").unwrap(), "line 6\n");
    }

    #[test]
    fn a_line_of_the_file_is_one_json_object() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.log");
        let log = Log::open(Some(&path)).unwrap();
        let subscriber =
            tracing_subscriber::fmt().with_writer(log).event_format(Lines { is_json: true }).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(addr = %"127.0.0.1:1", count = 3_u64, "two\nlines \"quoted\"");
        });
        let line = std::fs::read_to_string(&path).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert!(line.contains(r#"","level":"INFO","msg":"two\nlines"#), "{line}");
        assert_eq!(value["msg"], "two\nlines \"quoted\"");
        assert_eq!((&value["level"], &value["addr"]), (&Value::from("INFO"), &Value::from("127.0.0.1:1")));
        assert_eq!(value["count"], 3);
        assert_eq!(line.lines().count(), 1);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }
}
