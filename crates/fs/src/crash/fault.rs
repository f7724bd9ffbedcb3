//! Operations that fail on purpose.

use std::io;
use std::path::{Path, PathBuf};

/// What an operation does to the file system; each is one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum OperationKind {
    /// Opening an existing file.
    Open,
    /// Opening that may create a file or empties one.
    Create,
    /// Reading bytes.
    Read,
    /// Appending or writing bytes.
    Write,
    /// Setting a file's length.
    SetLen,
    /// Setting a file's time.
    SetTime,
    /// Syncing a file.
    SyncFile,
    /// Syncing a folder.
    SyncDir,
    /// Giving a file another or a second name.
    Rename,
    /// Removing a file's name or a folder.
    Remove,
    /// Creating a folder.
    CreateDir,
    /// Listing a folder.
    List,
    /// Asking for metadata.
    Look,
    /// Taking or giving back a lock.
    Lock,
}

/// One operation that a program asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its number, counted from 0 since the file system was made.
    pub number: usize,
    /// What it does.
    pub kind: OperationKind,
    /// To which file or folder.
    pub path: PathBuf,
}

/// How an operation fails. One that cannot fail in this way succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The disk is full (`ENOSPC`): what needs space fails. Cutting a file works.
    NoSpace,
    /// The disk fails (`EIO`), whatever the operation; nothing of it happens.
    Io,
    /// A read fails (`EIO`), as at a bad place of a disk.
    FailedRead,
    /// A write takes at most this many bytes, and at least one fewer than it was given.
    ShortWrite(usize),
    /// A write takes at most this many bytes, like [`Fault::ShortWrite`]; then the next attempt to write to that file fails
    /// (`EIO`), and so does the next attempt to set its length: what was half written stays.
    TornWrite(usize),
    /// A sync fails (`EIO`), and the kernel takes the file's unsynced bytes for written: programs still read them, no later
    /// sync will save them, and a crash may lose them.
    FailedSync,
    /// The power goes: this operation and all after it fail (`EIO`).
    PowerCut,
}

impl Fault {
    /// Whether an operation of this kind can fail in this way.
    pub const fn concerns(self, kind: OperationKind) -> bool {
        use OperationKind as Kind;
        match self {
            Self::NoSpace => {
                matches!(kind, Kind::Create | Kind::Write | Kind::Rename | Kind::CreateDir)
            }
            Self::Io | Self::PowerCut => true,
            Self::FailedRead => matches!(kind, Kind::Read),
            Self::ShortWrite(_) | Self::TornWrite(_) => matches!(kind, Kind::Write),
            Self::FailedSync => matches!(kind, Kind::SyncFile | Kind::SyncDir),
        }
    }

    /// The error that the program gets; none if it is told of a short write.
    pub(super) fn error(self) -> Option<io::Error> {
        // These two numbers are the same on every Unix.
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        match self {
            Self::NoSpace => Some(io::Error::from_raw_os_error(ENOSPC)),
            Self::Io | Self::FailedRead | Self::FailedSync | Self::PowerCut => {
                Some(io::Error::from_raw_os_error(EIO))
            }
            Self::ShortWrite(_) | Self::TornWrite(_) => None,
        }
    }
}

/// Which operations fail.
#[derive(Debug, Default)]
pub(super) struct Plan {
    armed: Vec<Armed>,
    /// What fails next, once each, behind a torn write.
    behind: Vec<(OperationKind, PathBuf)>,
}

#[derive(Debug)]
struct Armed {
    first: usize,
    last: usize,
    fault: Fault,
}

impl Plan {
    pub(super) fn arm(&mut self, first: usize, last: usize, fault: Fault) {
        let last = if fault == Fault::PowerCut { usize::MAX } else { last };
        self.armed.push(Armed { first, last, fault });
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn fault(&mut self, number: usize, kind: OperationKind, path: &Path) -> Option<Fault> {
        if let Some(index) = self.behind.iter().position(|(next, of)| *next == kind && of == path) {
            self.behind.swap_remove(index);
            return Some(Fault::Io);
        }
        let hits =
            |armed: &&Armed| (armed.first..=armed.last).contains(&number) && armed.fault.concerns(kind);
        let fault = self.armed.iter().find(hits).map(|armed| armed.fault);
        if let Some(Fault::TornWrite(_)) = fault {
            self.behind
                .extend([OperationKind::Write, OperationKind::SetLen].map(|next| (next, path.to_owned())));
        }
        fault
    }
}
