//! A file system of its own, in memory.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// It is full sooner than others, and may be made read-only. Ends with the value.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    pub(crate) fn new(size: &str) -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "ledger-test"]);
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What is there can be read, and nothing be written.
    #[allow(dead_code, reason = "not every test program needs it")]
    pub(crate) fn make_read_only(&self) {
        self.mount(&["-o", "remount,ro"]);
    }

    fn mount(&self, arguments: &[&str]) {
        let mounted = Command::new("mount").args(arguments).arg(self.path()).status().unwrap();
        assert!(
            mounted.success(),
            "mounting a small disk needs root: run this test with sudo, or in a container"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
