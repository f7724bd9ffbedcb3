//! The read pool: threads with a connection each, which never wait for the writer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{Semaphore, oneshot};

use crate::OpenError;
use crate::connection::open_reader;
use crate::error::Failure;
use crate::options::DatabaseOptions;

/// Most reads that wait.
const MAX_QUEUED_READS: usize = 1024;

/// The way to the reading threads. They end when the last of these is dropped, or after [`close`](Readers::close).
pub(crate) struct Readers {
    inbox: Mutex<Option<Sender<Read>>>,
    room: Semaphore,
}

/// A read; gets the connection, or the reason why there is none. Answers whether the connection is still good.
type Read = Box<dyn FnOnce(Result<&Connection, OpenError>) -> bool + Send>;

impl Readers {
    /// Starts the threads. Each opens its connection when it has something to read.
    pub(crate) fn start(options: &DatabaseOptions) -> Result<(Self, Vec<JoinHandle<()>>), OpenError> {
        let (sender, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let start_one = |number: usize| {
            let (options, inbox) = (options.clone(), inbox.clone());
            let builder = std::thread::Builder::new().name(format!("ledger-sqlite-reader-{number}"));
            builder.spawn(move || serve(&options, &inbox)).map_err(OpenError::Thread)
        };
        let threads = (0..options.read_connections).map(start_one).collect::<Result<_, _>>()?;
        Ok((Self { inbox: Mutex::new(Some(sender)), room: Semaphore::new(MAX_QUEUED_READS) }, threads))
    }

    /// Runs a read on the next free connection. `None` if the pool is closed.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Option<Result<T, Failure>> {
        let _room = self.room.acquire().await.ok()?;
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |connection| {
            if reply.is_closed() {
                return true;
            }
            let result = connection.map_err(Failure::Open).and_then(operation);
            let is_good = !matches!(&result, Err(Failure::Sqlite(error)) if is_lost(error));
            let _ = reply.send(result);
            is_good
        });
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.send(read).ok()?;
        answer.await.ok()
    }

    /// Lets the threads end once they have served what waits.
    pub(crate) fn close(&self) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn serve(options: &DatabaseOptions, inbox: &Mutex<Receiver<Read>>) {
    let mut connection = None;
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(read) = next else { return };
        let opened = match connection.take() {
            Some(connection) => Ok(connection),
            None => open_reader(options),
        };
        match opened {
            Ok(opened) => {
                if read(Ok(&opened)) {
                    connection = Some(opened);
                }
            }
            Err(error) => {
                read(Err(error));
            }
        }
    }
}

/// Whether a connection should not be used again.
fn is_lost(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::NotADatabase)
    )
}
