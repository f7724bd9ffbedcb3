//! `SetTags`, `SetAnnotations`, `Trim`, `RenameStream`.

use ledger_api::convert::annotation_changes;
use ledger_api::metadata::{check_given, store_of};
use ledger_api::proto::{
    RenameStreamRequest, RenameStreamResponse, SetAnnotationsRequest, SetAnnotationsResponse, SetTagsRequest,
    SetTagsResponse, TrimRequest, TrimResponse,
};
use ledger_api::status::{RequestError, to_status};
use ledger_sqlite::SqliteStore;
use ledger_streams::{RenameStream, Store, StoreError, StreamNotFound};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::{Calls, check_id, count, is_exact, parse_id, refuse};

impl Calls {
    pub(super) async fn replace_tags(
        &self,
        request: Request<SetTagsRequest>,
    ) -> Result<SetTagsResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        check_id("id", &message.id)?;
        let store = self.store_with(&metadata, &message.stream).await?;
        let id = parse_id(&message.id)?;
        store.set_tags(&message.stream, &id, message.tags).await.map_err(refuse)?;
        Ok(SetTagsResponse {})
    }

    pub(super) async fn change_annotations(
        &self,
        request: Request<SetAnnotationsRequest>,
    ) -> Result<SetAnnotationsResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        check_id("id", &message.id)?;
        let store = self.store_with(&metadata, &message.stream).await?;
        let (stream, id) = (message.stream.clone(), parse_id(&message.id)?);
        store.set_annotations(&stream, &id, annotation_changes(message)).await.map_err(refuse)?;
        Ok(SetAnnotationsResponse {})
    }

    pub(super) async fn trim_stream(&self, request: Request<TrimRequest>) -> Result<TrimResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        check_id("before_id", &message.before_id)?;
        let deleted = match self.existing_store(&metadata).await? {
            // Of a stream that is not there, the original does not even look at the id.
            Some(store) if has_stream(&store, &message.stream).await? => {
                store.trim(&message.stream, &parse_id(&message.before_id)?).await.map_err(refuse)?
            }
            _ => 0,
        };
        Ok(TrimResponse { deleted: count(deleted) })
    }

    pub(super) async fn rename(
        &self,
        request: Request<RenameStreamRequest>,
    ) -> Result<RenameStreamResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        let (from, to) = (message.name.as_str(), message.new_name.as_str());
        if (from.is_empty() || to.is_empty()) && !is_exact(&metadata) {
            return Err(RequestError::Empty { field: "name and new_name" }.into());
        }
        let name = store_of(&metadata)?;
        let store = match self.context.registry.find(name).await {
            Ok(store) => store,
            Err(StoreError::InvalidStoreName(_)) => None,
            Err(error) => return Err(refuse(error)),
        };
        match store {
            Some(store) => store.rename_stream(from, to).await.map_err(refuse)?,
            None if from == to => {}
            None => return Err(not_found(name, from)),
        }
        Ok(RenameStreamResponse {})
    }

    /// The store of a call that changes an entry; the stream must be there.
    async fn store_with(&self, metadata: &MetadataMap, stream: &str) -> Result<SqliteStore, Status> {
        match self.existing_store(metadata).await? {
            Some(store) if has_stream(&store, stream).await? => Ok(store),
            _ => Err(not_found(store_of(metadata)?, stream)),
        }
    }
}

/// Whether a stream has entries.
async fn has_stream(store: &SqliteStore, stream: &str) -> Result<bool, Status> {
    let one = ledger_streams::Read::new().descending().limit(1);
    Ok(!store.read(stream, &one).await.map_err(refuse)?.is_end())
}

fn not_found(store: &str, stream: &str) -> Status {
    to_status(&StreamNotFound { stream: stream.to_owned(), store: store.to_owned() }.into())
}
