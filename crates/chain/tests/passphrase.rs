//! Key files protected by a passphrase, ours read by OpenSSL and OpenSSL's by us.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, sync::Arc,
};

use common::{open, record, settings, verify};
use ledger_chain::{
    crypto::{Curve, KeyError, Passphrase, PrivateKey, ProtectionError},
    maps::Maps,
    verify::Verdict,
    writer::{Engine, Home, Ledger, LedgerError, load_secrets},
};
use ledger_fs::crash::{CrashFs, CrashPolicy, Fault, History, for_each_crash_of, for_each_fault};

fn home(path: &Path, passphrase: &str) -> Home {
    Home::create(path).unwrap().with_passphrase(Passphrase::new(passphrase).unwrap())
}

/// A ledger with a private value, protected by "correct".
fn protected() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::init_in(&home(folder.path(), "correct"), settings()).unwrap();
    let mut writes = record("key", "value");
    writes.put("private", "key", "secret");
    ledger.append(&writes).unwrap();
    ledger.close().unwrap();
    folder
}

fn openssl(args: &[&str]) -> bool {
    let output = Command::new("openssl").args(args).output();
    let output = output.expect("this test needs OpenSSL: apt-get install openssl");
    output.status.success()
}

#[test]
fn protected_keys_are_read_by_openssl_with_the_passphrase_and_not_without() {
    let folder = protected();
    for name in ["service_key.pem", "node_key.pem"] {
        let path = folder.path().join("keys").join(name);
        assert!(fs::read_to_string(&path).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let key = path.to_str().unwrap();
        let public = folder.path().join("public.pem");
        assert!(openssl(&[
            "pkey",
            "-in",
            key,
            "-passin",
            "pass:correct",
            "-pubout",
            "-out",
            public.to_str().unwrap()
        ]));
        assert!(!openssl(&["pkey", "-in", key, "-passin", "pass:wrong", "-noout"]));
        // It is the key of the certificate.
        let certificate = path.to_str().unwrap().replace("_key", "_cert");
        let output = Command::new("openssl")
            .args(["x509", "-in", &certificate, "-noout", "-pubkey"])
            .output()
            .unwrap();
        assert_eq!(output.stdout, fs::read(&public).unwrap());
    }
    for entry in fs::read_dir(folder.path().join("keys")).unwrap() {
        let entry = entry.unwrap();
        let (name, mode) =
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode());
        let secret = name.ends_with("_key.pem") || name == "ledger_secrets";
        assert!(!secret || mode & 0o777 == 0o600, "{name} {mode:o}");
    }
    let secrets = fs::read_to_string(folder.path().join("keys/ledger_secrets")).unwrap();
    assert!(secrets.starts_with("-----BEGIN ENCRYPTED LEDGER SECRETS-----\n"), "{secrets}");
}

#[test]
fn a_protected_ledger_opens_with_its_passphrase_and_says_what_to_do_without() {
    let folder = protected();
    let plain = Home::open(folder.path()).unwrap();
    for error in [
        Ledger::open_in(&plain, settings()).unwrap_err(),
        plain.secrets().unwrap_err(),
        load_secrets(&*open(&folder.path().join("keys"))).unwrap_err(),
    ] {
        assert!(matches!(&error, LedgerError::Protected { file } if file == "ledger_secrets"), "{error}");
        assert!(error.to_string().contains("--passphrase-file"), "{error}");
    }
    for error in [
        Ledger::open_in(&home(folder.path(), "wrong"), settings()).unwrap_err(),
        home(folder.path(), "wrong").secrets().unwrap_err(),
    ] {
        let wrong = matches!(&error, LedgerError::Protection { error: ProtectionError::Passphrase, .. });
        assert!(wrong && !error.to_string().contains("wrong"), "{error}");
    }
    let home = home(folder.path(), "correct");
    let ledger = Ledger::open_in(&home, settings()).unwrap();
    ledger.append(&record("key", "again")).unwrap();
    ledger.close().unwrap();
    let value = Maps::open(&home).unwrap().get("private", b"key").unwrap().unwrap().value;
    assert_eq!(value.unwrap(), b"secret");
    assert_eq!(verify(&folder.path().join("ledger")).verdict, Verdict::Verified);
}

#[test]
fn rotated_keys_and_secrets_are_protected_too() {
    let folder = protected();
    let home = home(folder.path(), "correct");
    let ledger = Ledger::open_in(&home, settings()).unwrap();
    ledger.rotate_node_key(&home, Curve::P256).unwrap();
    ledger.rotate_ledger_secret(&home).unwrap();
    ledger.close().unwrap();
    for name in ["service_key.pem", "node_key.pem", "ledger_secrets"] {
        let text = fs::read_to_string(folder.path().join("keys").join(name)).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED "), "{name}");
    }
    assert_eq!(home.secrets().unwrap().iter().count(), 2);
    drop(ledger);
    Ledger::open_in(&home, settings()).unwrap().close().unwrap();
}

#[test]
fn a_passphrase_protects_what_is_written_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::init(folder.path(), settings()).unwrap().close().unwrap();
    let home = home(folder.path(), "later");
    let ledger = Ledger::open_in(&home, settings()).unwrap();
    ledger.rotate_node_key(&home, Curve::P384).unwrap();
    ledger.rotate_ledger_secret(&home).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    assert!(matches!(Ledger::open(folder.path(), settings()), Err(LedgerError::Protected { .. })));
    Ledger::open_in(&home, settings()).unwrap().close().unwrap();
}

#[test]
fn keys_that_openssl_protected_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = PrivateKey::generate(Curve::P384).unwrap();
    fs::write(path("plain"), key.to_pem(None).unwrap().as_bytes()).unwrap();
    let passphrase = Passphrase::new("pass phrase").unwrap();
    let protect = |method: &[&str]| {
        let (plain, out) = (path("plain"), path("protected"));
        let common = ["pkcs8", "-topk8", "-in", &plain, "-out", &out, "-passout", "pass:pass phrase"];
        assert!(openssl(&[&common[..], method].concat()), "{method:?}");
        PrivateKey::from_pem(&fs::read_to_string(out).unwrap(), Some(&passphrase))
    };
    for method in [
        &["-v2", "aes-256-cbc"][..],
        &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512", "-iter", "5000"],
    ] {
        assert_eq!(protect(method).unwrap().public(), key.public());
    }
    let unsupported = protect(&["-scrypt"]).unwrap_err();
    assert!(matches!(unsupported, KeyError::Protection(ProtectionError::Unsupported { .. })));
    assert!(unsupported.to_string().contains("openssl pkcs8 -topk8 -v2 aes-256-cbc"), "{unsupported}");
}

/// The files of keys of a home, with what they hold.
fn key_files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder.join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn the_passphrase_of_existing_keys_is_set_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(folder.path(), settings()).unwrap();
    let mut writes = record("key", "value");
    writes.put("private", "key", "secret");
    ledger.append(&writes).unwrap();
    ledger.rotate_ledger_secret(&Home::open(folder.path()).unwrap()).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let before = key_files(folder.path());
    let plain = || Home::open(folder.path()).unwrap();
    let passphrase = |text: &str| Passphrase::new(text).unwrap();

    plain().change_passphrase(Some(&passphrase("first"))).unwrap();
    assert!(matches!(Ledger::open_in(&plain(), settings()), Err(LedgerError::Protected { .. })));
    home(folder.path(), "first").change_passphrase(Some(&passphrase("second"))).unwrap();
    assert!(matches!(
        Ledger::open_in(&home(folder.path(), "first"), settings()),
        Err(LedgerError::Protection { error: ProtectionError::Passphrase, .. })
    ));
    for (name, text) in key_files(folder.path()) {
        let secret = name.ends_with("_key.pem") || name == "ledger_secrets";
        assert_eq!(text.starts_with("-----BEGIN ENCRYPTED "), secret, "{name}");
        let mode = fs::metadata(folder.path().join("keys").join(&name)).unwrap().permissions().mode();
        assert!(!secret || mode & 0o777 == 0o600, "{name} {mode:o}");
    }
    let key = folder.path().join("keys/service_key.pem");
    assert!(openssl(&["pkey", "-in", key.to_str().unwrap(), "-passin", "pass:second", "-noout"]));
    // Everything goes on with it.
    let second = home(folder.path(), "second");
    Ledger::open_in(&second, settings()).unwrap().append(&record("key", "again")).unwrap();
    let value = Maps::open(&second).unwrap().get("private", b"key").unwrap().unwrap().value;
    assert_eq!(value.unwrap(), b"secret");

    // A wrong one changes nothing.
    let protected = key_files(folder.path());
    assert!(home(folder.path(), "wrong").change_passphrase(None).is_err());
    assert!(plain().change_passphrase(Some(&passphrase("third"))).is_err());
    assert_eq!(key_files(folder.path()), protected);
    // Nor does a change while somebody writes.
    let ledger = Ledger::open_in(&second, settings()).unwrap();
    assert!(matches!(second.change_passphrase(None), Err(LedgerError::Locked { .. })));
    drop(ledger);

    second.change_passphrase(None).unwrap();
    let without_view = |files: Vec<(String, String)>| -> Vec<_> {
        files.into_iter().filter(|(name, _)| name != "view").collect()
    };
    assert_eq!(without_view(key_files(folder.path())), without_view(before));
}

#[derive(Debug, Clone, PartialEq)]
enum Told {
    Made,
    Changed,
}

#[test]
fn after_a_crash_the_former_passphrase_opens_all_keys_or_the_next_one_does() {
    let one = Arc::new(Passphrase::new("one").unwrap());
    for (former, next) in [(None, Some(&one)), (Some(&one), None)] {
        let home = |fs: &CrashFs, passphrase: Option<&Arc<Passphrase>>| {
            let home = Home::new(fs.dir());
            passphrase.map_or(home.clone(), |passphrase| home.with_passphrase(Arc::clone(passphrase)))
        };
        // Whether all keys open, first without changing anything, then as a writer.
        let opens = |home: &Home| {
            let secrets = home.secrets().is_ok();
            assert_eq!(Engine::open(home, &settings()).is_ok(), secrets);
            secrets
        };
        let make = |fs: &CrashFs| -> Result<(), LedgerError> {
            let mut engine = Engine::init(&home(fs, former), &settings())?;
            engine.flush()?;
            Ok(engine.pending_sync().run()?)
        };
        let change = |fs: &CrashFs| home(fs, former).change_passphrase(next.map(|passphrase| &**passphrase));
        let check = |fs: &CrashFs, told: &[Told]| {
            let (before, after) = (home(fs, former), home(fs, next));
            // Without a passphrase what is protected cannot be opened; with one, what is not protected can.
            let (protected, plain) = if former.is_none() { (after, before) } else { (before, after) };
            let is_plain = opens(&plain);
            assert!(opens(&protected), "neither opens the keys");
            if told.contains(&Told::Changed) {
                assert_eq!(is_plain, next.is_none());
            }
            let dir = fs.dir();
            let names = dir.entries(Path::new("keys")).unwrap().map(|entry| entry.unwrap().name);
            let left: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".next")).collect();
            assert!(left.is_empty(), "{left:?}");
        };
        let fs = CrashFs::new();
        make(&fs).unwrap();
        let mut halves = Vec::new();
        let tried = for_each_crash_of(
            fs,
            CrashPolicy::default(),
            |fs, history| {
                change(fs).unwrap();
                history.note(Told::Changed);
            },
            |crash| {
                let names = crash.image.fs.dir().entries(Path::new("keys")).unwrap();
                let names = names.map(|entry| entry.unwrap().name.into_string().unwrap());
                let left: BTreeSet<_> = names.filter(|name| name.ends_with(".next")).collect();
                if !halves.contains(&left) {
                    // The first start after this crash can crash too.
                    for_each_crash_of(
                        crash.image.fs.kill(),
                        CrashPolicy::default(),
                        |fs, _: &History<()>| drop(Engine::open(&home(fs, former), &settings())),
                        |again| check(&again.image.fs, &[]),
                    );
                    halves.push(left);
                }
                check(&crash.image.fs, crash.events);
            },
        );
        assert!(tried.images > 50 && halves.len() > 4, "{tried} {halves:?}");
        for_each_fault(
            &[Fault::NoSpace, Fault::Io, Fault::FailedSync],
            |fs, history| {
                if make(fs).is_ok() {
                    history.note(Told::Made);
                    if change(fs).is_ok() {
                        history.note(Told::Changed);
                    }
                }
            },
            |failure| {
                if failure.events.contains(&Told::Made) {
                    check(&failure.fs.kill(), &failure.events);
                }
            },
        );
    }
}
