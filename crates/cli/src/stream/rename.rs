//! `ledger stream rename`: another name for a stream.

use bytes::Bytes;
use clap::Args;
use ledger_streams::{NotSupported, Store};

use super::{StoreCommand, StreamArg, Target, required};
use crate::console::Console;
use crate::errors::Failure;
use crate::open::Purpose;
use crate::output::quoted;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct RenameArgs {
    #[command(flatten)]
    target: StreamArg,
    /// The new name (required)
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
}

impl RenameArgs {
    /// The new name.
    fn to(&self) -> Result<&str, Failure> {
        required("rename", "--to", &self.to)
    }
}

impl StoreCommand for RenameArgs {
    const PURPOSE: Purpose = Purpose::Change;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    fn check(&self) -> Result<(), Failure> {
        self.to().map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let (from, to) = (&self.target.stream, self.to()?);
        match store.capabilities().rename {
            Some(rename) => rename.rename_stream(from, to).await?,
            None => return Err(NotSupported { operation: "rename", store: store.name().to_owned() }.into()),
        }
        Ok(writeln!(console.out, "stream {} renamed to {}", quoted(from), quoted(to))?)
    }
}
