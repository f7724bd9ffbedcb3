//! The file that is loaded, and how its lines are treated.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::batch::Plan;
use crate::args::number;
use crate::errors::Failure;

/// How the lines of a file are treated.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    /// Pass over this many lines at the beginning, because an earlier run has stored them
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    skip_lines: usize,
    /// Add lines that cannot be stored to this file and go on; without it the first one is an error
    #[arg(long, value_name = "FILE")]
    skip_bad: Option<PathBuf>,
}

impl LoadArgs {
    /// Whether nothing was asked for.
    pub(crate) fn is_default(&self) -> bool {
        self.skip_lines == 0 && self.skip_bad.is_none()
    }
}

/// A file that was opened for loading.
pub(crate) struct LoadFile {
    pub(super) name: String,
    pub(super) total_bytes: Option<u64>,
    pub(super) skip_lines: u64,
    pub(super) bad_lines: Option<PathBuf>,
    pub(super) plan: Plan,
}

impl LoadFile {
    /// Opens a file, or standard input for `-`, and the file for its bad lines.
    ///
    /// # Errors
    /// [`Failure::File`], and [`Failure::Arguments`] if both are the same file.
    pub(crate) fn open(path: &Path, args: LoadArgs) -> Result<Self, Failure> {
        let is_standard_input = path == Path::new("-");
        let (source, total_bytes): (Box<dyn Read + Send>, _) = if is_standard_input {
            (Box::new(io::stdin()), None)
        } else {
            let (file, bytes) = open_file(path).map_err(|error| failure("read", path, error))?;
            (Box::new(file), bytes)
        };
        let bad_lines = match &args.skip_bad {
            Some(bad_lines) => Some(open_bad_lines(bad_lines, path)?),
            None => None,
        };
        let name = if is_standard_input { "standard input".to_owned() } else { path.display().to_string() };
        let (skip_lines, is_live) = (args.skip_lines as u64, total_bytes.is_none());
        let plan = Plan { source, is_live, skip_lines, bad_lines };
        Ok(Self { name, total_bytes, skip_lines, bad_lines: args.skip_bad, plan })
    }
}

/// The size is known of regular files only.
fn open_file(path: &Path) -> io::Result<(File, Option<u64>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

fn open_bad_lines(path: &Path, input: &Path) -> Result<File, Failure> {
    let file = File::options().append(true).create(true).open(path);
    let file = file.map_err(|error| failure("write", path, error))?;
    let is_same = |path: &Path| path.canonicalize().ok();
    if is_same(input).is_some_and(|input| Some(input) == is_same(path)) {
        return Err(Failure::Arguments("--skip-bad names the file that is being read".to_owned()));
    }
    Ok(file)
}

fn failure(action: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File { action, path: path.to_owned(), source }
}
