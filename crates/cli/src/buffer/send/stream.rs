//! The records of a file as entries of a stream of the daemon.
//!
//! Every entry has the deduplication key `buffer:{delivery id of the file}:{number of the record in the file}`. The id
//! belongs to the file for as long as it exists ([`DeliveryId`](ledger_buffer::DeliveryId)), so a run that was killed is
//! simply run again: what has arrived is known to the daemon, and the file is removed only after all of it has.

use std::collections::VecDeque;

use bytes::Bytes;
use ledger_api::{AppendSession, Client, PendingAppend};
use ledger_buffer::LedgerReader;
use ledger_streams::{Append, Expect, StoreError};

use super::retry::Patience;
use crate::buffer::BufferError;
use crate::errors::Failure;

/// Records of one append.
const BATCH_RECORDS: usize = 500;
/// Bytes of records after which an append is sent.
const BATCH_BYTES: usize = 256 << 10;
/// Appends that are under way at a time.
const MAX_IN_FLIGHT: usize = 8;

/// A stream of the daemon.
pub(super) struct Target {
    client: Client,
    stream: String,
    patience: Patience,
}

/// Why an attempt failed.
enum Problem {
    Store(StoreError),
    Never(BufferError),
}

impl Target {
    pub(super) fn new(client: Client, stream: String, patience: Patience) -> Self {
        Self { client, stream, patience }
    }

    /// Appends the records of a file, trying again as long as there is hope; answers their bytes, and how many of them
    /// were there already.
    pub(super) async fn send(&self, reader: &mut LedgerReader) -> Result<(u64, u64), Failure> {
        let file = reader.path();
        if reader.is_legacy() {
            return Err(BufferError::ReadyMade { file }.into());
        }
        let id = reader.delivery_id().map_err(BufferError::Io)?.to_string();
        let mut attempts = self.patience.begin();
        loop {
            let error = match self.append(reader, &id).await {
                Ok(known) => return Ok((reader.file_size(), known)),
                Err(Problem::Never(error)) => return Err(error.into()),
                Err(Problem::Store(error)) => error,
            };
            if !matches!(error, StoreError::Backend(_) | StoreError::Locked(_)) {
                return Err(BufferError::Stream { file, source: Box::new(error) }.into());
            }
            match attempts.next_wait(None) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    let (reason, attempts) = (error.to_string(), attempts.count());
                    return Err(BufferError::GaveUp { file, reason, attempts }.into());
                }
            }
        }
    }

    /// One attempt, through a session of its own: one that has failed does not come back.
    async fn append(&self, reader: &LedgerReader, id: &str) -> Result<u64, Problem> {
        let session = self.client.append_session().await.map_err(Problem::Store)?;
        let mut pipeline =
            Pipeline { session: &session, stream: &self.stream, under_way: VecDeque::new(), known: 0 };
        let (mut batch, mut batch_bytes) = (Vec::new(), 0_usize);
        for (number, record) in reader.records().enumerate() {
            let record = record.map_err(|error| Problem::Never(BufferError::Io(error)))?;
            batch_bytes = batch_bytes.saturating_add(record.len());
            batch.push(Append::new(Bytes::from(record)).dedup_key(format!("buffer:{id}:{number}")));
            if batch.len() >= BATCH_RECORDS || batch_bytes >= BATCH_BYTES {
                batch_bytes = 0;
                pipeline.append(std::mem::take(&mut batch)).await.map_err(Problem::Store)?;
            }
        }
        if !batch.is_empty() {
            pipeline.append(batch).await.map_err(Problem::Store)?;
        }
        let known = pipeline.finish().await.map_err(Problem::Store)?;
        session.finish().await;
        Ok(known)
    }
}

/// Appends whose acknowledgements are waited for later.
struct Pipeline<'s> {
    session: &'s AppendSession,
    stream: &'s str,
    under_way: VecDeque<PendingAppend>,
    known: u64,
}

impl Pipeline<'_> {
    async fn append(&mut self, batch: Vec<Append<Bytes>>) -> Result<(), StoreError> {
        if self.under_way.len() >= MAX_IN_FLIGHT {
            self.acknowledge_one().await?;
        }
        self.under_way.push_back(self.session.append(self.stream, batch, Expect::Any).await?);
        Ok(())
    }

    async fn acknowledge_one(&mut self) -> Result<(), StoreError> {
        if let Some(oldest) = self.under_way.pop_front() {
            let appended = oldest.await?;
            self.known = self.known.saturating_add(appended.duplicates.len() as u64);
        }
        Ok(())
    }

    /// Waits for all; answers how many records were there already.
    async fn finish(mut self) -> Result<u64, StoreError> {
        while !self.under_way.is_empty() {
            self.acknowledge_one().await?;
        }
        Ok(self.known)
    }
}
