//! Keeping the picture true without looking all the time.
//!
//! A change of a context, of the link to the latest one, or of the ledger home is heard of by file notification, and a new
//! picture is taken soon after. Notifications are a hint: they may be missing, and a process that was killed together with its
//! keeper changes no file. So while somebody listens, and when somebody asks, a picture older than `max_age` is replaced as well.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use notify::event::{CreateKind, RemoveKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};

use crate::picture::Picture;

/// Hints are gathered for this long.
const GATHER: Duration = Duration::from_millis(40);
/// A picture that is younger is not replaced when a path is not found in it.
const MIN_AGE: Duration = Duration::from_millis(200);

/// The picture, always the latest.
pub(crate) struct Live {
    ledger_home: PathBuf,
    proxy_is_on: bool,
    max_age: Duration,
    current: watch::Sender<Arc<Picture>>,
    /// Only one look is taken at a time.
    turn: tokio::sync::Mutex<()>,
    ears: Arc<Ears>,
    watching: Mutex<Watching>,
}

/// What the notifications ring.
#[derive(Default)]
struct Ears {
    /// A change that a new picture would show.
    hint: Notify,
    /// Those who follow a log, by its path.
    logs: Mutex<HashMap<PathBuf, Vec<Weak<Notify>>>>,
}

struct Watching {
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of each.
    folders: HashMap<PathBuf, (u64, u64)>,
    /// Whether every change is heard of.
    is_complete: bool,
}

impl Live {
    /// Takes the first picture. Blocking.
    pub(crate) fn new(ledger_home: PathBuf, proxy_is_on: bool, max_age: Duration) -> Self {
        let ears = Arc::new(Ears::default());
        let heard = ears.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) if event.kind.is_access() => {}
            Ok(event) => heard.hear(&event),
            // Something was missed.
            Err(_) => heard.hint.notify_one(),
        });
        let picture = Picture::take(&ledger_home, proxy_is_on);
        let watching = Watching { watcher: watcher.ok(), folders: HashMap::new(), is_complete: false };
        let live = Self {
            ledger_home,
            proxy_is_on,
            max_age,
            current: watch::Sender::new(picture.clone()),
            turn: tokio::sync::Mutex::default(),
            ears,
            watching: Mutex::new(watching),
        };
        live.watch_folders(&picture);
        live
    }

    /// Pictures as they change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Picture>> {
        self.current.subscribe()
    }

    /// The picture as it is; if not every change is heard of, one that is no older than `max_age`.
    pub(crate) async fn at_once(&self) -> Arc<Picture> {
        let is_told = self.watching.lock().unwrap_or_else(PoisonError::into_inner).is_complete;
        if is_told { self.current.borrow().clone() } else { self.picture().await }
    }

    /// A picture that is no older than `max_age`.
    pub(crate) async fn picture(&self) -> Arc<Picture> {
        self.no_older_than(self.max_age).await
    }

    /// A picture of this moment.
    pub(crate) async fn fresh(&self) -> Arc<Picture> {
        self.no_older_than(MIN_AGE).await
    }

    async fn no_older_than(&self, age: Duration) -> Arc<Picture> {
        let current = self.current.borrow().clone();
        if current.taken.elapsed() < age {
            return current;
        }
        let _turn = self.turn.lock().await;
        let current = self.current.borrow().clone();
        if current.taken.elapsed() < age { current } else { self.look().await }
    }

    /// Takes a picture; those who subscribe hear of it if it shows something else than the last one.
    async fn look(&self) -> Arc<Picture> {
        let (ledger_home, proxy_is_on) = (self.ledger_home.clone(), self.proxy_is_on);
        let taken = tokio::task::spawn_blocking(move || Picture::take(&ledger_home, proxy_is_on)).await;
        let Ok(picture) = taken else { return self.current.borrow().clone() };
        self.current.send_if_modified(|current| {
            let is_new = current.state != picture.state;
            *current = picture.clone();
            is_new
        });
        if self.watch_folders(&picture) {
            // What happened there before the watch began was not heard.
            self.ears.hint.notify_one();
        }
        picture
    }

    /// Looks when something has changed, and from time to time while somebody listens. Never ends.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.ears.hint.notified() => {
                    tokio::time::sleep(GATHER).await;
                    let _turn = self.turn.lock().await;
                    self.look().await;
                }
                () = tokio::time::sleep(self.max_age) => {
                    if self.current.receiver_count() > 0 {
                        self.picture().await;
                    }
                }
            }
        }
    }

    /// A bell that rings when a log may have grown.
    pub(crate) fn follow(&self, log: &Path) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        let mut logs = self.ears.logs();
        logs.retain(|_, bells| {
            bells.retain(|bell| bell.strong_count() > 0);
            !bells.is_empty()
        });
        logs.entry(log.to_owned()).or_default().push(Arc::downgrade(&bell));
        bell
    }

    /// Listens where the picture says; whether a folder is new.
    fn watch_folders(&self, picture: &Picture) -> bool {
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted: HashMap<PathBuf, (u64, u64)> = HashMap::new();
        let run = picture.home.join(".run");
        for folder in picture.folders.iter().chain([&run]) {
            if let Some(identity) = identity(folder) {
                wanted.insert(folder.clone(), identity);
            }
        }
        let Watching { watcher: Some(watcher), folders, is_complete } = &mut *watching else { return false };
        *is_complete = wanted.contains_key(&picture.home);
        // A folder that was made anew under its old name is another one.
        folders.retain(|folder, identity| {
            let stays = wanted.get(folder) == Some(identity);
            if !stays {
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        let mut is_new = false;
        for (folder, identity) in wanted {
            if folders.contains_key(&folder) {
                continue;
            }
            let mode = if folder == run { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match watcher.watch(&folder, mode) {
                Ok(()) => {
                    folders.insert(folder, identity);
                    is_new = true;
                }
                Err(_) => *is_complete = false,
            }
        }
        is_new
    }
}

impl Ears {
    fn hear(&self, event: &notify::Event) {
        let is_folder = matches!(
            event.kind,
            EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder)
        );
        for path in &event.paths {
            let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            if name.contains(".stdout.log") || name.contains(".stderr.log") {
                self.ring(path);
            } else if is_folder || name.ends_with(".context.json") || name == "current" {
                self.hint.notify_one();
            }
        }
    }

    fn ring(&self, log: &Path) {
        if let Some(bells) = self.logs().get(log) {
            bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.notify_one());
        }
    }

    fn logs(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Vec<Weak<Notify>>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(folder: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
