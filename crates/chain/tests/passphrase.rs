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

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, time::Duration};

use common::{open, record, verify};
use ledger_chain::{
    crypto::{Curve, KeyError, Passphrase, PrivateKey, ProtectionError},
    maps::Maps,
    verify::Verdict,
    writer::{Home, Ledger, LedgerError, Settings, load_secrets},
};

fn settings() -> Settings {
    Settings { sign_after: Duration::from_secs(3600), ..Settings::default() }
}

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
