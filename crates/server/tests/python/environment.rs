//! A Python with what generated clients need, made once in the build folder.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PROTO: &str = include_str!("../../../api/proto/ledger/v1/ledger.proto");

/// A Python with the packages, and the folder of the classes that it generated from the protocol.
pub(crate) struct Python {
    /// Where its programs are.
    pub(crate) bin: PathBuf,
    pub(crate) stubs: PathBuf,
}

impl Python {
    /// Made once for each version of requirements and protocol; other tests wait for it.
    pub(crate) fn prepared() -> Self {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut hasher = DefaultHasher::new();
        (REQUIREMENTS, PROTO).hash(&mut hasher);
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = target.join(format!("python-clients-{:016x}", hasher.finish()));
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let python = Self { bin: folder.join("venv/bin"), stubs: folder.join("stubs") };
        if !folder.join("ready").exists() {
            let requirements = crates.join("server/tests/python/requirements.txt");
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")));
            run(Command::new(python.bin.join("pip"))
                .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
                .arg(requirements));
            python.generate(&crates.join("api/proto"));
            File::create(folder.join("ready")).unwrap();
        }
        python
    }

    fn generate(&self, protocol: &Path) {
        fs::create_dir_all(&self.stubs).unwrap();
        let option = |name: &str, folder: &Path| format!("--{name}={}", folder.display());
        run(Command::new(self.bin.join("python"))
            .args(["-m", "grpc_tools.protoc"])
            .args([option("proto_path", protocol), option("python_out", &self.stubs)])
            .arg(option("grpc_python_out", &self.stubs))
            .args(["ledger/v1/ledger.proto", "google/api/annotations.proto", "google/api/http.proto"]));
    }
}

/// Runs what must succeed.
#[track_caller]
fn run(command: &mut Command) {
    let ended = command.output();
    let problem = match &ended {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    panic!(
        "the Python clients cannot be prepared: this command fails; it needs python3 with venv and pip \
         (apt-get install python3-venv python3-pip) and the network the first time:\n\n  {command:?}\n\n{problem}"
    );
}
