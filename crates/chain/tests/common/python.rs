//! The Python package `ccf`, installed once into a folder of the build.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// What is installed. `cbor2` 6 breaks `pycose` 1, on which the package depends.
const PACKAGES: [&str; 2] = ["ccf==6.0.28", "cbor2<6"];

/// Feeds every entry of a folder to one validator, as `read_ledger` does, and prints what it verified.
const VALIDATE: &str = r#"
import sys
from ccf.ledger import Ledger, LedgerValidator
validator = LedgerValidator(accept_deprecated_entry_types=len(sys.argv) > 2)
count = 0
for chunk in Ledger([sys.argv[1]], committed_only=False):
    for transaction in chunk:
        validator.add_transaction(transaction)
        count += 1
print(count, validator.signature_count, validator.last_verified_txid())
"#;

/// The folder of its programs.
fn bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-ccf-6.0.28");
        let done = folder.join("installed");
        if !done.exists() {
            // Another test process may be at it: build beside it, then rename.
            let own = folder.with_extension(std::process::id().to_string());
            run(Command::new("python3").args(["-m", "venv"]).arg(&own));
            run(Command::new(own.join("bin/python")).args(["-m", "pip", "install", "-q"]).args(PACKAGES));
            fs::write(own.join("installed"), "").unwrap();
            if fs::rename(&own, &folder).is_err() {
                fs::remove_dir_all(&own).unwrap();
            }
        }
        folder.join("bin")
    })
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Runs a script; one process per verdict, because the validators of one process share what they know of nodes.
pub(crate) fn script(source: &str, arguments: &[&Path]) -> Result<String, String> {
    let output = Command::new(bin().join("python")).arg("-c").arg(source).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}

/// Entries, signatures and position up to which the validator verified the folder.
pub(crate) fn validate(folder: &Path) -> Result<String, String> {
    script(VALIDATE, &[folder]).map(|text| text.trim().to_owned())
}

/// One of the package's programs.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Result<String, String> {
    // The scripts begin with the path of the folder in which they were installed, which was renamed.
    let output = Command::new(bin().join("python"))
        .arg(bin().join(name))
        .args(arguments)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(text) }
}

/// Opens a snapshot, which verifies the receipt of a committed one; prints whether it is committed, its seqno, and all public rows.
const SNAPSHOT: &str = r#"
import sys
from ccf.ledger import Snapshot
with Snapshot(sys.argv[1]) as snapshot:
    domain = snapshot.get_public_domain()
    tables = domain.get_tables()
    print(snapshot.is_committed(), domain.get_seqno(), sum(len(rows) for rows in tables.values()), sorted(tables))
"#;

/// What the package reads in a snapshot.
pub(crate) fn snapshot(path: &Path) -> Result<String, String> {
    script(SNAPSHOT, &[path]).map(|text| text.trim().to_owned())
}

/// Verifies a JSON receipt, up to the certificate of the service, and a COSE receipt.
const RECEIPTS: &str = r#"
import sys, json, hashlib
from cryptography.x509 import load_pem_x509_certificate as load
import ccf.receipt, ccf.cose
service = load(open(sys.argv[1], "rb").read())
claims = None
if sys.argv[2]:
    receipt = json.load(open(sys.argv[2]))
    parts = receipt["leaf_components"]
    claims = bytes.fromhex(parts["claims_digest"])
    leaf = hashlib.sha256(bytes.fromhex(parts["write_set_digest"])
        + hashlib.sha256(parts["commit_evidence"].encode()).digest() + claims).hexdigest()
    root = ccf.receipt.root(leaf, receipt["proof"])
    node = load(receipt["cert"].encode())
    ccf.receipt.verify(root, receipt["signature"], node)
    endorsements = [load(e.encode()) for e in receipt.get("service_endorsements", [])]
    ccf.receipt.check_endorsements(node, service, endorsements)
if len(sys.argv) > 3:
    ccf.cose.verify_receipt(open(sys.argv[3], "rb").read(), service.public_key(), claims or bytes(32))
print("verified")
"#;

/// Whether receipts hold for the certificate of a service; an empty path stands for no JSON receipt.
pub(crate) fn receipts(json: &Path, service: &Path, cose: Option<&Path>) -> Result<String, String> {
    let arguments: Vec<&Path> = [service, json].into_iter().chain(cose).collect();
    script(RECEIPTS, &arguments).map(|text| text.trim().to_owned())
}
