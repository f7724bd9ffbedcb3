//! `Append`.

use ledger_api::convert::{appended, into_append};
use ledger_api::metadata::check_given;
use ledger_api::proto::{AppendRequest, AppendResponse};
use ledger_streams::Store;
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
        let store = self.store_to_append(&metadata).await?;
        let answer = store.append(&stream, entries, expect).await.map_err(refuse)?;
        Ok(appended(&answer))
    }
}
