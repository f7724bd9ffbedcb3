//! `Append`.

use bytes::Bytes;
use ledger_api::convert::{appended, into_append};
use ledger_api::metadata::check_given;
use ledger_api::proto::{AppendRequest, AppendResponse};
use ledger_streams::{Append, Store};
use tonic::{Request, Status};

use super::{Calls, is_exact, refuse};

impl Calls {
    pub(super) async fn append_batch(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<AppendResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        let (stream, entries, expect) = into_append(message, is_exact(&metadata))?;
        let payload_bytes = payload_bytes(&entries);
        let store = self.store_to_append(&metadata).await?;
        let answer = store.append(&stream, entries, expect).await.map_err(refuse)?;
        self.context.metrics.appended(answer.ids.len(), payload_bytes);
        Ok(appended(&answer))
    }
}

/// What metrics count of an append.
pub(super) fn payload_bytes(entries: &[Append<Bytes>]) -> usize {
    entries.iter().map(|entry| entry.payload.len()).fold(0, usize::saturating_add)
}
