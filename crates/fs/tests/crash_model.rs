//! The states that [`CrashFs`] says a crash could leave, against lists made by hand.
#![cfg(feature = "crash")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ledger_fs::crash::{CrashFs, CrashPolicy, Fault, Image, OperationKind};
use ledger_fs::{Dir, Entry, File, Kind, Open, append_all, os_error, read_all};

const ALL: CrashPolicy = CrashPolicy { seed: 0, images_per_point: 1_000_000 };

fn p(name: &str) -> &Path {
    Path::new(name)
}

fn root() -> &'static Path {
    p("")
}

/// Everything on the file system: `a=content d/ d/b=content`, zeros as `0`.
fn show(dir: &Arc<dyn Dir>) -> String {
    fn walk(dir: &Arc<dyn Dir>, folder: &Path, shown: &mut Vec<String>) {
        let mut entries: Vec<Entry> = dir.entries(folder).unwrap().collect::<io::Result<_>>().unwrap();
        entries.sort();
        for entry in entries {
            let name = folder.join(&entry.name);
            if entry.kind == Kind::Dir {
                shown.push(format!("{}/", name.display()));
                walk(dir, &name, shown);
            } else {
                let content = read_all(&**dir, &name, 1 << 20).unwrap();
                let content = String::from_utf8(content).unwrap().replace('\0', "0");
                shown.push(format!("{}={content}", name.display()));
            }
        }
    }
    let mut shown = Vec::new();
    walk(dir, root(), &mut shown);
    shown.join(" ")
}

fn states(images: impl Iterator<Item = Image>) -> BTreeSet<String> {
    let mut count = 0;
    let states: BTreeSet<String> =
        images.inspect(|_| count += 1).map(|image| show(&image.fs.dir())).collect();
    assert_eq!(states.len(), count, "no state comes twice");
    states
}

#[track_caller]
fn leaves(fs: &CrashFs, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&state| state.to_owned()).collect();
    assert_eq!(states(fs.images(ALL)), expected);
}

fn create(fs: &CrashFs, name: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = fs.dir().open(p(name), Open::APPEND.create_new()).unwrap();
    append_all(&*file, bytes, 0).unwrap();
    file
}

/// A file that is safe.
fn safe(fs: &CrashFs, name: &str, bytes: &[u8]) {
    create(fs, name, bytes).sync_data().unwrap();
    fs.dir().sync(p(name).parent().unwrap()).unwrap();
}

#[test]
fn nothing_done_leaves_nothing() {
    leaves(&CrashFs::new(), &[""]);
}

#[test]
fn an_unsynced_file_may_be_missing_empty_torn_or_zeros() {
    let fs = CrashFs::new();
    create(&fs, "f", b"abc");
    leaves(&fs, &["", "f=", "f=a", "f=ab", "f=abc", "f=000", "f=a00"]);
}

#[test]
fn synced_bytes_are_whole_but_their_name_may_be_missing() {
    let fs = CrashFs::new();
    create(&fs, "f", b"abc").sync_data().unwrap();
    leaves(&fs, &["", "f=abc"]);
}

#[test]
fn a_synced_name_stays_but_its_bytes_may_be_missing() {
    let fs = CrashFs::new();
    create(&fs, "f", b"ab");
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &["f=", "f=a", "f=ab", "f=00", "f=a0"]);
}

#[test]
fn synced_bytes_and_name_are_safe_in_either_order() {
    let fs = CrashFs::new();
    create(&fs, "f", b"abc").sync_all().unwrap();
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &["f=abc"]);
    let file = create(&fs, "g", b"d");
    fs.dir().sync(root()).unwrap();
    file.sync_data().unwrap();
    leaves(&fs, &["f=abc g=d"]);
}

#[test]
fn an_overwritten_range_is_old_new_or_torn_but_never_zeros() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"abc");
    fs.dir().open(p("f"), Open::WRITE).unwrap().write_at(b"XY", 1).unwrap();
    leaves(&fs, &["f=abc", "f=aXc", "f=aXY"]);
}

#[test]
fn an_append_to_a_safe_file_touches_nothing_before_it() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"ab");
    fs.dir().open(p("f"), Open::APPEND).unwrap().append(b"cd").unwrap();
    leaves(&fs, &["f=ab", "f=abc", "f=abcd", "f=ab00", "f=abc0"]);
}

#[test]
fn a_later_write_may_be_kept_while_an_earlier_one_is_lost() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"");
    let file = fs.dir().open(p("f"), Open::APPEND).unwrap();
    file.append(b"a").unwrap();
    file.append(b"b").unwrap();
    leaves(&fs, &["f=", "f=0", "f=a", "f=00", "f=0b", "f=a0", "f=ab"]);
    file.sync_data().unwrap();
    file.append(b"c").unwrap();
    leaves(&fs, &["f=ab", "f=ab0", "f=abc"]);
}

#[test]
fn an_unsynced_length_is_the_old_or_the_new_one() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"abcd");
    let file = fs.dir().open(p("f"), Open::APPEND).unwrap();
    file.set_len(2).unwrap();
    leaves(&fs, &["f=ab", "f=abcd"]);
    file.append(b"X").unwrap();
    leaves(&fs, &["f=ab", "f=ab0", "f=abX", "f=abcd", "f=abXd"]);
    file.sync_data().unwrap();
    leaves(&fs, &["f=abX"]);
}

#[test]
fn emptying_by_open_is_a_length_like_any_other() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"old");
    fs.dir().open(p("f"), Open::WRITE.create().truncate()).unwrap();
    leaves(&fs, &["f=old", "f="]);
}

#[test]
fn a_rename_happened_or_not_and_does_not_wait_for_the_data() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"old");
    create(&fs, "t", b"n");
    fs.dir().rename(p("t"), p("f")).unwrap();
    leaves(&fs, &["f=old", "f=old t=", "f=old t=0", "f=old t=n", "f=", "f=0", "f=n"]);
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &["f=", "f=0", "f=n"]);
}

#[test]
fn names_change_independently_but_one_name_only_in_order() {
    let fs = CrashFs::new();
    create(&fs, "a", b"");
    create(&fs, "b", b"");
    leaves(&fs, &["", "a=", "b=", "a= b="]);
    fs.dir().rename(p("a"), p("c")).unwrap();
    leaves(&fs, &["", "a=", "b=", "a= b=", "c=", "b= c="]);
    fs.dir().remove(p("c")).unwrap();
    leaves(&fs, &["", "a=", "b=", "a= b=", "c=", "b= c="]);
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &["b="]);
}

#[test]
fn a_removed_file_may_come_back_with_or_without_its_last_bytes() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"a");
    fs.dir().open(p("f"), Open::APPEND).unwrap().append(b"b").unwrap();
    fs.dir().remove(p("f")).unwrap();
    leaves(&fs, &["", "f=a", "f=ab", "f=a0"]);
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &[""]);
}

#[test]
fn a_name_given_again_is_the_old_file_none_or_the_new_one() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"old");
    fs.dir().remove(p("f")).unwrap();
    create(&fs, "f", b"new").sync_data().unwrap();
    leaves(&fs, &["", "f=old", "f=new"]);
}

#[test]
fn what_lies_in_an_unsynced_folder_is_lost_with_it() {
    let fs = CrashFs::new();
    fs.dir().create_dir_all(p("d")).unwrap();
    safe(&fs, "d/f", b"a");
    leaves(&fs, &["", "d/ d/f=a"]);
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &["d/ d/f=a"]);
    fs.dir().remove(p("d/f")).unwrap();
    fs.dir().remove_dir(p("d")).unwrap();
    leaves(&fs, &["", "d/", "d/ d/f=a"]);
}

#[test]
fn a_move_between_folders_is_whole_and_needs_both_syncs() {
    let fs = CrashFs::new();
    fs.dir().create_dir_all(p("d")).unwrap();
    fs.dir().sync(root()).unwrap();
    safe(&fs, "f", b"a");
    fs.dir().rename(p("f"), p("d/f")).unwrap();
    let either = ["d/ f=a", "d/ d/f=a"];
    leaves(&fs, &either);
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &either);
    fs.dir().sync(p("d")).unwrap();
    leaves(&fs, &["d/ d/f=a"]);
}

#[test]
fn a_move_into_a_folder_that_is_not_safe_never_loses_the_file() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"a");
    fs.dir().create_dir_all(p("d/e")).unwrap();
    fs.dir().rename(p("f"), p("d/e/f")).unwrap();
    leaves(&fs, &["f=a", "d/ f=a", "d/ d/e/ f=a", "d/ d/e/ d/e/f=a"]);
}

#[test]
fn a_safe_change_of_a_name_carries_the_move_before_it() {
    let fs = CrashFs::new();
    fs.dir().create_dir_all(p("d")).unwrap();
    fs.dir().sync(root()).unwrap();
    safe(&fs, "f", b"a");
    fs.dir().rename(p("f"), p("d/f")).unwrap();
    create(&fs, "f", b"b").sync_data().unwrap();
    leaves(&fs, &["d/ f=a", "d/ d/f=a", "d/ d/f=a f=b"]);
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &["d/ d/f=a f=b"]);
}

#[test]
fn a_hard_link_is_a_second_name_of_the_same_bytes() {
    let fs = CrashFs::new();
    safe(&fs, "a", b"1");
    fs.dir().hard_link(p("a"), p("b")).unwrap();
    fs.dir().open(p("a"), Open::WRITE).unwrap().write_at(b"2", 0).unwrap();
    leaves(&fs, &["a=1", "a=2", "a=1 b=1", "a=2 b=2"]);
}

#[test]
fn long_writes_are_torn_between_sectors_from_both_sides() {
    let fs = CrashFs::new();
    safe(&fs, "f", &[b'a'; 500]);
    fs.dir().open(p("f"), Open::APPEND).unwrap().append(&[b'b'; 600]).unwrap();
    let found = states(fs.images(ALL));
    let state = |parts: &[(&str, usize)]| {
        let parts: String = parts.iter().map(|(what, count)| what.repeat(*count)).collect();
        format!("f={parts}")
    };
    for expected in [
        state(&[("a", 500), ("b", 12)]),
        state(&[("a", 500), ("b", 12), ("0", 588)]),
        state(&[("a", 500), ("0", 12), ("b", 588)]),
        state(&[("a", 500), ("b", 524)]),
        state(&[("a", 500), ("0", 524), ("b", 76)]),
        state(&[("a", 500), ("b", 1)]),
        state(&[("a", 500), ("b", 599)]),
        state(&[("a", 500), ("0", 600)]),
    ] {
        assert!(found.contains(&expected), "{expected}");
    }
    assert!(found.iter().all(|state| state.starts_with(&format!("f={}", "a".repeat(500)))));
}

#[test]
fn a_failed_sync_forgets_the_bytes_for_good() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"a");
    let file = fs.dir().open(p("f"), Open::APPEND).unwrap();
    file.append(b"b").unwrap();
    fs.fail_at(fs.operations(), Fault::FailedSync);
    let error = file.sync_data().unwrap_err();
    assert_eq!(os_error(&error), Some(5), "{error}");
    assert_eq!(show(&fs.dir()), "f=ab", "programs still see it");
    file.append(b"c").unwrap();
    file.sync_data().unwrap();
    leaves(&fs, &["f=a0c", "f=abc"]);
}

#[test]
fn a_failed_sync_of_a_folder_makes_nothing_safe() {
    let fs = CrashFs::new();
    create(&fs, "f", b"");
    fs.fail_at(fs.operations(), Fault::FailedSync);
    fs.dir().sync(root()).unwrap_err();
    leaves(&fs, &["", "f="]);
    fs.dir().sync(root()).unwrap();
    leaves(&fs, &["f="]);
}

#[test]
fn a_killed_process_leaves_everything_and_no_lock() {
    let fs = CrashFs::new();
    let file = create(&fs, "f", b"abc");
    assert!(file.try_lock().unwrap());
    let after = fs.kill();
    assert_eq!(show(&after.dir()), "f=abc");
    assert!(after.dir().open(p("f"), Open::APPEND).unwrap().try_lock().unwrap());
    assert!(!fs.dir().open(p("f"), Open::APPEND).unwrap().try_lock().unwrap());
    leaves(&after, &["f=abc"]);
}

#[test]
fn every_image_is_a_file_system_of_its_own() {
    let fs = CrashFs::new();
    safe(&fs, "f", b"a");
    let images: Vec<Image> = fs.images(ALL).collect();
    let [image] = images.as_slice() else { panic!("one state") };
    image.fs.dir().open(p("f"), Open::APPEND).unwrap().append(b"b").unwrap();
    leaves(&image.fs, &["f=a", "f=ab", "f=a0"]);
    leaves(&fs, &["f=a"]);
    assert_eq!(show(&fs.dir()), "f=a");
}

#[test]
fn the_crash_can_come_during_any_operation() {
    let fs = CrashFs::new();
    let file = create(&fs, "f", b"a"); // 0: create, 1: append
    file.sync_data().unwrap(); // 2
    fs.dir().sync(root()).unwrap(); // 3
    let kinds: Vec<OperationKind> = fs.log().iter().map(|operation| operation.kind).collect();
    let names: [OperationKind; 4] =
        [OperationKind::Create, OperationKind::Write, OperationKind::SyncFile, OperationKind::SyncDir];
    assert_eq!(kinds, names);
    let at = |number| states(fs.images_at(number, ALL)).into_iter().collect::<Vec<_>>().join("|");
    assert_eq!(at(0), "|f=");
    assert_eq!(at(1), "|f=|f=0|f=a");
    assert_eq!(at(2), "|f=|f=0|f=a");
    assert_eq!(at(3), "|f=a");
    assert_eq!(at(4), "f=a");
}

#[test]
fn the_seed_decides_which_images_are_drawn_and_the_limit_how_many() {
    let fs = CrashFs::new();
    for name in ["a", "b", "c", "d"] {
        let file = create(&fs, name, &[b'x'; 40]);
        for _ in 0..5 {
            file.append(&[b'y'; 30]).unwrap();
        }
    }
    let draw = |seed, images_per_point| {
        let images = fs.images(CrashPolicy { seed, images_per_point });
        images.map(|image| show(&image.fs.dir())).collect::<Vec<String>>()
    };
    assert_eq!(draw(1, 200), draw(1, 200));
    assert_ne!(draw(1, 200), draw(2, 200));
    let drawn = draw(1, 200);
    assert!((150..=200).contains(&drawn.len()), "{}", drawn.len());
    assert_eq!(drawn.first(), Some(&show(&fs.dir())), "everything kept comes first");
    assert_eq!(drawn.get(1).map(String::as_str), Some(""), "everything lost comes second");
    assert!(drawn.contains(&"a= b= c= d=".to_owned()), "names without data");
}

#[test]
fn a_short_write_takes_a_part_and_the_next_one_may_succeed() {
    let fs = CrashFs::new();
    let file = create(&fs, "f", b"");
    fs.fail_at(fs.operations(), Fault::ShortWrite(2));
    assert_eq!(file.append(b"abc").unwrap(), 2);
    assert_eq!(file.append(b"c").unwrap(), 1);
    fs.fail_at(fs.operations(), Fault::ShortWrite(9));
    assert_eq!(file.append(b"de").unwrap(), 1, "always shorter than asked for");
    assert_eq!(show(&fs.dir()), "f=abcd");
}

#[test]
fn a_torn_write_cannot_be_completed_or_taken_back_at_once() {
    let fs = CrashFs::new();
    let file = create(&fs, "f", b"ab");
    fs.fail_at(fs.operations(), Fault::TornWrite(1));
    let error = append_all(&*file, b"cd", 2).unwrap_err();
    assert!(error.cut_back.is_err());
    assert_eq!(show(&fs.dir()), "f=abc");
    file.set_len(2).unwrap();
    file.append(b"e").unwrap();
    assert_eq!(show(&fs.dir()), "f=abe");
}

#[test]
fn a_full_disk_refuses_what_needs_space_and_nothing_else() {
    let fs = CrashFs::new();
    let file = create(&fs, "f", b"abc");
    fs.fail_from(fs.operations(), Fault::NoSpace);
    let error = file.append(b"d").unwrap_err();
    assert_eq!((error.kind(), os_error(&error)), (io::ErrorKind::StorageFull, Some(28)));
    assert!(error.to_string().starts_with("cannot append to /crashfs/f: "), "{error}");
    assert!(fs.dir().open(p("g"), Open::APPEND.create()).is_err());
    assert!(fs.dir().create_dir_all(p("d")).is_err());
    file.set_len(1).unwrap();
    fs.dir().open(p("f"), Open::READ).unwrap();
    fs.heal();
    file.append(b"z").unwrap();
    assert_eq!(show(&fs.dir()), "f=az");
}

#[test]
fn after_a_power_cut_nothing_works() {
    let fs = CrashFs::new();
    let file = create(&fs, "f", b"abc");
    fs.fail_at(fs.operations() + 1, Fault::PowerCut);
    file.append(b"d").unwrap();
    for _ in 0..3 {
        assert!(file.append(b"e").is_err());
        assert!(fs.dir().metadata(p("f")).is_err());
    }
}

#[test]
fn append_all_cuts_the_file_back_or_says_that_it_could_not() {
    let fs = CrashFs::new();
    let file = create(&fs, "f", b"abc");
    let now = fs.operations();
    fs.fail_at(now, Fault::ShortWrite(2));
    fs.fail_at(now + 1, Fault::NoSpace);
    let error = append_all(&*file, b"defg", 3).unwrap_err();
    assert!(error.cut_back.is_ok());
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::StorageFull);
    assert_eq!(show(&fs.dir()), "f=abc");

    let now = fs.operations();
    fs.fail_at(now, Fault::ShortWrite(2));
    fs.fail_from(now + 1, Fault::Io);
    let error = append_all(&*file, b"defg", 3).unwrap_err();
    fs.heal();
    assert!(error.cut_back.is_err());
    assert!(error.to_string().contains("part of the record is left"), "{error}");
    assert_eq!(show(&fs.dir()), "f=abcde");

    fs.fail_at(fs.operations(), Fault::ShortWrite(1));
    append_all(&*file, b"fg", 5).unwrap();
    fs.fail_at(fs.operations(), Fault::ShortWrite(0));
    append_all(&*file, b"h", 7).unwrap_err();
    assert_eq!(show(&fs.dir()), "f=abcdefg");
}

#[test]
fn inode_numbers_are_given_again_as_file_systems_do() {
    let fs = CrashFs::new();
    let dir = fs.dir();
    let first = create(&fs, "a", b"").metadata().unwrap().id;
    dir.remove(p("a")).unwrap();
    let held = create(&fs, "b", b"");
    assert_eq!(held.metadata().unwrap().id, first);
    dir.remove(p("b")).unwrap();
    let other = create(&fs, "c", b"").metadata().unwrap().id;
    assert_ne!(other, first, "it is still open");
    drop(held);
    assert_eq!(create(&fs, "d", b"").metadata().unwrap().id, first);
    for image in fs.images(ALL) {
        let dir = image.fs.dir();
        let names: Vec<Entry> = dir.entries(root()).unwrap().collect::<io::Result<_>>().unwrap();
        let ids: BTreeSet<_> =
            names.iter().map(|entry| dir.metadata(p(entry.name.to_str().unwrap())).unwrap().id).collect();
        assert_eq!(ids.len(), names.len(), "{image}");
    }
}

#[test]
fn an_image_says_what_became_of_each_operation() {
    let fs = CrashFs::new();
    create(&fs, "f", b"ab");
    let said: Vec<String> = fs.images(ALL).map(|image| image.to_string()).collect();
    assert!(
        said.contains(&"  f created as 1: kept\n  write 0..2 of file 1: only its first 1 bytes\n".to_owned()),
        "{said:?}"
    );
}
