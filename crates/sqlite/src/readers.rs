//! The read pool: threads with a connection each, which never wait for the writer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::OpenError;
use crate::connection::open_reader;
use crate::error::Failure;
use crate::options::DatabaseOptions;

/// The way to the reading threads. They end when it is dropped, or after [`close`](Readers::close).
pub(crate) struct Readers {
    /// One permit per thread: whoever has one finds a thread idle.
    permits: Arc<Semaphore>,
    idle: Arc<Idle>,
}

/// The inboxes of the threads that have nothing to do; `None` once the pool is closed, so that no thread comes back into
/// it. The one that worked last is taken first: its page cache is warm.
type Idle = Mutex<Option<Vec<Inbox>>>;
type Inbox = Sender<Work>;

struct Work {
    request: Box<dyn ReadRequest>,
    /// Held until the thread is idle again.
    permit: OwnedSemaphorePermit,
    /// The way back to the thread, for when it is idle again.
    inbox: Inbox,
}

trait ReadRequest: Send {
    /// Does the work and keeps the result back; answers whether the connection is still good.
    fn run(&mut self, connection: Result<&Connection, OpenError>) -> bool;
    /// Tells the caller.
    fn answer(self: Box<Self>);
}

struct TypedReadRequest<T, O> {
    operation: Option<O>,
    result: Option<Result<T, Failure>>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<T: Send, O: FnOnce(&Connection) -> Result<T, Failure> + Send> ReadRequest for TypedReadRequest<T, O> {
    fn run(&mut self, connection: Result<&Connection, OpenError>) -> bool {
        // A caller who no longer waits gets no work done.
        let Some(operation) = self.operation.take().filter(|_| !self.reply.is_closed()) else { return true };
        let result = connection.map_err(Failure::Open).and_then(operation);
        let is_good = !matches!(&result, Err(Failure::Sqlite(error)) if is_lost(error));
        self.result = Some(result);
        is_good
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // The caller may have gone.
            let _ = self.reply.send(result);
        }
    }
}

impl Readers {
    /// Starts the threads. Each opens its connection when it has something to read.
    pub(crate) fn start(options: &DatabaseOptions) -> Result<(Self, Vec<JoinHandle<()>>), OpenError> {
        let idle = Arc::new(Idle::new(Some(Vec::new())));
        let start_one = |number: usize| {
            let (inbox, work) = channel();
            rest(&idle, inbox);
            let (options, idle) = (options.clone(), Arc::downgrade(&idle));
            let body = move || {
                serve(&options, &work, |inbox| {
                    if let Some(idle) = idle.upgrade() {
                        rest(&idle, inbox);
                    }
                });
            };
            let builder = std::thread::Builder::new().name(format!("ledger-sqlite-reader-{number}"));
            builder.spawn(body).map_err(OpenError::Thread)
        };
        let threads = (0..options.read_connections).map(start_one).collect::<Result<_, _>>()?;
        Ok((Self { permits: Arc::new(Semaphore::new(options.read_connections)), idle }, threads))
    }

    /// Runs a read on the next free connection. `None` if the pool is closed.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Option<Result<T, Failure>> {
        let permit = self.permits.clone().acquire_owned().await.ok()?;
        let (reply, answer) = oneshot::channel();
        let request = Box::new(TypedReadRequest { operation: Some(operation), result: None, reply });
        let inbox = lock(&self.idle).as_mut()?.pop()?;
        inbox.send(Work { request, permit, inbox: inbox.clone() }).ok()?;
        answer.await.ok()
    }

    /// Lets the threads end once they have done what they are at.
    pub(crate) fn close(&self) {
        self.permits.close();
        lock(&self.idle).take();
    }
}

fn serve(options: &DatabaseOptions, work: &Receiver<Work>, is_idle: impl Fn(Inbox)) {
    let mut connection = None;
    while let Ok(Work { mut request, permit, inbox }) = work.recv() {
        match connection.take().map_or_else(|| open_reader(options), Ok) {
            Ok(opened) => {
                if request.run(Ok(&opened)) {
                    connection = Some(opened);
                }
            }
            Err(error) => {
                request.run(Err(error));
            }
        }
        // Idle before the answer: whoever reads on gets this thread again.
        is_idle(inbox);
        drop(permit);
        request.answer();
    }
}

/// Puts a thread that has nothing to do where it is found; without its inbox, in a closed pool, it ends.
fn rest(idle: &Idle, inbox: Inbox) {
    if let Some(inboxes) = lock(idle).as_mut() {
        inboxes.push(inbox);
    }
}

fn lock(idle: &Idle) -> MutexGuard<'_, Option<Vec<Inbox>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a connection should not be used again.
fn is_lost(error: &rusqlite::Error) -> bool {
    let lost = [ErrorCode::SystemIoFailure, ErrorCode::CannotOpen, ErrorCode::NotADatabase];
    error.sqlite_error_code().is_some_and(|code| lost.contains(&code))
}
