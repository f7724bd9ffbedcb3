//! `ledger stream export`: entries as JSON Lines, with everything that belongs to them ([`jsonl`](crate::jsonl)).

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use ledger_streams::{EntryId, Page, Read, Store};
use tempfile::TempPath;

use super::list::each_name;
use super::{StoreCommand, StreamArg, Target};
use crate::args::number;
use crate::console::Console;
use crate::errors::Failure;
use crate::filter::FilterArgs;
use crate::jsonl::write_line;
use crate::open::Purpose;
use crate::pages::{Source, each_page, read_from};

/// Bytes that are written to the output file at once.
const OUTPUT_BUFFER_BYTES: usize = 256 << 10;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    target: StreamArg,
    /// Export all streams of the store, one after the other
    #[arg(long, conflicts_with = "stream")]
    all_streams: bool,
    /// Write to this file, which appears once it is complete, and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only entries behind this id; with --desc, before it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    after: String,
    /// Export at most this many entries; 0 stands for all
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = number)]
    limit: usize,
    /// Newest first
    #[arg(long)]
    desc: bool,
    #[command(flatten)]
    filter: FilterArgs,
}

impl StoreCommand for ExportArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    fn check(&self) -> Result<(), Failure> {
        self.filter.filter(Timestamp::now()).map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        tokio::select! {
            biased;
            // What there is of an output file is deleted as it goes out of scope.
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
            done = write_out(store, &self, console) => done,
        }
    }
}

async fn write_out<S: Store<Payload = Bytes> + ?Sized>(
    store: &S,
    args: &ExportArgs,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let read = read_from(&args.after, args.desc, args.filter.filter(Timestamp::now())?)?;
    let mut output = Output::begin(args.output.as_deref())?;
    let mut left = if args.limit == 0 { None } else { Some(args.limit) };
    if args.all_streams {
        each_name(store, "", usize::MAX, async |stream| {
            left = export_stream(store, stream, read.clone(), left, &mut output, console).await?;
            Ok(())
        })
        .await?;
    } else {
        export_stream(store, &args.target.stream, read, left, &mut output, console).await?;
    }
    output.complete(console)
}

/// Exports one stream; answers how many entries may follow.
async fn export_stream<S: Store<Payload = Bytes> + ?Sized>(
    store: &S,
    stream: &str,
    read: Read<S::Id>,
    limit: Option<usize>,
    output: &mut Output,
    console: &mut Console<'_>,
) -> Result<Option<usize>, Failure> {
    let mut left = limit;
    let show = |page: Page<S::Id, Bytes>| {
        left = left.map(|left| left.saturating_sub(page.entries.len()));
        page.damaged.iter().for_each(|record| console.damaged(record));
        output.write(&page, console)
    };
    each_page(store, Source::Stream(stream), read, limit, show).await?;
    Ok(left)
}

/// Where the lines go: standard output, or a file.
enum Output {
    Standard,
    File(OutputFile),
}

impl Output {
    fn begin(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            None => Ok(Self::Standard),
            Some(path) => match OutputFile::begin(path) {
                Ok(file) => Ok(Self::File(file)),
                Err(error) => Err(cannot_write(path, error)),
            },
        }
    }

    fn write<Id: EntryId>(
        &mut self,
        page: &Page<Id, Bytes>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Standard => page.iter().try_for_each(|entry| Ok(write_line(console.out, entry)?)),
            Self::File(file) => page
                .iter()
                .try_for_each(|entry| write_line(&mut file.writer, entry))
                .map_err(|error| cannot_write(&file.path, error)),
        }
    }

    fn complete(self, console: &mut Console<'_>) -> Result<(), Failure> {
        match self {
            Self::Standard => Ok(console.out.flush()?),
            Self::File(file) => {
                let path = file.path.clone();
                file.complete().map_err(|error| cannot_write(&path, error))
            }
        }
    }
}

fn cannot_write(path: &Path, source: io::Error) -> Failure {
    Failure::File { action: "write", path: path.to_owned(), source }
}

/// A file that gets its name once all of it is on the disk. What is no regular file (a device, a named pipe) is
/// written to as it is.
struct OutputFile {
    path: PathBuf,
    writer: BufWriter<File>,
    temporary: Option<TempPath>,
}

impl OutputFile {
    fn begin(path: &Path) -> io::Result<Self> {
        // A symbolic link stays one; what it leads to is replaced.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let existing = path.metadata().ok();
        let (file, temporary) = if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
            (File::options().write(true).open(&path)?, None)
        } else {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let mut builder = tempfile::Builder::new();
            builder.prefix(".ledger-export-");
            #[cfg(unix)]
            builder.permissions(permissions_like(existing.as_ref()));
            let (file, temporary) = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?.into_parts();
            (file, Some(temporary))
        };
        Ok(Self { path, writer: BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, file), temporary })
    }

    fn complete(self) -> io::Result<()> {
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Some(temporary) = self.temporary {
            file.sync_all()?;
            temporary.persist(&self.path).map_err(|error| error.error)?;
        }
        Ok(())
    }
}

/// Those of the file that is replaced, or what a redirection of the shell would give: the system takes away what the
/// user's mask does not allow.
#[cfg(unix)]
fn permissions_like(existing: Option<&std::fs::Metadata>) -> std::fs::Permissions {
    use std::fs::{Metadata, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    existing.map_or_else(|| Permissions::from_mode(0o666), Metadata::permissions)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn an_output_file_that_is_given_up_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let names = || folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let mut file = OutputFile::begin(&path).unwrap();
        file.writer.write_all(b"half a li").unwrap();
        file.writer.flush().unwrap();
        assert_eq!(names().count(), 1);
        assert!(!path.exists());
        drop(file);
        assert_eq!(names().count(), 0);
    }
}
