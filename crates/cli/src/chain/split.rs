//! `ledger chain split`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ledger_chain::directory::{ChunkFile, list};
use ledger_chain::format::FileName;
use ledger_chain::split::split;
use ledger_fs::{Dir, RealDir};

use super::{Place, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct SplitArgs {
    /// Home of a ledger, any folder of chunk files, or a chunk file
    #[arg(value_name = "DIR")]
    place: PathBuf,
    /// Last entry of the first part; must be a signature
    #[arg(value_name = "SEQNO")]
    seqno: u64,
    /// Folder for the two parts
    #[arg(long, value_name = "DIR", default_value = "split_ledger")]
    output_dir: PathBuf,
}

pub(super) fn run(args: &SplitArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let (folder, chunk) = find(&args.place, args.seqno)?;
    let output = RealDir::create(&args.output_dir).map_err(failed)?;
    for name in split(&*folder, chunk, args.seqno, &output).map_err(failed)? {
        writeln!(console.out, "{}", args.output_dir.join(name.to_string()).display())?;
    }
    Ok(())
}

/// The chunk that is named, or the one that holds the entry.
fn find(place: &Path, seqno: u64) -> Result<(Arc<dyn Dir>, ChunkFile), Failure> {
    if place.is_file() {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let FileName::Chunk(name) = FileName::parse(&name) else {
            return Err(Failure::Arguments(format!("{} is no chunk file", place.display())));
        };
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Ok((Arc::new(RealDir::open(folder).map_err(failed)?), ChunkFile { name }));
    }
    let folder = Place::open(place)?.ledger;
    let listing = list(&*folder).map_err(failed)?;
    let holds =
        |chunk: &&ChunkFile| chunk.name.start <= seqno && chunk.name.end.is_none_or(|end| end >= seqno);
    let chunk = listing.chunks.iter().find(holds).copied();
    let chunk = chunk.ok_or_else(|| Failure::Arguments(format!("no chunk holds entry {seqno}")))?;
    Ok((folder, chunk))
}
