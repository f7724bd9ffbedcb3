//! Operations that fail on purpose.

use std::io;
use std::path::PathBuf;

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
    /// A write takes at most this many bytes, and at least one fewer than it was given.
    ShortWrite(usize),
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
            Self::ShortWrite(_) => matches!(kind, Kind::Write),
            Self::FailedSync => matches!(kind, Kind::SyncFile | Kind::SyncDir),
        }
    }

    /// The error that the program gets; none for a short write.
    pub(super) fn error(self) -> Option<io::Error> {
        // These two numbers are the same on every Unix.
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        match self {
            Self::NoSpace => Some(io::Error::from_raw_os_error(ENOSPC)),
            Self::Io | Self::FailedSync | Self::PowerCut => Some(io::Error::from_raw_os_error(EIO)),
            Self::ShortWrite(_) => None,
        }
    }
}

/// Which operations fail.
#[derive(Debug, Default)]
pub(super) struct Plan {
    armed: Vec<Armed>,
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
        self.armed.clear();
    }

    pub(super) fn fault(&self, number: usize, kind: OperationKind) -> Option<Fault> {
        let hits =
            |armed: &&Armed| (armed.first..=armed.last).contains(&number) && armed.fault.concerns(kind);
        self.armed.iter().find(hits).map(|armed| armed.fault)
    }
}
