//! `ledger stream count` and `ledger stream stat`: how long a stream is.

use bytes::Bytes;
use clap::Args;
use ledger_streams::Store;

use super::{StoreCommand, StreamArg};
use crate::args::ExtraArgs;
use crate::console::Console;
use crate::errors::Failure;
use crate::open::Purpose;

/// Arguments of `count`.
#[derive(Args, Debug)]
pub(crate) struct CountArgs {
    #[command(flatten)]
    target: StreamArg,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// Arguments of `stat`.
#[derive(Args, Debug)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    target: StreamArg,
    #[command(flatten)]
    extra: ExtraArgs,
}

impl StoreCommand for CountArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn store(&self) -> &str {
        &self.target.store.name
    }

    fn extra(&self) -> Option<&ExtraArgs> {
        Some(&self.extra)
    }

    fn check(&self) -> Result<(), Failure> {
        self.target.name().map(drop)
    }

    /// Prints the number of entries.
    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let count = store.count(self.target.name()?).await?;
        Ok(writeln!(console.out, "{count}")?)
    }
}

impl StoreCommand for StatArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn store(&self) -> &str {
        &self.target.store.name
    }

    fn extra(&self) -> Option<&ExtraArgs> {
        Some(&self.extra)
    }

    fn check(&self) -> Result<(), Failure> {
        self.target.name().map(drop)
    }

    /// Prints name, number of entries and, if there are any, the first and the last id.
    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let stat = store.stat(self.target.name()?).await?;
        writeln!(console.out, "Stream:  {}\nCount:   {}", stat.stream, stat.count)?;
        if let (Some(first), Some(last)) = (stat.first_id, stat.last_id) {
            writeln!(console.out, "FirstID: {first}\nLastID:  {last}")?;
        }
        Ok(())
    }
}
