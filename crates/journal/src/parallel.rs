//! Work on the pieces of a file on several cores, with the results in the order of the file.

use std::collections::BTreeMap;
use std::io;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use ledger_fs::File;

use crate::jsonl::ChunkReader;

/// So many pieces are read, worked on or waiting for their turn at any time: what bounds the memory.
const IN_FLIGHT: usize = 6;

/// A piece of a file: whole lines, and the offset of the first.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Reads on one thread, runs `work` on `workers` threads, and `each` on the caller's, in the order of the file.
///
/// The first error of the reader or of `each` ends everything.
pub(crate) fn in_order<F, T: Send, E: From<io::Error>>(
    reader: ChunkReader<F>,
    workers: usize,
    work: impl Fn(Piece) -> T + Sync,
    mut each: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E>
where
    F: Deref<Target = dyn File> + Send,
{
    let (tokens_in, tokens) = mpsc::sync_channel::<()>(IN_FLIGHT);
    for _ in 0..IN_FLIGHT {
        // The channel has room for all of them, and its other end is in our hands.
        let _ = tokens_in.send(());
    }
    let (to_work, pieces) = mpsc::sync_channel::<(u64, Piece)>(IN_FLIGHT);
    let pieces = Mutex::new(pieces);
    let (to_caller, results) = mpsc::sync_channel::<(u64, io::Result<T>)>(IN_FLIGHT + 1);
    thread::scope(|scope| {
        let failure = to_caller.clone();
        scope.spawn(move || {
            if let Err((number, error)) = read_all(reader, &tokens, &to_work) {
                let _ = failure.send((number, Err(error)));
            }
        });
        for _ in 0..workers.max(1) {
            let to_caller = to_caller.clone();
            let (pieces, work) = (&pieces, &work);
            scope.spawn(move || {
                loop {
                    let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, piece)) = next else { return };
                    if to_caller.send((number, Ok(work(piece)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_caller);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        // Ends when the reader and all workers are gone. Leaving early drops the channels, which ends them.
        for (number, result) in &results {
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&turn) {
                let outcome = result.map_err(E::from).and_then(&mut each);
                if outcome.is_err() {
                    drop(tokens_in);
                    drop(results);
                    return outcome;
                }
                turn += 1;
                let _ = tokens_in.send(());
            }
        }
        Ok(())
    })
}

fn read_all<F: Deref<Target = dyn File>>(
    mut reader: ChunkReader<F>,
    tokens: &mpsc::Receiver<()>,
    to_work: &mpsc::SyncSender<(u64, Piece)>,
) -> Result<(), (u64, io::Error)> {
    for number in 0.. {
        if tokens.recv().is_err() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        match reader.next(&mut bytes) {
            Ok(Some(offset)) => {
                if to_work.send((number, Piece { offset, bytes })).is_err() {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => return Err((number, error)),
        }
    }
    Ok(())
}

/// Worker threads for work that the caller only waits for.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(4)
}
