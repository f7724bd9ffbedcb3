//! Group commit: one thread owns the connection that writes.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ledger_streams::StoreError;
use rusqlite::{Connection, ErrorCode};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::OpenError;
use crate::bells::{Bells, Changed};
use crate::connection::open_writer;
use crate::error::{DatabaseName, Failure};
use crate::options::DatabaseOptions;
use crate::session::Session;

/// Most requests that wait or are committed together.
const MAX_QUEUED_REQUESTS: usize = 4096;
/// Most KiB of input that waits; a larger single request waits until it is alone.
const MAX_QUEUED_KIB: usize = 256 * 1024;
/// A transaction takes no more requests once it holds this many bytes.
const MAX_GROUP_BYTES: usize = 16 << 20;

/// Callers that the thread wakes by itself; more are woken from within their runtime.
const FEW_ANSWERS: usize = 4;

/// How long the thread stays awake for the next request.
const ALERT: Duration = Duration::from_micros(50);

/// The way to the writer thread. It ends when the last of these is dropped.
#[derive(Clone)]
pub(crate) struct Writer {
    inbox: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
}

/// What the thread is asked for.
pub(crate) enum Message {
    /// A write.
    Write(Box<dyn Request>),
    /// A transaction of the caller.
    Session(Session),
    /// Another process may have written: look, and wake subscribers.
    LookForForeignWrites,
    /// Finish what was asked for before this, then stop.
    Close,
}

/// A write with its caller waiting.
pub(crate) trait Request: Send {
    /// Size of the input in bytes.
    fn bytes(&self) -> usize;
    /// Does the work and keeps the result back. Undoes itself if it fails.
    fn run(&mut self, connection: &Connection);
    /// The stream it has added to, if it has succeeded.
    fn changed(&self) -> Option<&Changed>;
    /// Tells the caller, now that the transaction is durable or has failed.
    fn answer(self: Box<Self>, committed: Result<(), &CommitError>);
}

/// Why a whole group was not written.
pub(crate) struct CommitError {
    database: DatabaseName,
    step: &'static str,
    error: rusqlite::Error,
}

struct WriteRequest<T, O> {
    operation: Option<O>,
    result: Option<Result<T, Failure>>,
    reply: oneshot::Sender<Result<T, Failure>>,
    changed: Option<Changed>,
    bytes: usize,
    _room: OwnedSemaphorePermit,
}

impl<T: Send, O: FnOnce(&Connection) -> Result<T, Failure> + Send> Request for WriteRequest<T, O> {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, connection: &Connection) {
        // A caller who no longer waits gets no work done.
        if !self.reply.is_closed() {
            self.result = self.operation.take().map(|operation| operation(connection));
        }
    }

    fn changed(&self) -> Option<&Changed> {
        self.changed.as_ref().filter(|_| matches!(self.result, Some(Ok(_))))
    }

    fn answer(self: Box<Self>, committed: Result<(), &CommitError>) {
        let answer = match (self.result, committed) {
            (Some(Err(failure)), _) => Err(failure),
            (_, Err(error)) => Err(error.explain().into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => return,
        };
        // The caller may have gone.
        let _ = self.reply.send(answer);
    }
}

/// A write that nobody waits for.
struct Housekeeping<O>(Option<O>);

impl<O: FnOnce(&Connection) -> Result<(), Failure> + Send> Request for Housekeeping<O> {
    fn bytes(&self) -> usize {
        0
    }

    fn run(&mut self, connection: &Connection) {
        if let Some(Err(failure)) = self.0.take().map(|operation| operation(connection)) {
            tracing::debug!(?failure, "housekeeping was left out");
        }
    }

    fn changed(&self) -> Option<&Changed> {
        None
    }

    fn answer(self: Box<Self>, _committed: Result<(), &CommitError>) {}
}

impl CommitError {
    fn explain(&self) -> StoreError {
        self.database.explain(self.step, &self.error)
    }
}

impl Writer {
    /// Starts the thread and opens its connection. The thread outlives the readers: only the last connection to
    /// close can write the log back into the file.
    pub(crate) async fn start(
        options: DatabaseOptions,
        bells: Arc<Bells>,
        readers: Vec<JoinHandle<()>>,
    ) -> Result<(Self, oneshot::Receiver<()>), OpenError> {
        let (sender, inbox) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let (opened, is_open) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let runtime = runtime_that_drives_itself();
        let body = move || match open_writer(&options) {
            Ok(connection) => {
                let _ = opened.send(Ok(()));
                let connection = WriterThread::new(connection, options, inbox, bells, runtime).run();
                for reader in readers {
                    let _ = reader.join();
                }
                drop(connection);
                let _ = ended.send(());
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        };
        let builder = std::thread::Builder::new().name("ledger-sqlite-writer".to_owned());
        builder.spawn(body).map_err(OpenError::Thread)?;
        match is_open.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(OpenError::Thread(std::io::Error::other("the writer thread ended"))),
        }
        Ok((Self { inbox: sender, room: Arc::new(Semaphore::new(MAX_QUEUED_KIB)) }, has_ended))
    }

    /// Runs an operation in the next transaction and waits until it is durable. `None` if the thread has stopped.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        changed: Option<Changed>,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Option<Result<T, Failure>> {
        let room = (bytes >> 10).saturating_add(1).min(MAX_QUEUED_KIB);
        let room =
            self.room.clone().acquire_many_owned(u32::try_from(room).unwrap_or(u32::MAX)).await.ok()?;
        let (reply, answer) = oneshot::channel();
        let request =
            WriteRequest { operation: Some(operation), result: None, reply, changed, bytes, _room: room };
        self.send(Message::Write(Box::new(request))).await?;
        answer.await.ok()
    }

    /// Has an operation done with the next transaction, unless the inbox is full.
    pub(crate) fn submit_some_time(
        &self,
        operation: impl FnOnce(&Connection) -> Result<(), Failure> + Send + 'static,
    ) {
        let _ = self.inbox.try_send(Message::Write(Box::new(Housekeeping(Some(operation)))));
    }

    /// Puts a message into the inbox. `None` if the thread has stopped.
    pub(crate) async fn send(&self, message: Message) -> Option<()> {
        self.inbox.send(message).await.ok()
    }

    /// Messages in the inbox.
    pub(crate) fn queued(&self) -> usize {
        self.inbox.max_capacity().saturating_sub(self.inbox.capacity())
    }

    /// Asks for a look at foreign writes, unless the thread is busy: every group looks by itself.
    pub(crate) fn look_for_foreign_writes(&self) {
        let _ = self.inbox.try_send(Message::LookForForeignWrites);
    }
}

/// The thread's own state.
struct WriterThread {
    connection: Connection,
    options: DatabaseOptions,
    inbox: mpsc::Receiver<Message>,
    /// A message that ended a group because it cannot be part of one.
    held_over: Option<Message>,
    bells: Arc<Bells>,
    /// Changes whenever another connection commits.
    data_version: i64,
    /// Where many callers are woken.
    runtime: Option<Handle>,
    /// After a disk failure the connection is not used again; this says so until there is a new one.
    is_lost: bool,
}

impl WriterThread {
    fn new(
        connection: Connection,
        options: DatabaseOptions,
        inbox: mpsc::Receiver<Message>,
        bells: Arc<Bells>,
        runtime: Option<Handle>,
    ) -> Self {
        let data_version = data_version(&connection).unwrap_or(0);
        Self { connection, options, inbox, held_over: None, bells, data_version, runtime, is_lost: false }
    }

    /// Serves until it is told to stop or nobody can ask for anything any more; hands back the connection.
    fn run(mut self) -> Connection {
        while let Some(message) = self.held_over.take().or_else(|| self.wait_for_message()) {
            match message {
                Message::Write(first) => self.commit_group(first),
                Message::Session(session) => self.run_session(session),
                Message::LookForForeignWrites => self.look_for_foreign_writes(),
                Message::Close => break,
            }
        }
        // Whoever is just putting a message in must not wait for an answer for ever: the inbox takes no more, and what
        // still gets in is dropped, which tells its caller.
        self.inbox.close();
        while self.inbox.blocking_recv().is_some() {}
        self.connection
    }

    /// A caller who appends one entry after the other comes back at once; falling asleep in between would cost more
    /// than the wait.
    fn wait_for_message(&mut self) -> Option<Message> {
        let asked_at = Instant::now();
        while asked_at.elapsed() < ALERT {
            match self.inbox.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
        self.inbox.blocking_recv()
    }

    /// Commits a request together with all that wait, and answers them.
    fn commit_group(&mut self, first: Box<dyn Request>) {
        let mut group = Group::new(first);
        let committed = self.run_group(&mut group);
        if committed.is_ok() && self.bells.has_audience() {
            let changed: Vec<Changed> =
                group.requests.iter().filter_map(|request| request.changed().cloned()).collect();
            self.bells.ring(&changed);
        }
        self.is_lost = committed.as_ref().is_err_and(|failed| is_disk_failure(&failed.error));
        let answers = Answers { requests: group.requests, committed };
        match &self.runtime {
            Some(runtime) if answers.requests.len() > FEW_ANSWERS => {
                drop(runtime.spawn(async move { drop(answers) }));
            }
            _ => drop(answers),
        }
    }

    fn run_group(&mut self, group: &mut Group) -> Result<(), CommitError> {
        let database = self.options.name();
        let failed = |step, error| CommitError { database, step, error };
        if let Err(error) = self.reopen_if_lost() {
            return Err(failed("reopen", error));
        }
        if let Err(error) = execute(&self.connection, "BEGIN IMMEDIATE") {
            // Whoever waits now would fail in the same way, after the same time.
            group.take_waiting(&mut self.inbox, &mut self.held_over);
            return Err(failed("begin", error));
        }
        let mut done = 0;
        while let Some(request) = group.requests.get_mut(done) {
            request.run(&self.connection);
            if self.connection.is_autocommit() {
                let error = rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
                    Some("the transaction was undone because another request in it failed".to_owned()),
                );
                return Err(failed("write", error));
            }
            done = done.saturating_add(1);
            if done == group.requests.len() {
                group.take_waiting(&mut self.inbox, &mut self.held_over);
            }
        }
        self.look_for_foreign_writes();
        execute(&self.connection, "COMMIT").map_err(|error| {
            if !self.connection.is_autocommit() {
                let _ = execute(&self.connection, "ROLLBACK");
            }
            failed("commit", error)
        })
    }

    fn run_session(&mut self, session: Session) {
        if let Err(error) = self.reopen_if_lost() {
            return session.refuse(self.options.name().explain("reopen", &error));
        }
        match session.run(&self.connection, &self.options.name()) {
            Ok(changed) => {
                self.look_for_foreign_writes();
                self.bells.ring(&changed);
            }
            Err(error) => self.is_lost = is_disk_failure(&error),
        }
    }

    fn look_for_foreign_writes(&mut self) {
        if !self.bells.has_audience() {
            return;
        }
        if let Ok(version) = data_version(&self.connection)
            && version != self.data_version
        {
            self.data_version = version;
            self.bells.ring_all();
        }
    }

    /// After a failed sync nobody knows what of the file is on the disk, and asking again could be answered wrongly.
    /// So the connection goes, and a new one reads what is really there.
    fn reopen_if_lost(&mut self) -> rusqlite::Result<()> {
        if !self.is_lost {
            return Ok(());
        }
        self.connection = open_writer(&self.options).map_err(|error| {
            let disk_failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
            let text = format!("it was lost in a disk failure and cannot be opened again: {error}");
            rusqlite::Error::SqliteFailure(disk_failure, Some(text))
        })?;
        self.is_lost = false;
        self.data_version = data_version(&self.connection).unwrap_or(0);
        tracing::warn!(database = %self.options.path.display(), "the database was reopened after a disk failure");
        // What others wrote meanwhile has gone unnoticed.
        self.bells.ring_all();
        Ok(())
    }
}

/// What became of a group, to be told to its callers: when this is dropped, whoever does it.
///
/// Waking a task from a thread outside of its runtime takes a lock and maybe a system call, for each of hundreds; and
/// callers that are woken one by one also go on one by one, each with a system call of its own where they share a
/// connection. So a task of their runtime wakes them all. If the runtime has ended it drops that task, and they are
/// told all the same.
struct Answers {
    requests: Vec<Box<dyn Request>>,
    committed: Result<(), CommitError>,
}

impl Drop for Answers {
    fn drop(&mut self) {
        for request in self.requests.drain(..) {
            request.answer(self.committed.as_ref().copied());
        }
    }
}

/// The runtime of the caller, if its tasks go on whoever waits for what: one of a single thread stands still while
/// nobody runs it.
fn runtime_that_drives_itself() -> Option<Handle> {
    Handle::try_current().ok().filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Requests that are committed together.
struct Group {
    requests: Vec<Box<dyn Request>>,
    bytes: usize,
}

impl Group {
    fn new(first: Box<dyn Request>) -> Self {
        Self { bytes: first.bytes(), requests: vec![first] }
    }

    /// Takes in waiting writes, up to the limits of a transaction. Any other message is held over.
    fn take_waiting(&mut self, inbox: &mut mpsc::Receiver<Message>, held_over: &mut Option<Message>) {
        let is_full =
            |group: &Self| group.requests.len() >= MAX_QUEUED_REQUESTS || group.bytes >= MAX_GROUP_BYTES;
        while held_over.is_none() && !is_full(self) {
            match inbox.try_recv() {
                Ok(Message::Write(request)) => {
                    self.bytes = self.bytes.saturating_add(request.bytes());
                    self.requests.push(request);
                }
                Ok(other) => *held_over = Some(other),
                Err(_) => return,
            }
        }
    }
}

pub(crate) fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn is_disk_failure(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
}
