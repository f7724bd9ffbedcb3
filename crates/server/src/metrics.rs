//! What the daemon counts, and how Prometheus reads it: [`Metrics::render`] answers `GET /metrics` in the OpenMetrics
//! text format. `docs/operations.md` lists every metric.
//!
//! Labels have few values on purpose: the name of the call and the code of its answer, never a store, stream or key,
//! of which there may be any number.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger_sqlite::Database;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use crate::listener::Admission;

/// The `Content-Type` of [`Metrics::render`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the latency histogram, in seconds: from a read in memory to a commit that waits for a busy disk.
const LATENCY_BOUNDS: [f64; 12] = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// The name of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabel {
    rpc: &'static str,
}

/// A call and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    rpc: &'static str,
    code: &'static str,
}

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    answers: Family<AnswerLabels, Counter>,
    latency: Family<CallLabel, Histogram, fn() -> Histogram>,
    open_calls: Family<CallLabel, Gauge>,
    appended_entries: Counter,
    appended_bytes: Counter,
    panics: Counter,
    gauges: Gauges,
    admission: Arc<Admission>,
    database: Database,
}

/// What is looked up when somebody asks.
#[derive(Default)]
struct Gauges {
    connections: Gauge,
    database_bytes: Gauge,
    log_bytes: Gauge,
    queued_writes: Gauge,
    resident_bytes: Gauge,
    open_descriptors: Gauge,
}

impl Metrics {
    /// Nothing counted so far.
    pub(crate) fn new(admission: Arc<Admission>, database: Database) -> Arc<Self> {
        let mut registry = Registry::default();
        let latency: Family<CallLabel, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCY_BOUNDS));
        let mut metrics = Self {
            registry: Registry::default(),
            answers: Family::default(),
            latency,
            open_calls: Family::default(),
            appended_entries: Counter::default(),
            appended_bytes: Counter::default(),
            panics: Counter::default(),
            gauges: Gauges::default(),
            admission,
            database,
        };
        metrics.register(&mut registry);
        metrics.registry = registry;
        Arc::new(metrics)
    }

    fn register(&self, registry: &mut Registry) {
        let ledger = registry.sub_registry_with_prefix("ledger");
        ledger.register("requests", "Calls that have ended, by call and code", self.answers.clone());
        let help = "Time from a request's headers to its answer, by call, without those that stay open";
        ledger.register_with_unit("request_duration", help, Unit::Seconds, self.latency.clone());
        let help = "Calls under way that stay open, such as Subscribe and AppendSession";
        ledger.register("open_calls", help, self.open_calls.clone());
        let help = "Entries that were appended, without duplicates";
        ledger.register("appended_entries", help, self.appended_entries.clone());
        let help = "Payload bytes of appends that succeeded";
        ledger.register_with_unit("appended", help, Unit::Bytes, self.appended_bytes.clone());
        let help = "Requests that failed by a fault of the program";
        ledger.register("panics", help, self.panics.clone());
        let gauges = &self.gauges;
        let help = "Connections that are open, handshakes included";
        ledger.register("connections", help, gauges.connections.clone());
        let help = "Connections that found no room";
        ledger.register("connections_refused", help, self.admission.refused());
        let help = "Size of the database file";
        ledger.register_with_unit("database", help, Unit::Bytes, gauges.database_bytes.clone());
        let help = "Size of the database's write-ahead log";
        ledger.register_with_unit("database_log", help, Unit::Bytes, gauges.log_bytes.clone());
        let help = "Writes that wait for the one thread that writes";
        ledger.register("queued_writes", help, gauges.queued_writes.clone());
        let build = Family::<Vec<(&str, &str)>, Gauge>::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
        ledger.register("build_info", "Always 1; the label is the version of this build", build);

        let process = registry.sub_registry_with_prefix("process");
        let start = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        let help = "When the daemon began, in seconds since 1970";
        process.register_with_unit("start_time", help, Unit::Seconds, start);
        let help = "Memory of the process that is in RAM";
        process.register_with_unit("resident_memory", help, Unit::Bytes, gauges.resident_bytes.clone());
        process.register("open_fds", "Open file descriptors", gauges.open_descriptors.clone());
    }

    /// A call with one answer has ended.
    pub(crate) fn answered(&self, rpc: &'static str, code: Code, after: Duration) {
        self.ended(rpc, code);
        self.latency.get_or_create(&CallLabel { rpc }).observe(after.as_secs_f64());
    }

    /// A call that stays open has begun.
    pub(crate) fn opened(&self, rpc: &'static str) {
        self.open_calls.get_or_create(&CallLabel { rpc }).inc();
    }

    /// A call that stays open has ended.
    pub(crate) fn closed(&self, rpc: &'static str, code: Code) {
        self.ended(rpc, code);
        self.open_calls.get_or_create(&CallLabel { rpc }).dec();
    }

    fn ended(&self, rpc: &'static str, code: Code) {
        self.answers.get_or_create(&AnswerLabels { rpc, code: name(code) }).inc();
    }

    /// Entries were appended.
    pub(crate) fn appended(&self, entries: usize, payload_bytes: usize) {
        self.appended_entries.inc_by(entries as u64);
        self.appended_bytes.inc_by(payload_bytes as u64);
    }

    /// A request has failed by a fault of the program.
    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// Everything as text, in the OpenMetrics format (`application/openmetrics-text; version=1.0.0`).
    pub(crate) fn render(&self) -> String {
        let gauges = &self.gauges;
        set(&gauges.connections, self.admission.open() as u64);
        set(&gauges.database_bytes, file_bytes(self.database.path()));
        let mut log = self.database.path().as_os_str().to_owned();
        log.push("-wal");
        set(&gauges.log_bytes, file_bytes(Path::new(&log)));
        set(&gauges.queued_writes, self.database.queued_writes() as u64);
        set(&gauges.resident_bytes, resident_bytes());
        set(&gauges.open_descriptors, std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64);
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics cannot be written as text");
        }
        text
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// 0 for a file that is not there, as a log that was written back.
fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// The second number of `/proc/self/statm`, in pages.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages.saturating_mul(rustix::param::page_size() as u64)
}

/// The name of a code, as gRPC spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_counted_can_be_read_and_every_line_is_well_formed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let database = Database::open(&path).connect().await.unwrap();
        database.store("orders").open().await.unwrap();
        let admission = Admission::new(10);
        let _permit = admission.admit([127, 0, 0, 1].into());
        let metrics = Metrics::new(admission, database);
        metrics.answered("Read", Code::Ok, Duration::from_millis(2));
        metrics.answered("Read", Code::NotFound, Duration::from_millis(200));
        metrics.opened("Subscribe");
        metrics.opened("Subscribe");
        metrics.closed("Subscribe", Code::Unauthenticated);
        metrics.appended(3, 300);
        let text = metrics.render();
        for line in [
            "ledger_requests_total{rpc=\"Read\",code=\"OK\"} 1",
            "ledger_requests_total{rpc=\"Read\",code=\"NOT_FOUND\"} 1",
            "ledger_requests_total{rpc=\"Subscribe\",code=\"UNAUTHENTICATED\"} 1",
            "ledger_request_duration_seconds_bucket{le=\"0.003\",rpc=\"Read\"} 1",
            "ledger_request_duration_seconds_count{rpc=\"Read\"} 2",
            "ledger_open_calls{rpc=\"Subscribe\"} 1",
            "ledger_appended_entries_total 3",
            "ledger_appended_bytes_total 300",
            "ledger_connections 1",
            "ledger_queued_writes 0",
            concat!("ledger_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
        };
        assert_eq!(value("ledger_database_bytes"), file_bytes(&path) as f64);
        assert!(value("ledger_database_log_bytes") > 0.0);
        assert!(value("process_start_time_seconds") > 1e9);
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_open_fds") >= 3.0);
    }
}
