//! How far the ledger is known to be synced: tells a torn write from damage.
//!
//! An entry at the end of the open chunk that is not whole was either never acknowledged, or it was, and its bytes were damaged
//! since. The file `synced` beside the ledger's folder knows a sequence number up to which everything was synced. It is written
//! after every sync of the ledger, and so is never ahead of it, but it costs no sync of its own: a killed process leaves it
//! exact, a power cut may leave it behind by what the system had not written by itself. It is synced when a ledger is opened and
//! whenever a chunk is closed or entries are taken back.
//!
//! Three slots, 512 bytes apart, so that a torn write spoils one of them. The first two take turns and are synced, the third is
//! not. The valid slot with the highest turn counts.
//!
//! | field of a slot | content |
//! |---|---|
//! | 8 bytes | `LCHSYNC1` |
//! | `u64` | turn: 1, 2, 3, … |
//! | `u64` | the last sequence number that is synced |
//! | 8 bytes | the first bytes of the SHA-256 of what stands before |
//!
//! ```text
//! 4c 43 48 53 59 4e 43 31  LCHSYNC1
//! 01 00 00 00 00 00 00 00  turn 1
//! 04 00 00 00 00 00 00 00  synced up to entry 4
//! 12 7f c9 3a ac b2 af 5c  check
//! ```

use std::{
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ledger_fs::{Dir, File, Open, write_all_at};

use crate::{crypto::sha256, directory::read_at, format::Cursor};

const MAGIC: &[u8; 8] = b"LCHSYNC1";
const SLOT_BYTES: u64 = 512;
const RECORD_BYTES: usize = 32;
/// The slot that is not synced; those below it are.
const LAZY_SLOT: u64 = 2;

/// The file.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: Box<dyn File>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    turn: u64,
    seqno: u64,
    /// Which of the two synced slots is written next.
    slot: u64,
}

impl Watermark {
    /// Opens the file, or makes it; [`seqno`](Self::seqno) is 0 then.
    pub(crate) fn open(dir: &dyn Dir, name: &str) -> io::Result<Self> {
        let file = dir.open(Path::new(name), Open::WRITE.create())?;
        let mut state = State::default();
        let length = file.metadata()?.len;
        for slot in 0..=LAZY_SLOT {
            let at = slot.saturating_mul(SLOT_BYTES);
            if at.saturating_add(RECORD_BYTES as u64) > length {
                continue;
            }
            let Some((turn, seqno)) = decode(&read_at(&*file, at, RECORD_BYTES)?) else { continue };
            if turn > state.turn {
                // The other one of the two is written next, so that this one stays until that is synced.
                let next = if slot == LAZY_SLOT { state.slot } else { 1 - slot };
                state = State { turn, seqno, slot: next };
            }
        }
        let watermark = Self { file, state: Mutex::new(state) };
        if state.turn == 0 {
            watermark.keep(0)?;
            dir.sync(Path::new(""))?;
        }
        Ok(watermark)
    }

    /// Everything up to here was synced at some time.
    pub(crate) fn seqno(&self) -> u64 {
        self.state().seqno
    }

    /// Notes that everything up to `seqno` is synced, without a sync.
    pub(crate) fn note(&self, seqno: u64) -> io::Result<()> {
        let mut state = self.state();
        if seqno <= state.seqno {
            return Ok(());
        }
        self.write(&mut state, seqno, LAZY_SLOT)
    }

    /// Notes the same, also when it is less than before, and syncs.
    pub(crate) fn keep(&self, seqno: u64) -> io::Result<()> {
        let mut state = self.state();
        let slot = state.slot;
        self.write(&mut state, seqno, slot)?;
        state.slot = 1 - slot;
        self.file.sync_data()
    }

    fn write(&self, state: &mut State, seqno: u64, slot: u64) -> io::Result<()> {
        state.turn = state.turn.saturating_add(1);
        state.seqno = seqno;
        write_all_at(&*self.file, &encode(state.turn, seqno), slot.saturating_mul(SLOT_BYTES))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(turn: u64, seqno: u64) -> Vec<u8> {
    let mut record = MAGIC.to_vec();
    record.extend_from_slice(&turn.to_le_bytes());
    record.extend_from_slice(&seqno.to_le_bytes());
    let check = sha256(&record);
    record.extend(check.iter().take(8));
    record
}

fn decode(record: &[u8]) -> Option<(u64, u64)> {
    let mut cursor = Cursor::new(record);
    let magic = cursor.array::<8>("magic").ok()?;
    let (turn, seqno) = (cursor.u64("turn").ok()?, cursor.u64("seqno").ok()?);
    (magic == MAGIC && encode(turn, seqno) == record).then_some((turn, seqno))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledger_fs::{RealDir, read_all};

    use super::*;

    #[test]
    fn the_hexdump_of_the_documentation_is_a_slot() {
        let dump = include_str!("watermark.rs")
            .lines()
            .skip_while(|line| *line != "//! ```text")
            .skip(1)
            .take(4)
            .flat_map(|line| line.split_whitespace().skip(1).take(8))
            .map(|byte| u8::from_str_radix(byte, 16).unwrap());
        assert_eq!(dump.collect::<Vec<_>>(), encode(1, 4));
    }

    #[test]
    fn the_latest_word_counts_and_a_spoiled_slot_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let dir: Arc<dyn Dir> = Arc::new(RealDir::open(folder.path()).unwrap());
        let path = folder.path().join("synced");
        let mark = Watermark::open(&*dir, "synced").unwrap();
        assert_eq!(mark.seqno(), 0);
        mark.keep(4).unwrap();
        mark.note(9).unwrap();
        mark.note(7).unwrap();
        let reopened = || Watermark::open(&*dir, "synced").unwrap().seqno();
        assert_eq!(reopened(), 9);
        let bytes = read_all(&*dir, Path::new("synced"), 10_000).unwrap();
        for at in 1_024..1_056 {
            let mut spoiled = bytes.clone();
            spoiled[at] ^= 1;
            std::fs::write(&path, spoiled).unwrap();
            assert_eq!(reopened(), 4, "byte {at}");
        }
        // Taking entries back lowers it.
        std::fs::write(&path, &bytes).unwrap();
        Watermark::open(&*dir, "synced").unwrap().keep(2).unwrap();
        assert_eq!(reopened(), 2);
        std::fs::write(&path, "rubbish").unwrap();
        assert_eq!(reopened(), 0);
    }
}
