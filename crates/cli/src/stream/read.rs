//! `ledger stream read`: the entries of a stream.

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use ledger_streams::Store;

use super::{StoreCommand, StreamArg};
use crate::args::ExtraArgs;
use crate::console::Console;
use crate::errors::Failure;
use crate::filter::FilterArgs;
use crate::open::Purpose;
use crate::output::{Form, print_page};
use crate::pages::{PageArgs, Source, each_page};

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    target: StreamArg,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    pages: PageArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    extra: ExtraArgs,
}

impl StoreCommand for ReadArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn store(&self) -> &str {
        &self.target.store.name
    }

    fn extra(&self) -> Option<&ExtraArgs> {
        Some(&self.extra)
    }

    fn check(&self) -> Result<(), Failure> {
        self.filter.filter(Timestamp::now())?;
        self.target.name().map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let source = Source::Stream(self.target.name()?);
        let read = self.pages.read(self.filter.filter(Timestamp::now())?)?;
        each_page(store, source, read, self.pages.limit(), |page| print_page(console, self.form, page)).await
    }
}
