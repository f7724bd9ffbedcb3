//! [`CrashFs`] behind the traits.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::disk::Effect;
use super::fault::{Fault, Operation, OperationKind};
use super::images::CrashPolicy;
use super::live::{Live, Logged};
use super::replay::{Image, Replay};
use super::tree::{Body, Change, Node, NodeId, ROOT, Tree};
use crate::dir::check_name;
use crate::error::FileError;
use crate::open::{Access, Create};
use crate::real::check_access;
use crate::{Dir, Entry, File, FileId, Kind, Metadata, Open};

/// A file system in memory that knows what a crash could leave of it. See the [module](crate::crash).
///
/// A clone is another handle to the same file system.
#[derive(Clone)]
pub struct CrashFs {
    live: Arc<Mutex<Live>>,
}

/// Where messages say that the folder is.
const PATH: &str = "/crashfs";

impl Default for CrashFs {
    fn default() -> Self {
        Self::new()
    }
}

impl CrashFs {
    /// An empty file system.
    pub fn new() -> Self {
        Self::with(Tree::new())
    }

    /// A file system on which `tree` is safe.
    pub(super) fn with(tree: Tree) -> Self {
        Self { live: Arc::new(Mutex::new(Live::new(tree))) }
    }

    /// The folder, for the program under test.
    pub fn dir(&self) -> Arc<dyn Dir> {
        Arc::new(self.clone())
    }

    /// How many operations there were: the next one has this number.
    pub fn operations(&self) -> usize {
        self.live().log.len()
    }

    /// All operations so far.
    pub fn log(&self) -> Vec<Operation> {
        self.live().log.iter().map(|logged| logged.operation.clone()).collect()
    }

    /// Lets operation `number` fail, if it is one that can fail in this way.
    pub fn fail_at(&self, number: usize, fault: Fault) {
        self.live().plan.arm(number, number, fault);
    }

    /// Lets every operation from `number` on fail that can fail in this way, until [`CrashFs::heal`].
    pub fn fail_from(&self, number: usize, fault: Fault) {
        self.live().plan.arm(number, usize::MAX, fault);
    }

    /// Lets nothing fail any more.
    pub fn heal(&self) {
        self.live().plan.clear();
    }

    /// What a killed process leaves: everything that was written, and no lock.
    pub fn kill(&self) -> Self {
        Self::with(self.live().tree.reachable())
    }

    /// The states that a power cut could leave at this moment.
    pub fn images(&self, policy: CrashPolicy) -> impl Iterator<Item = Image> + use<> {
        self.replay(usize::MAX).power_cut(policy)
    }

    /// The states that a power cut could leave while operation `number` was under way; what came after it never
    /// happened.
    pub fn images_at(&self, number: usize, policy: CrashPolicy) -> impl Iterator<Item = Image> + use<> {
        self.replay(number).power_cut(policy)
    }

    /// The state just before operation `number`, in which that operation is under way.
    fn replay(&self, number: usize) -> Replay {
        let mut replay = Replay::new(self.recording());
        while replay.next_operation().is_some_and(|operation| operation.number < number) {
            replay.step();
        }
        replay
    }

    /// The state in the beginning, and all that was done since.
    pub(super) fn recording(&self) -> (Tree, Vec<Logged>) {
        let live = self.live();
        (live.start.clone(), live.log.clone())
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(name: &Path) -> PathBuf {
        if name.as_os_str().is_empty() { PATH.into() } else { Path::new(PATH).join(name) }
    }

    /// An operation that changes the names `inside` says.
    fn change_entries(
        &self,
        kind: OperationKind,
        words: &'static str,
        name: &Path,
        inside: impl FnOnce(&mut Live) -> io::Result<Option<Change>>,
    ) -> io::Result<()> {
        check_name(words, name)?;
        self.live()
            .operate(kind, words, &Self::at(name), |live, _| Ok(((), inside(live)?.map(Effect::Change))))
    }
}

impl fmt::Debug for CrashFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashFs").finish_non_exhaustive()
    }
}

impl Dir for CrashFs {
    fn path(&self) -> &Path {
        Path::new(PATH)
    }

    fn open(&self, name: &Path, how: Open) -> io::Result<Box<dyn File>> {
        check_name("open", name)?;
        let path = Self::at(name);
        if let Some(reason) = how.contradiction() {
            return Err(FileError::refuse("open", &path, io::ErrorKind::InvalidInput, reason));
        }
        let (kind, words) = match how.create {
            Create::New => (OperationKind::Create, "create"),
            Create::IfMissing => (OperationKind::Create, "open or create"),
            Create::Never if how.truncate => (OperationKind::Create, "open"),
            Create::Never => (OperationKind::Open, "open"),
        };
        let mut live = self.live();
        let node = live.operate(kind, words, &path, |live, _| open(live, name, how))?;
        let handle = live.new_handle(node);
        Ok(Box::new(CrashFile { fs: self.clone(), path, node, handle, access: how.access }))
    }

    fn create_dir_all(&self, name: &Path) -> io::Result<()> {
        let words = "create the folder";
        check_name(words, name)?;
        let mut folders: Vec<&Path> = name.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        folders.reverse();
        for folder in folders {
            self.change_entries(OperationKind::CreateDir, words, folder, |live| match live.folder(folder) {
                Ok(_) => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Ok(Some(live.creation(folder, true)?.1))
                }
                Err(_) => Err(io::ErrorKind::AlreadyExists.into()),
            })?;
        }
        Ok(())
    }

    fn entries(&self, name: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<Entry>> + Send>> {
        let words = "list the folder";
        check_name(words, name)?;
        let found = self.live().operate(OperationKind::List, words, &Self::at(name), |live, _| {
            let folder = live.folder(name)?;
            let entries = live.tree.entries(folder).cloned().unwrap_or_default();
            let entry = |(name, node): (&_, &NodeId)| {
                let kind = live.node(*node).map_or(Kind::Other, |node| metadata(node).kind);
                Entry { name: std::ffi::OsString::clone(name), kind }
            };
            Ok((entries.iter().map(entry).collect::<Vec<Entry>>(), None))
        })?;
        Ok(Box::new(found.into_iter().map(Ok)))
    }

    fn metadata(&self, name: &Path) -> io::Result<Metadata> {
        check_name("look at", name)?;
        self.live().operate(OperationKind::Look, "look at", &Self::at(name), |live, _| {
            let node = live.tree.find(name)?;
            Ok((metadata(live.node(node)?), None))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        check_name("rename a file to", to)?;
        self.change_entries(OperationKind::Rename, "rename", from, |live| {
            if !live.may_rename(from, to)? {
                return Ok(None);
            }
            let node = live.tree.find(from)?;
            Ok(Some(Change::Entries(vec![live.slot(from, None)?, live.slot(to, Some(node))?])))
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        check_name("link", from)?;
        self.change_entries(OperationKind::Rename, "link a file to", to, |live| {
            let node = live.tree.find(from)?;
            if live.node(node)?.is_dir() {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            match live.tree.find(to) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => Ok(Some(Change::Entries(vec![live.slot(to, Some(node))?]))),
            }
        })
    }

    fn remove(&self, name: &Path) -> io::Result<()> {
        self.change_entries(OperationKind::Remove, "remove", name, |live| {
            live.file(name)?;
            Ok(Some(Change::Entries(vec![live.slot(name, None)?])))
        })
    }

    fn remove_dir(&self, name: &Path) -> io::Result<()> {
        self.change_entries(OperationKind::Remove, "remove the folder", name, |live| {
            match live.folder(name)? {
                ROOT => Err(io::ErrorKind::ResourceBusy.into()),
                node if live.node(node)?.len() > 0 => Err(io::ErrorKind::DirectoryNotEmpty.into()),
                _ => Ok(Some(Change::Entries(vec![live.slot(name, None)?]))),
            }
        })
    }

    fn sync(&self, name: &Path) -> io::Result<()> {
        let words = "sync the folder";
        check_name(words, name)?;
        self.live().operate(OperationKind::SyncDir, words, &Self::at(name), |live, fault| {
            let node = live.folder(name)?;
            Ok(((), fault.is_none().then_some(Effect::SyncDir(node))))
        })
    }
}

fn open(live: &mut Live, name: &Path, how: Open) -> io::Result<(NodeId, Option<Effect>)> {
    let found = match live.tree.find(name) {
        Ok(_) if how.create == Create::New => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => live.file(name)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && how.create != Create::Never => {
            let (node, change) = live.creation(name, false)?;
            return Ok((node, Some(Effect::Change(change))));
        }
        Err(error) => return Err(error),
    };
    let emptied = how.truncate && live.node(found)?.len() > 0;
    Ok((found, emptied.then_some(Effect::Change(Change::SetLen { node: found, len: 0 }))))
}

fn metadata(node: &Node) -> Metadata {
    let (kind, len) = match &node.body {
        Body::File(content) => (Kind::File, content.len() as u64),
        Body::Dir(_) => (Kind::Dir, 0),
    };
    Metadata { kind, len, id: FileId { device: 1, inode: node.inode }, modified: node.modified }
}

/// An open file of a [`CrashFs`].
#[derive(Debug)]
struct CrashFile {
    fs: CrashFs,
    path: PathBuf,
    node: NodeId,
    handle: u64,
    access: Access,
}

impl CrashFile {
    fn operate<T>(
        &self,
        kind: OperationKind,
        words: &'static str,
        inside: impl FnOnce(&mut Live, Option<Fault>) -> io::Result<(T, Option<Effect>)>,
    ) -> io::Result<T> {
        self.fs.live().operate(kind, words, &self.path, inside)
    }

    fn write(&self, words: &'static str, bytes: &[u8], offset: Option<u64>) -> io::Result<usize> {
        self.operate(OperationKind::Write, words, |live, fault| {
            let offset = match offset {
                Some(offset) => usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?,
                None => live.node(self.node)?.len(),
            };
            let bytes = Live::bytes_to_take(bytes, fault);
            let taken = bytes.len();
            let change = Change::Write { node: self.node, offset, bytes };
            Ok((taken, (taken > 0).then_some(Effect::Change(change))))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(OperationKind::SyncFile, "sync", |_, fault| {
            let effect = match fault {
                Some(Fault::FailedSync) => Effect::DropPages(self.node),
                _ => Effect::SyncFile(self.node),
            };
            Ok(((), Some(effect)))
        })
    }
}

impl File for CrashFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        check_access("append to", &self.path, self.access, Access::Append)?;
        self.write("append to", bytes, None)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.operate(OperationKind::Read, "read", |live, _| {
            let content = live.tree.content(self.node).ok_or(io::ErrorKind::NotFound)?;
            let rest =
                usize::try_from(offset).ok().and_then(|offset| content.get(offset..)).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            if let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) {
                target.copy_from_slice(source);
            }
            Ok((count, None))
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        check_access("write to", &self.path, self.access, Access::Write)?;
        self.write("write to", bytes, Some(offset))
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.operate(OperationKind::Look, "look at", |live, _| Ok((metadata(live.node(self.node)?), None)))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate(OperationKind::SetLen, "set the length of", |live, _| {
            if self.access == Access::Read {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let changes = live.node(self.node)?.len() != len;
            Ok(((), changes.then_some(Effect::Change(Change::SetLen { node: self.node, len }))))
        })
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.operate(OperationKind::SetTime, "set the time of", |live, _| {
            if let Some(node) = live.tree.nodes.get_mut(&self.node) {
                node.modified = time;
            }
            Ok(((), None))
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.operate(OperationKind::Lock, "lock", |live, _| Ok((live.try_lock(self.node, self.handle), None)))
    }

    fn unlock(&self) -> io::Result<()> {
        self.operate(OperationKind::Lock, "unlock", |live, _| {
            live.unlock(self.node, self.handle);
            Ok(((), None))
        })
    }
}

impl Drop for CrashFile {
    fn drop(&mut self) {
        self.fs.live().close(self.node, self.handle);
    }
}
