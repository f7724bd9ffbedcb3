//! `ledger chain follow`.

use std::io;
use std::thread;

use clap::Args;
use ledger_chain::follow::{Changes, Follower, Wake};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::show::{Show, ShowArgs};
use super::{PlaceArg, Stop};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct FollowArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// First sequence number; it need not be there yet, but must not have been moved away
    #[arg(long, value_name = "SEQNO", default_value_t = 1)]
    from: u64,
    #[command(flatten)]
    show: ShowArgs,
}

pub(super) fn run(args: &FollowArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let place = args.place.open()?;
    let mut show = Show::new(&args.show, &place, console)?;
    let changes = Changes::of(place.ledger.path());
    end_on_signals(changes.wake())?;
    end_on_closed_output(changes.wake());
    let mut follower = Follower::new(place.ledger.clone(), args.from);
    let wake = changes.wake();
    while changes.wait() {
        let outcome = follower.poll(|entry| {
            show.print(entry, console)?;
            Ok::<_, Stop>(!wake.is_ended())
        });
        // Before waiting, and before an error is said.
        console.out.flush()?;
        outcome.map_err(|Stop(failure)| failure)?;
    }
    Ok(())
}

/// Ctrl+C ends the command; once more, while a reader takes nothing, ends the process.
fn end_on_signals(wake: Wake) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Failure::Input)?;
    thread::spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            wake.end();
        }
    });
    Ok(())
}

/// Whoever read the entries has gone: nothing has to be written to notice it.
fn end_on_closed_output(wake: Wake) {
    thread::spawn(move || {
        let stdout = io::stdout();
        // Asks for nothing, so only an error or the other end closing ends the wait.
        let mut output = [PollFd::new(&stdout, PollFlags::empty())];
        while let Err(rustix::io::Errno::INTR) = poll(&mut output, None) {}
        wake.end();
    });
}
