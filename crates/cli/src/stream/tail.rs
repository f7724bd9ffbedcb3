//! `ledger stream tail`: following a stream.

use std::future::ready;
use std::pin::pin;

use bytes::Bytes;
use clap::Args;
use ledger_streams::{EntryId, Event, NotSupported, Position, Store, StoreError, Subscription};

use super::{StoreCommand, StreamArg, Target};
use crate::console::Console;
use crate::errors::Failure;
use crate::open::Purpose;
use crate::output::Form;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    target: StreamArg,
    #[command(flatten)]
    form: Form,
    /// Where to begin: start (the oldest entry), now (only entries to come), or behind an id
    #[arg(long, value_name = "start|now|ID", default_value = "start")]
    from: String,
    /// Has no effect: entries are printed as they come (the original asked for them at this interval)
    #[arg(long, hide = true)]
    interval: Option<String>,
    /// Has no effect: every entry is printed (the original printed at most this many at an interval)
    #[arg(long, hide = true)]
    limit: Option<String>,
}

impl StoreCommand for TailArgs {
    const PURPOSE: Purpose = Purpose::Follow;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let position = match self.from.as_str() {
            "start" => Position::Start,
            "now" => Position::Now,
            id => Position::After(S::Id::parse(id)?),
        };
        let Some(subscribe) = store.capabilities().subscribe else {
            return Err(NotSupported { operation: "subscribe", store: store.name().to_owned() }.into());
        };
        let mut subscription = subscribe.subscribe(&self.target.stream, position).await?;
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        loop {
            let event = tokio::select! {
                biased;
                _ = &mut interrupt => return Ok(()),
                event = next(&mut subscription, console) => event?,
            };
            match event {
                Some(Event::Entry(entry)) => self.form.print(console.out, &entry)?,
                Some(Event::Damaged(record)) => console.damaged(&record),
                Some(Event::Behind { at_least }) => {
                    console.note(format_args!(
                        "Note: entries come faster than they are printed; {at_least} or more wait"
                    ));
                }
                Some(Event::CaughtUp) => {}
                None => return Ok(()),
            }
        }
    }
}

/// The next event. What was printed is flushed before waiting for it, and only then.
async fn next<Id: EntryId>(
    subscription: &mut Subscription<Id, Bytes>,
    console: &mut Console<'_>,
) -> Result<Option<Event<Id, Bytes>>, Failure> {
    let mut next = pin!(subscription.next());
    let event: Result<_, StoreError> = tokio::select! {
        biased;
        event = &mut next => event,
        () = ready(()) => {
            console.out.flush()?;
            next.await
        }
    };
    Ok(event?)
}
