//! `ledger stream list`: names of streams.

use bytes::Bytes;
use clap::Args;
use ledger_streams::Store;
use ledger_streams::limits::DEFAULT_PAGE_ENTRIES;

use super::{StoreArg, StoreCommand, Target};
use crate::args::page_limit;
use crate::console::Console;
use crate::errors::Failure;
use crate::open::Purpose;

/// Names in one page.
const PAGE_NAMES: usize = 1000;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    store: StoreArg,
    /// Only names behind this one, in byte order
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    after: String,
    /// Print at most this many names; 0 stands for 100
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = page_limit)]
    limit: usize,
    /// Print every name, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl StoreCommand for ListArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn target(&self) -> Target<'_> {
        (&self.store).into()
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let limit = match self.limit {
            _ if self.all => usize::MAX,
            0 => DEFAULT_PAGE_ENTRIES,
            limit => limit,
        };
        each_name(store, &self.after, limit, async |name| Ok(writeln!(console.out, "{name}")?)).await
    }
}

/// Hands the names of streams behind `after` over, one by one, at most `limit`.
///
/// # Errors
/// Those of the store, and of `show`.
pub(crate) async fn each_name<S: Store<Payload = Bytes> + ?Sized>(
    store: &S,
    after: &str,
    limit: usize,
    mut show: impl AsyncFnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = Some(after.to_owned()).filter(|after| !after.is_empty());
    let mut wanted = limit;
    while wanted > 0 {
        let asked = wanted.min(PAGE_NAMES);
        let names = store.list_streams(after.as_deref(), asked).await?;
        wanted = wanted.saturating_sub(names.len());
        for name in &names {
            show(name).await?;
        }
        if names.len() < asked {
            break;
        }
        after = names.into_iter().next_back();
    }
    Ok(())
}
