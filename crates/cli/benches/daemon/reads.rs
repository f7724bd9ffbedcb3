//! Reading page after page.

use crate::common::load::{ROUNDS, best_of_each, fill, reads_per_second};
use crate::common::report::Report;
use crate::common::support::folder;
use crate::served::{Daemon, embedded};

/// Entries that there are to read.
const ENTRIES: usize = 200_000;

pub(crate) async fn pages(report: &mut Report) {
    let (daemon, folder) = (Daemon::start(), folder());
    let (client, store) = (daemon.connect().await, embedded(&folder).await);
    fill(&client, ENTRIES).await;
    fill(&store, ENTRIES).await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((reads_per_second(&client).await, reads_per_second(&store).await));
    }
    store.database().close().await;
    let (ours, theirs) = best_of_each(&rounds);
    report.rate("read, pages of 1,000, one reader", ours, "the same in process", theirs, 0.5);
}
