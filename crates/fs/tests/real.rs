//! What only the machine's file system has: permissions, links, other processes.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use ledger_fs::{Dir, Kind, Open, RealDir, read_all};

fn p(name: &str) -> &Path {
    Path::new(name)
}

#[test]
fn private_files_are_readable_by_their_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RealDir::open(folder.path()).unwrap();
    dir.open(p("secret"), Open::WRITE.create_new().private()).unwrap();
    let mode = fs::metadata(folder.path().join("secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn links_are_seen_as_links_and_opened_as_what_they_lead_to() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RealDir::open(folder.path()).unwrap();
    dir.open(p("target"), Open::APPEND.create_new()).unwrap().append(b"bytes").unwrap();
    symlink("target", folder.path().join("link")).unwrap();
    assert_eq!(dir.metadata(p("link")).unwrap().kind, Kind::Link);
    let listed = dir.entries(p("")).unwrap().map(Result::unwrap).find(|entry| entry.name == "link").unwrap();
    assert_eq!(listed.kind, Kind::Link);
    assert_eq!(read_all(&dir, p("link"), 10).unwrap(), b"bytes");
    let error = dir.open(p("link"), Open::APPEND.create_new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_folder_is_created_with_those_above_it_or_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/b/c");
    let error = RealDir::open(&place).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let dir = RealDir::create(&place).unwrap();
    assert_eq!(dir.path(), place);
    RealDir::create(&place).unwrap();
    dir.open(p("file"), Open::APPEND.create_new()).unwrap();
    let error = RealDir::open(place.join("file")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    assert!(error.to_string().starts_with("cannot open the folder "), "{error}");
}

#[test]
fn a_lock_excludes_another_process_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RealDir::open(folder.path()).unwrap();
    let file = dir.open(p("f"), Open::APPEND.create_new()).unwrap();
    assert!(file.try_lock().unwrap());
    let locks = || {
        let mut flock = std::process::Command::new("flock");
        flock.arg("--nonblock").arg(folder.path().join("f")).arg("true").status().unwrap().success()
    };
    assert!(!locks());
    file.unlock().unwrap();
    assert!(locks());
    assert!(file.try_lock().unwrap(), "the other process has ended");
}
