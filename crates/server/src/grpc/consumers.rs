//! `GetCursor`, `SetCursor`, `FindBySource`.

use ledger_api::metadata::check_given;
use ledger_api::proto::ledger_consumers_server::LedgerConsumers;
use ledger_api::proto::{
    FindBySourceRequest, FindBySourceResponse, GetCursorRequest, GetCursorResponse, SetCursorRequest,
    SetCursorResponse,
};
use ledger_streams::{CursorStore, FindBySource};
use tonic::{Request, Response, Status};

use super::{Calls, refuse};

#[tonic::async_trait]
impl LedgerConsumers for Calls {
    async fn get_cursor(
        &self,
        request: Request<GetCursorRequest>,
    ) -> Result<Response<GetCursorResponse>, Status> {
        let (metadata, _, GetCursorRequest { name }) = request.into_parts();
        check_given(&metadata, "name", &name)?;
        let position = match self.existing_store(&metadata).await? {
            Some(store) => store.get_cursor(&name).await.map_err(refuse)?,
            None => None,
        };
        Ok(Response::new(GetCursorResponse { position }))
    }

    async fn set_cursor(
        &self,
        request: Request<SetCursorRequest>,
    ) -> Result<Response<SetCursorResponse>, Status> {
        let (metadata, _, SetCursorRequest { name, position }) = request.into_parts();
        check_given(&metadata, "name", &name)?;
        check_given(&metadata, "position", &position)?;
        let store = self.store_to_append(&metadata).await?;
        let moved = store.set_cursor(&name, &position).await.map_err(refuse)?;
        Ok(Response::new(SetCursorResponse { moved }))
    }

    async fn find_by_source(
        &self,
        request: Request<FindBySourceRequest>,
    ) -> Result<Response<FindBySourceResponse>, Status> {
        let (metadata, _, FindBySourceRequest { stream, source_id }) = request.into_parts();
        check_given(&metadata, "stream", &stream)?;
        check_given(&metadata, "source_id", &source_id)?;
        let id = match self.existing_store(&metadata).await? {
            Some(store) => store.find_by_source(&stream, &source_id).await.map_err(refuse)?,
            None => None,
        };
        Ok(Response::new(FindBySourceResponse { id: id.map(|id| id.to_string()) }))
    }
}
