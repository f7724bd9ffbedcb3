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
/// What a piece keeps for the next lines when it is used again. Only very long lines need more.
const KEPT_BYTES: usize = 4 << 20;

/// A piece of a file, whole lines, and what came of it. The same few pieces are used again and again.
#[derive(Debug, Default)]
pub(crate) struct Piece<T> {
    /// Offset of the first line.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) result: T,
}

impl<T> Piece<T> {
    /// Where it ends in the file.
    pub(crate) const fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

/// A piece and its number, or what went wrong in its place.
type Numbered<T> = (u64, io::Result<Piece<T>>);

/// Reads on one thread, runs `work` on `workers` threads, and `each` on the caller's, in the order of the file.
///
/// `work` finds in the piece's result what came of earlier lines. The first error of the reader or of `each` ends everything.
pub(crate) fn in_order<F, T: Default + Send, E: From<io::Error>>(
    reader: ChunkReader<F>,
    workers: usize,
    work: impl Fn(&mut Piece<T>) + Sync,
    mut each: impl FnMut(&mut Piece<T>) -> Result<(), E>,
) -> Result<(), E>
where
    F: Deref<Target = dyn File> + Send,
{
    let (give_back, used) = mpsc::sync_channel::<Piece<T>>(IN_FLIGHT);
    for _ in 0..IN_FLIGHT {
        // The channel has room for all of them, and its other end is in our hands.
        let _ = give_back.send(Piece::default());
    }
    let (to_work, pieces) = mpsc::sync_channel::<(u64, Piece<T>)>(IN_FLIGHT);
    let pieces = Mutex::new(pieces);
    let (to_caller, results) = mpsc::sync_channel::<Numbered<T>>(IN_FLIGHT + 1);
    thread::scope(|scope| {
        let failure = to_caller.clone();
        scope.spawn(move || {
            if let Err((number, error)) = read_all(reader, &used, &to_work) {
                let _ = failure.send((number, Err(error)));
            }
        });
        for _ in 0..workers.max(1) {
            let to_caller = to_caller.clone();
            let (pieces, work) = (&pieces, &work);
            scope.spawn(move || {
                loop {
                    let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, mut piece)) = next else { return };
                    work(&mut piece);
                    if to_caller.send((number, Ok(piece))).is_err() {
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
                let outcome = result.map_err(E::from).and_then(|mut piece| each(&mut piece).map(|()| piece));
                match outcome {
                    Ok(piece) => {
                        let _ = give_back.send(piece);
                    }
                    Err(error) => {
                        drop(give_back);
                        drop(results);
                        return Err(error);
                    }
                }
                turn += 1;
            }
        }
        Ok(())
    })
}

fn read_all<F: Deref<Target = dyn File>, T>(
    mut reader: ChunkReader<F>,
    used: &mpsc::Receiver<Piece<T>>,
    to_work: &mpsc::SyncSender<(u64, Piece<T>)>,
) -> Result<(), (u64, io::Error)> {
    for (number, mut piece) in (0..).zip(used) {
        piece.bytes.clear();
        piece.bytes.shrink_to(KEPT_BYTES);
        match reader.next(&mut piece.bytes) {
            Ok(Some(offset)) => {
                piece.offset = offset;
                if to_work.send((number, piece)).is_err() {
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
