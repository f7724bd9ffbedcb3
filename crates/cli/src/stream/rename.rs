//! `ledger stream rename`: another name for a stream.

use bytes::Bytes;
use clap::Args;
use ledger_streams::{NotSupported, Store};

use super::{StoreCommand, StreamArg, required};
use crate::args::ExtraArgs;
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
    #[command(flatten)]
    extra: ExtraArgs,
}

impl RenameArgs {
    /// The new name.
    fn to(&self) -> Result<&str, Failure> {
        required("rename", "--to", &self.to)
    }
}

impl StoreCommand for RenameArgs {
    const PURPOSE: Purpose = Purpose::Change;

    fn store(&self) -> &str {
        &self.target.store.name
    }

    fn extra(&self) -> Option<&ExtraArgs> {
        Some(&self.extra)
    }

    fn check(&self) -> Result<(), Failure> {
        self.to()?;
        self.target.name().map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let (from, to) = (self.target.name()?, self.to()?);
        match store.capabilities().rename {
            Some(rename) => rename.rename_stream(from, to).await?,
            None => return Err(NotSupported { operation: "rename", store: store.name().to_owned() }.into()),
        }
        Ok(writeln!(console.out, "stream {} renamed to {}", quoted(from), quoted(to))?)
    }
}
