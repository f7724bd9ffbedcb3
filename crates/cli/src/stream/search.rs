//! `ledger stream search`: the entries that contain a text.

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use ledger_streams::Store;

use super::{StoreArg, StoreCommand, Target};
use crate::args::not_empty;
use crate::console::Console;
use crate::errors::Failure;
use crate::filter::FilterArgs;
use crate::open::Purpose;
use crate::output::{Form, print_page};
use crate::pages::{PageArgs, Source, each_page};

/// Arguments of the command.
#[derive(Args, Debug)]
#[command(override_usage = "ledger stream search [OPTIONS] <QUERY>")]
pub(crate) struct SearchArgs {
    /// The text to look for; letters match in either case, no character is a wildcard
    #[arg(value_name = "QUERY")]
    query: Option<String>,
    #[command(flatten)]
    store: StoreArg,
    /// Stream to search; all streams of the store if none is given
    #[arg(short = 'S', long, value_name = "NAME", default_value = "", hide_default_value = true)]
    stream: String,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    pages: PageArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

impl SearchArgs {
    fn query(&self) -> Result<&str, Failure> {
        not_empty("query", self.store.extra.only(&self.query)?)
    }
}

impl StoreCommand for SearchArgs {
    const PURPOSE: Purpose = Purpose::Read;

    fn target(&self) -> Target<'_> {
        (&self.store).into()
    }

    fn check(&self) -> Result<(), Failure> {
        self.filter.filter(Timestamp::now())?;
        self.query().map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let stream = Some(self.stream.as_str()).filter(|stream| !stream.is_empty());
        let source = Source::Search { stream, query: self.query()? };
        let read = self.pages.read(self.filter.filter(Timestamp::now())?)?;
        each_page(store, source, read, self.pages.limit(), |page| print_page(console, self.form, page)).await
    }
}
