//! `ledger stream count` and `ledger stream stat`: how long a stream is.

use bytes::Bytes;
use clap::Args;
use ledger_streams::Store;

use super::{StoreCommand, StreamArg, Target};
use crate::console::Console;
use crate::errors::Failure;
use crate::open::Purpose;

/// Arguments of `count`.
#[derive(Args, Debug)]
pub(crate) struct CountArgs {
    #[command(flatten)]
    target: StreamArg,
}

/// Arguments of `stat`.
#[derive(Args, Debug)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    target: StreamArg,
}

impl StoreCommand for CountArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    /// Prints the number of entries.
    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let count = store.count(&self.target.stream).await?;
        Ok(writeln!(console.out, "{count}")?)
    }
}

impl StoreCommand for StatArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    /// Prints name, number of entries and, if there are any, the first and the last id.
    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let stat = store.stat(&self.target.stream).await?;
        writeln!(console.out, "Stream:  {}\nCount:   {}", stat.stream, stat.count)?;
        if let (Some(first), Some(last)) = (stat.first_id, stat.last_id) {
            writeln!(console.out, "FirstID: {first}\nLastID:  {last}")?;
        }
        Ok(())
    }
}
