//! `ledger stream trim`: deleting the oldest entries.

use bytes::Bytes;
use clap::Args;
use ledger_streams::{EntryId, Store};

use super::{StoreCommand, StreamArg, Target, required};
use crate::console::Console;
use crate::errors::Failure;
use crate::open::Purpose;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct TrimArgs {
    #[command(flatten)]
    target: StreamArg,
    /// Delete the entries up to this id, itself included (required)
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

impl TrimArgs {
    /// The id, as text.
    fn before(&self) -> Result<&str, Failure> {
        required("trim", "--before", &self.before)
    }
}

impl StoreCommand for TrimArgs {
    const PURPOSE: Purpose = Purpose::Change;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    fn check(&self) -> Result<(), Failure> {
        self.before().map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let trimmed = store.trim(&self.target.stream, &S::Id::parse(self.before()?)?).await?;
        Ok(writeln!(console.out, "trimmed {trimmed} entries")?)
    }
}
