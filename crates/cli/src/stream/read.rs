//! `ledger stream read`: the entries of a stream.

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use ledger_streams::Store;

use super::{StoreCommand, StreamArg, Target};
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
}

impl StoreCommand for ReadArgs {
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
        let source = Source::Stream(&self.target.stream);
        let read = self.pages.read(self.filter.filter(Timestamp::now())?)?;
        each_page(store, source, read, self.pages.limit(), |page| print_page(console, self.form, page)).await
    }
}
