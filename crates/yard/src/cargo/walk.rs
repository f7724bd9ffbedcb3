//! Finding cargo: data files below one or more roots (specification §2.1).
//!
//! Hidden folders are walked; links to files are followed, links to folders are not; the result is sorted. A file is cargo
//! when its name ends in one of [`PATTERNS`]. What cannot be read is part of the result, not a silence.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::GlobSet;

/// What cargo looks like, relative to its root. The case of the letters counts.
pub const PATTERNS: [&str; 6] =
    ["**/*.db", "**/*.sqlite", "**/*.sqlite3", "**/*.sqlite.db", "**/*.duckdb", "**/*.xlsx"];

/// Folders deeper than this below a root are reported, not entered.
const MAX_DEPTH: usize = 64;

/// A folder that is searched for cargo.
#[derive(Clone, Debug)]
pub struct Root {
    /// As the user spelled it.
    pub spelled: PathBuf,
    /// Without links, absolute.
    pub real: PathBuf,
}

/// A data file below a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cargo {
    /// The way it was found: the root as spelled, without a leading `./`, and the path below.
    pub walked: String,
    /// Relative to the root, with forward slashes.
    pub relative: String,
    /// Absolute, free of links: the identity of a service (its *provenance*).
    pub provenance: String,
    /// Spelling of the root below which it was found.
    pub root: String,
    /// What changes when the file changes.
    pub stamp: Stamp,
}

/// Tells whether a file is still the same: another inode, length or time means that it must be looked at again. The
/// write-ahead log beside it counts too, because a new table may be in there only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    log: Option<(u64, i64, i64)>,
}

/// Something that kept a file or folder from being looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yard: {}: {problem}", path.display())]
pub(crate) struct WalkProblem {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub problem: String,
}

/// A root that cannot be searched.
#[derive(Debug, thiserror::Error)]
#[error("yard: cargo home {}: {source}; create it, or name another with --cargo-home", path.display())]
pub struct RootError {
    /// The root as spelled.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Sorted by path, one for every real file.
    pub cargo: Vec<Cargo>,
    /// What could not be looked at, and second names of files.
    pub problems: Vec<WalkProblem>,
}

impl Root {
    /// Resolves a root.
    ///
    /// # Errors
    /// When it does not exist or is no folder.
    pub fn new(spelled: &Path) -> Result<Self, RootError> {
        let failed = |source| RootError { path: spelled.to_owned(), source };
        let real = fs::canonicalize(spelled).map_err(failed)?;
        if real.is_dir() {
            Ok(Self { spelled: spelled.to_owned(), real })
        } else {
            Err(failed(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder")))
        }
    }
}

/// Searches all roots.
pub(crate) fn walk(roots: &[Root], ignore: &GlobSet) -> Walk {
    let mut found = Walk::default();
    for root in roots {
        let mut search = Search { root, ignore, found: &mut found };
        search.folder(&root.real, "", 0);
    }
    found.cargo.sort_by(|a, b| a.walked.cmp(&b.walked));
    found.keep_one_name_each();
    found
}

struct Search<'a> {
    root: &'a Root,
    ignore: &'a GlobSet,
    found: &'a mut Walk,
}

impl Search<'_> {
    fn folder(&mut self, folder: &Path, relative: &str, depth: usize) {
        if depth > MAX_DEPTH {
            let problem = format!("more than {MAX_DEPTH} folders deep; it is not searched");
            return self.problem(folder, problem);
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.problem(folder, format!("cannot be searched: {error}")),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry, relative, depth),
                Err(error) => self.problem(folder, format!("cannot be searched to its end: {error}")),
            }
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry, parent: &str, depth: usize) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { return };
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            if is_candidate(&name.to_string_lossy()) {
                self.problem(
                    &path,
                    "the name is not UTF-8, so no ledger could hold it; rename the file".to_owned(),
                );
            }
            return;
        };
        let relative = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        if self.ignore.is_match(&relative) {
            return;
        }
        if kind.is_dir() {
            self.folder(&path, &relative, depth.saturating_add(1));
        } else if is_candidate(name) {
            self.candidate(&path, relative, kind.is_symlink());
        }
    }

    fn candidate(&mut self, path: &Path, relative: String, is_link: bool) {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_link => return self.problem(path, format!("the link leads nowhere: {error}")),
            // Gone between the listing and now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problem(path, format!("cannot be looked at: {error}")),
        };
        if !metadata.is_file() {
            return;
        }
        let real = if is_link { fs::canonicalize(path) } else { Ok(path.to_owned()) };
        let real = match real {
            Ok(real) => real,
            Err(error) => return self.problem(path, format!("cannot be resolved: {error}")),
        };
        let Some(provenance) = real.to_str() else {
            return self.problem(path, "its real path is not UTF-8; rename the folder".to_owned());
        };
        let spelled = self.root.spelled.to_string_lossy();
        let prefix = spelled.trim_start_matches("./").trim_end_matches('/');
        let walked = if prefix.is_empty() || prefix == "." {
            relative.clone()
        } else {
            format!("{prefix}/{relative}")
        };
        self.found.cargo.push(Cargo {
            walked,
            relative,
            provenance: provenance.to_owned(),
            root: spelled.into_owned(),
            stamp: Stamp::new(&real, &metadata),
        });
    }

    fn problem(&mut self, path: &Path, problem: String) {
        self.found.problems.push(WalkProblem { path: path.to_owned(), problem });
    }
}

impl Walk {
    /// One service per real file: the name that is no link wins, then the first; the others are reported.
    fn keep_one_name_each(&mut self) {
        let mut best: BTreeMap<String, usize> = BTreeMap::new();
        for (index, cargo) in self.cargo.iter().enumerate() {
            let is_real = |index: &usize| self.cargo.get(*index).is_some_and(Cargo::is_its_own_name);
            let kept = best.entry(cargo.provenance.clone()).or_insert(index);
            if cargo.is_its_own_name() && !is_real(kept) {
                *kept = index;
            }
        }
        let (kept, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.cargo)
            .into_iter()
            .enumerate()
            .partition(|(index, cargo)| best.get(&cargo.provenance) == Some(index));
        self.cargo = kept.into_iter().map(|(_, cargo)| cargo).collect();
        for (_, other) in others {
            let problem =
                format!("another name of {}, which is served once, under its own name", other.provenance);
            self.problems.push(WalkProblem { path: PathBuf::from(other.walked), problem });
        }
    }
}

impl Cargo {
    /// The name of the file, extension included.
    pub fn file_name(&self) -> &str {
        self.relative.rsplit('/').next().unwrap_or(&self.relative)
    }

    fn is_its_own_name(&self) -> bool {
        self.provenance.ends_with(&format!("/{}", self.relative))
    }
}

impl Stamp {
    fn new(real: &Path, metadata: &fs::Metadata) -> Self {
        let mut log = real.as_os_str().to_owned();
        log.push("-wal");
        let log = fs::metadata(log).ok();
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            log: log.map(|log| (log.len(), log.mtime(), log.mtime_nsec())),
        }
    }

    /// Device and inode: another file under the same name has another one.
    pub(crate) fn inode(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// Whether a name matches one of [`PATTERNS`]. All of them speak of the end of the name alone.
fn is_candidate(name: &str) -> bool {
    PATTERNS.iter().filter_map(|pattern| pattern.strip_prefix("**/*")).any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(walk: &Walk) -> Vec<&str> {
        walk.cargo.iter().map(|cargo| cargo.relative.as_str()).collect()
    }

    fn search(folder: &Path) -> Walk {
        walk(&[Root::new(folder).unwrap()], &GlobSet::empty())
    }

    #[test]
    fn the_sample_is_found_in_order() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cargo.d");
        let found = search(&sample);
        assert_eq!(found.problems, []);
        assert!(names(&found).is_sorted());
        assert_eq!(found.cargo.len(), 26);
        assert!(names(&found).contains(&".hidden/secret.db"));
        assert!(!names(&found).contains(&"case/UPPER.DB"));
        assert!(!names(&found).contains(&"tabular/other.ddb"));
    }

    #[test]
    fn a_file_with_two_names_is_served_once_under_its_own() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("real.db"), "x").unwrap();
        symlink("real.db", folder.path().join("alias.db")).unwrap();
        symlink("nowhere", folder.path().join("broken.db")).unwrap();
        symlink(folder.path(), folder.path().join("loop.db")).unwrap();
        let found = search(folder.path());
        assert_eq!(names(&found), ["real.db"]);
        let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("leads nowhere")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("another name")), "{problems:?}");
    }

    #[test]
    fn what_is_ignored_is_not_entered() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("node_modules/deep")).unwrap();
        fs::write(folder.path().join("node_modules/deep/a.db"), "x").unwrap();
        fs::write(folder.path().join("a.db"), "x").unwrap();
        let ignore = globset::GlobSetBuilder::new()
            .add(globset::Glob::new("**/node_modules").unwrap())
            .build()
            .unwrap();
        assert_eq!(names(&walk(&[Root::new(folder.path()).unwrap()], &ignore)), ["a.db"]);
    }

    #[test]
    fn a_root_that_is_no_folder_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Root::new(&file).unwrap_err().to_string().contains("not a folder"));
        assert!(Root::new(&folder.path().join("none")).is_err());
    }
}
