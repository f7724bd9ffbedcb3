//! One description of what a file layer does, run against the machine's file system and against [`CrashFs`].
#![cfg(feature = "crash")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ledger_fs::crash::CrashFs;
use ledger_fs::{
    Dir, Entry, File, FileReader, Kind, Open, RealDir, Replacement, append_all, os_error, read_all,
    read_exact_at, replace, write_all_at,
};

/// Runs each behaviour against both, as a test of its own.
macro_rules! behaviours {
    ($($name:ident)*) => {
        mod real {
            use super::*;
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::$name(Arc::new(RealDir::open(folder.path()).unwrap()));
            })*
        }
        mod crash {
            use super::*;
            $(#[test] fn $name() { super::$name(CrashFs::new().dir()); })*
        }
    };
}

behaviours! {
    append_goes_to_the_end_whatever_the_handle_saw_before
    write_at_leaves_zeros_in_a_gap
    access_that_was_not_asked_for_is_refused
    create_new_takes_a_name_only_once
    create_opens_what_is_there_and_truncate_empties_it
    missing_things_are_not_found
    folders_and_files_are_not_mistaken_for_each_other
    entries_tell_name_and_kind
    rename_replaces_in_one_step_and_keeps_the_identity
    rename_of_folders_follows_the_rules
    hard_link_never_replaces
    a_removed_file_stays_with_those_who_hold_it
    a_file_keeps_its_identity_and_another_has_another
    only_empty_folders_are_removed
    lengths_are_set_both_ways
    locks_exclude_other_handles_and_end_with_them
    names_that_lead_out_of_the_folder_are_refused
    time_can_be_set_and_moves_with_writes
    reading_at_and_behind_the_end_gives_nothing
    helpers_read_exactly_or_say_where_the_file_ends
    reader_reads_and_seeks
    replace_leaves_only_the_new_file
    a_replacement_that_is_dropped_leaves_nothing
    errors_name_the_file_and_the_operation
}

fn p(name: &str) -> &Path {
    Path::new(name)
}

fn write(dir: &Arc<dyn Dir>, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = dir.open(p(name), Open::APPEND.create_new()).unwrap();
    append_all(&*file, bytes, 0).unwrap();
    file
}

fn content(dir: &Arc<dyn Dir>, name: &str) -> Vec<u8> {
    read_all(&**dir, p(name), 1 << 20).unwrap()
}

fn names(dir: &Arc<dyn Dir>, name: &str) -> Vec<String> {
    let mut names: Vec<Entry> = dir.entries(p(name)).unwrap().collect::<io::Result<_>>().unwrap();
    names.sort();
    names.into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
}

#[track_caller]
fn fails<T>(result: io::Result<T>, kind: ErrorKind) -> io::Error {
    let error = result.err().expect("must fail");
    assert_eq!(error.kind(), kind, "{error}");
    error
}

fn append_goes_to_the_end_whatever_the_handle_saw_before(dir: Arc<dyn Dir>) {
    let one = write(&dir, "log", b"one");
    let two = dir.open(p("log"), Open::APPEND).unwrap();
    assert_eq!(two.append(b" two").unwrap(), 4);
    assert_eq!(one.append(b" three").unwrap(), 6);
    assert_eq!(content(&dir, "log"), b"one two three");
    assert_eq!(one.metadata().unwrap().len, 13);
    one.sync_data().unwrap();
    two.sync_all().unwrap();
    dir.sync(p("")).unwrap();
    assert_eq!(one.append(b"").unwrap(), 0);
}

fn write_at_leaves_zeros_in_a_gap(dir: Arc<dyn Dir>) {
    let file = dir.open(p("f"), Open::WRITE.create_new()).unwrap();
    assert_eq!(file.write_at(b"end", 5).unwrap(), 3);
    assert_eq!(file.write_at(b"st", 0).unwrap(), 2);
    assert_eq!(content(&dir, "f"), b"st\0\0\0end");
    write_all_at(&*file, b"middle", 2).unwrap();
    assert_eq!(content(&dir, "f"), b"stmiddle");
}

fn access_that_was_not_asked_for_is_refused(dir: Arc<dyn Dir>) {
    let append = write(&dir, "f", b"abc");
    fails(append.write_at(b"x", 0), ErrorKind::InvalidInput);
    let writer = dir.open(p("f"), Open::WRITE).unwrap();
    fails(writer.append(b"x"), ErrorKind::InvalidInput);
    let reader = dir.open(p("f"), Open::READ).unwrap();
    fails(reader.append(b"x"), ErrorKind::InvalidInput);
    fails(reader.write_at(b"x", 0), ErrorKind::InvalidInput);
    fails(reader.set_len(0), ErrorKind::InvalidInput);
    fails(dir.open(p("g"), Open::READ.create()), ErrorKind::InvalidInput);
    fails(dir.open(p("f"), Open::APPEND.truncate()), ErrorKind::InvalidInput);
    assert_eq!(content(&dir, "f"), b"abc");
    assert_eq!(names(&dir, ""), ["f"]);
}

fn create_new_takes_a_name_only_once(dir: Arc<dyn Dir>) {
    write(&dir, "f", b"mine");
    fails(dir.open(p("f"), Open::APPEND.create_new()), ErrorKind::AlreadyExists);
    dir.create_dir_all(p("d")).unwrap();
    fails(dir.open(p("d"), Open::APPEND.create_new()), ErrorKind::AlreadyExists);
    assert_eq!(content(&dir, "f"), b"mine");
}

fn create_opens_what_is_there_and_truncate_empties_it(dir: Arc<dyn Dir>) {
    write(&dir, "f", b"old");
    dir.open(p("f"), Open::APPEND.create()).unwrap().append(b"er").unwrap();
    assert_eq!(content(&dir, "f"), b"older");
    let file = dir.open(p("f"), Open::WRITE.create().truncate()).unwrap();
    assert_eq!(file.metadata().unwrap().len, 0);
    dir.open(p("g"), Open::WRITE.create().truncate()).unwrap();
    assert_eq!(names(&dir, ""), ["f", "g"]);
}

fn missing_things_are_not_found(dir: Arc<dyn Dir>) {
    fails(dir.open(p("f"), Open::READ), ErrorKind::NotFound);
    fails(dir.open(p("no/f"), Open::APPEND.create()), ErrorKind::NotFound);
    fails(dir.metadata(p("f")), ErrorKind::NotFound);
    fails(dir.remove(p("f")), ErrorKind::NotFound);
    fails(dir.remove_dir(p("f")), ErrorKind::NotFound);
    fails(dir.rename(p("f"), p("g")), ErrorKind::NotFound);
    fails(dir.hard_link(p("f"), p("g")), ErrorKind::NotFound);
    fails(dir.sync(p("f")), ErrorKind::NotFound);
    assert!(dir.entries(p("f")).is_err_and(|error| error.kind() == ErrorKind::NotFound));
    write(&dir, "f", b"");
    fails(dir.rename(p("f"), p("no/g")), ErrorKind::NotFound);
}

fn folders_and_files_are_not_mistaken_for_each_other(dir: Arc<dyn Dir>) {
    write(&dir, "f", b"");
    dir.create_dir_all(p("d/e")).unwrap();
    dir.create_dir_all(p("d/e")).unwrap();
    dir.create_dir_all(p("")).unwrap();
    fails(dir.create_dir_all(p("f")), ErrorKind::AlreadyExists);
    fails(dir.open(p("f/g"), Open::READ), ErrorKind::NotADirectory);
    fails(dir.open(p("d"), Open::APPEND), ErrorKind::IsADirectory);
    fails(dir.remove_dir(p("f")), ErrorKind::NotADirectory);
    assert!(dir.remove(p("d")).is_err());
    assert!(dir.entries(p("f")).is_err_and(|error| error.kind() == ErrorKind::NotADirectory));
    assert_eq!(names(&dir, ""), ["d", "f"]);
    assert_eq!(names(&dir, "d"), ["e"]);
}

fn entries_tell_name_and_kind(dir: Arc<dyn Dir>) {
    write(&dir, "f", b"");
    dir.create_dir_all(p("d/e")).unwrap();
    write(&dir, "d/g", b"");
    let mut found: Vec<Entry> = dir.entries(p("")).unwrap().collect::<io::Result<_>>().unwrap();
    found.sort();
    let entry = |name: &str, kind| Entry { name: name.into(), kind };
    assert_eq!(found, [entry("d", Kind::Dir), entry("f", Kind::File)]);
    assert_eq!(names(&dir, "d"), ["e", "g"]);
    assert_eq!(dir.metadata(p("d")).unwrap().kind, Kind::Dir);
    assert_eq!(dir.metadata(p("")).unwrap().kind, Kind::Dir);
    assert_eq!(dir.metadata(p("d/g")).unwrap().kind, Kind::File);
}

fn rename_replaces_in_one_step_and_keeps_the_identity(dir: Arc<dyn Dir>) {
    let new = write(&dir, "new", b"new");
    let old = write(&dir, "old", b"old");
    let id = new.metadata().unwrap().id;
    dir.rename(p("new"), p("old")).unwrap();
    assert_eq!(names(&dir, ""), ["old"]);
    assert_eq!(content(&dir, "old"), b"new");
    assert_eq!(dir.metadata(p("old")).unwrap().id, id);
    assert_ne!(old.metadata().unwrap().id, id);
    new.append(b"er").unwrap();
    assert_eq!(content(&dir, "old"), b"newer");
    dir.create_dir_all(p("d")).unwrap();
    dir.rename(p("old"), p("d/moved")).unwrap();
    dir.rename(p("d/moved"), p("d/moved")).unwrap();
    assert_eq!(content(&dir, "d/moved"), b"newer");
}

fn rename_of_folders_follows_the_rules(dir: Arc<dyn Dir>) {
    dir.create_dir_all(p("a")).unwrap();
    dir.create_dir_all(p("b/c")).unwrap();
    write(&dir, "a/f", b"in a");
    write(&dir, "g", b"");
    fails(dir.rename(p("a"), p("b")), ErrorKind::DirectoryNotEmpty);
    fails(dir.rename(p("a"), p("g")), ErrorKind::NotADirectory);
    fails(dir.rename(p("g"), p("a")), ErrorKind::IsADirectory);
    fails(dir.rename(p("b"), p("b/c/b")), ErrorKind::InvalidInput);
    dir.rename(p("a"), p("b/c")).unwrap();
    assert_eq!(content(&dir, "b/c/f"), b"in a");
    assert_eq!(names(&dir, ""), ["b", "g"]);
}

fn hard_link_never_replaces(dir: Arc<dyn Dir>) {
    write(&dir, "a", b"a");
    write(&dir, "b", b"b");
    fails(dir.hard_link(p("a"), p("b")), ErrorKind::AlreadyExists);
    dir.hard_link(p("a"), p("c")).unwrap();
    assert_eq!(dir.metadata(p("a")).unwrap().id, dir.metadata(p("c")).unwrap().id);
    dir.rename(p("a"), p("c")).unwrap();
    assert_eq!(names(&dir, ""), ["a", "b", "c"], "two names of one file: nothing happens");
    dir.remove(p("a")).unwrap();
    assert_eq!(content(&dir, "c"), b"a");
}

fn a_removed_file_stays_with_those_who_hold_it(dir: Arc<dyn Dir>) {
    let held = write(&dir, "f", b"held");
    dir.remove(p("f")).unwrap();
    assert!(names(&dir, "").is_empty());
    write(&dir, "f", b"other");
    held.append(b" on").unwrap();
    let mut bytes = [0; 7];
    read_exact_at(&*held, &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"held on");
    assert_eq!(content(&dir, "f"), b"other");
    assert_ne!(dir.metadata(p("f")).unwrap().id, held.metadata().unwrap().id);
}

fn a_file_keeps_its_identity_and_another_has_another(dir: Arc<dyn Dir>) {
    let a = write(&dir, "a", b"");
    let b = write(&dir, "b", b"");
    assert_ne!(a.metadata().unwrap().id, b.metadata().unwrap().id);
    a.append(b"more").unwrap();
    let again = dir.open(p("a"), Open::READ).unwrap();
    assert_eq!(a.metadata().unwrap().id, again.metadata().unwrap().id);
    assert_eq!(a.metadata().unwrap().id, dir.metadata(p("a")).unwrap().id);
}

fn only_empty_folders_are_removed(dir: Arc<dyn Dir>) {
    dir.create_dir_all(p("d")).unwrap();
    write(&dir, "d/f", b"");
    fails(dir.remove_dir(p("d")), ErrorKind::DirectoryNotEmpty);
    dir.remove(p("d/f")).unwrap();
    dir.remove_dir(p("d")).unwrap();
    assert!(names(&dir, "").is_empty());
}

fn lengths_are_set_both_ways(dir: Arc<dyn Dir>) {
    let file = write(&dir, "f", b"abcdef");
    file.set_len(2).unwrap();
    assert_eq!(content(&dir, "f"), b"ab");
    file.append(b"X").unwrap();
    file.set_len(5).unwrap();
    assert_eq!(content(&dir, "f"), b"abX\0\0");
}

fn locks_exclude_other_handles_and_end_with_them(dir: Arc<dyn Dir>) {
    let one = write(&dir, "f", b"");
    let two = dir.open(p("f"), Open::READ).unwrap();
    assert!(one.try_lock().unwrap());
    assert!(one.try_lock().unwrap(), "its own lock does not stand in the way");
    assert!(!two.try_lock().unwrap());
    two.unlock().unwrap();
    assert!(!two.try_lock().unwrap(), "only the holder gives it back");
    one.unlock().unwrap();
    assert!(two.try_lock().unwrap());
    assert!(!one.try_lock().unwrap());
    drop(two);
    assert!(one.try_lock().unwrap());
    dir.rename(p("f"), p("g")).unwrap();
    let three = dir.open(p("g"), Open::APPEND).unwrap();
    assert!(!three.try_lock().unwrap(), "the lock goes with the file, not with the name");
}

fn names_that_lead_out_of_the_folder_are_refused(dir: Arc<dyn Dir>) {
    for name in ["../f", "/f", "d/../../f"] {
        fails(dir.open(p(name), Open::APPEND.create()), ErrorKind::InvalidInput);
        fails(dir.remove(p(name)), ErrorKind::InvalidInput);
        fails(dir.create_dir_all(p(name)), ErrorKind::InvalidInput);
        fails(dir.metadata(p(name)), ErrorKind::InvalidInput);
        fails(dir.sync(p(name)), ErrorKind::InvalidInput);
        fails(dir.rename(p("f"), p(name)), ErrorKind::InvalidInput);
        fails(dir.rename(p(name), p("f")), ErrorKind::InvalidInput);
        fails(dir.hard_link(p(name), p("f")), ErrorKind::InvalidInput);
        fails(dir.hard_link(p("f"), p(name)), ErrorKind::InvalidInput);
    }
}

fn time_can_be_set_and_moves_with_writes(dir: Arc<dyn Dir>) {
    let file = write(&dir, "f", b"a");
    let past = SystemTime::now() - Duration::from_secs(3600);
    file.set_modified(past).unwrap();
    let seen = dir.metadata(p("f")).unwrap().modified;
    assert!(seen.duration_since(past).unwrap_or_default() < Duration::from_secs(1));
    file.append(b"b").unwrap();
    let age = SystemTime::now().duration_since(file.metadata().unwrap().modified);
    assert!(age.unwrap_or_default() < Duration::from_secs(600));
}

fn reading_at_and_behind_the_end_gives_nothing(dir: Arc<dyn Dir>) {
    let file = write(&dir, "f", b"abc");
    let mut bytes = [7; 4];
    assert_eq!(file.read_at(&mut bytes, 1).unwrap(), 2);
    assert_eq!(&bytes, b"bc\x07\x07");
    assert_eq!(file.read_at(&mut bytes, 3).unwrap(), 0);
    assert_eq!(file.read_at(&mut bytes, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
}

fn helpers_read_exactly_or_say_where_the_file_ends(dir: Arc<dyn Dir>) {
    let file = write(&dir, "f", b"abcdef");
    let mut bytes = [0; 3];
    read_exact_at(&*file, &mut bytes, 3).unwrap();
    assert_eq!(&bytes, b"def");
    let error = fails(read_exact_at(&*file, &mut bytes, 4), ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("/f"), "{error}");
    read_exact_at(&*file, &mut [], 100).unwrap();
    fails(read_all(&*dir, p("f"), 5), ErrorKind::FileTooLarge);
    assert_eq!(read_all(&*dir, p("f"), 6).unwrap(), b"abcdef");
}

fn reader_reads_and_seeks(dir: Arc<dyn Dir>) {
    let file = write(&dir, "f", b"abcdef");
    let mut reader = FileReader::new(file);
    let mut two = [0; 2];
    reader.read_exact(&mut two).unwrap();
    assert_eq!((&two, reader.position()), (b"ab", 2));
    assert_eq!(reader.seek(SeekFrom::End(-1)).unwrap(), 5);
    assert_eq!(reader.seek(SeekFrom::Current(-2)).unwrap(), 3);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "def");
    fails(reader.seek(SeekFrom::End(-7)), ErrorKind::InvalidInput);
    assert_eq!(reader.position(), 6);
    let shared: Arc<dyn File> = Arc::from(reader.into_inner());
    assert_eq!(io::copy(&mut FileReader::new(shared), &mut io::sink()).unwrap(), 6);
}

fn replace_leaves_only_the_new_file(dir: Arc<dyn Dir>) {
    replace(&*dir, p("f"), b"first").unwrap();
    replace(&*dir, p("f"), b"second").unwrap();
    assert_eq!(content(&dir, "f"), b"second");
    dir.create_dir_all(p("d")).unwrap();
    replace(&*dir, p("d/f"), b"").unwrap();
    assert_eq!(
        (names(&dir, ""), names(&dir, "d")),
        (vec!["d".to_owned(), "f".to_owned()], vec!["f".to_owned()])
    );
}

fn a_replacement_that_is_dropped_leaves_nothing(dir: Arc<dyn Dir>) {
    replace(&*dir, p("f"), b"old").unwrap();
    let replacement = Replacement::begin(&*dir, "f.tmp", Open::WRITE.private()).unwrap();
    replacement.file().write_at(b"new", 0).unwrap();
    drop(replacement);
    assert_eq!((names(&dir, ""), content(&dir, "f")), (vec!["f".to_owned()], b"old".to_vec()));
}

fn errors_name_the_file_and_the_operation(dir: Arc<dyn Dir>) {
    let place = dir.path().join("d/f").display().to_string();
    let error = dir.open(p("d/f"), Open::READ).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot open {place}: ")), "{error}");
    let error = dir.open(p("d/f"), Open::READ.create()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot open {place}: ")), "{error}");
    assert_eq!(os_error(&error), None);
    dir.create_dir_all(p("d")).unwrap();
    let file = write(&dir, "d/f", b"");
    assert_eq!(file.path(), Path::new(&place));
}
