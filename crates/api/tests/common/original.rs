//! What the original makes of a request: fields that were added are ignored, answers lack them (specification §5).

use ledger_api::proto::ledger_service_server::LedgerService;
use ledger_api::proto::*;
use tonic::{Request, Response, Status};

use super::Service;

type Answer<T> = Result<Response<T>, Status>;

pub struct Original(pub Service);

/// Errors of the original carry no facts.
fn bare(status: Status) -> Status {
    Status::new(status.code(), status.message())
}

fn known(options: Option<ReadOptions>) -> Option<ReadOptions> {
    options.map(|options| ReadOptions { since: None, until: None, max_bytes: 64 << 20, ..options })
}

#[tonic::async_trait]
impl LedgerService for Original {
    async fn append(&self, mut request: Request<AppendRequest>) -> Answer<AppendResponse> {
        request.get_mut().expect = None;
        let answer = self.0.append(request).await.map_err(bare)?.into_inner();
        Ok(Response::new(AppendResponse { ids: answer.ids, ..AppendResponse::default() }))
    }

    async fn read(&self, mut request: Request<ReadRequest>) -> Answer<ReadResponse> {
        request.get_mut().options = known(request.get_mut().options.take());
        let answer = self.0.read(request).await.map_err(bare)?.into_inner();
        Ok(Response::new(ReadResponse { entries: answer.entries, ..ReadResponse::default() }))
    }

    async fn count(&self, request: Request<CountRequest>) -> Answer<CountResponse> {
        self.0.count(request).await.map_err(bare)
    }

    async fn set_tags(&self, request: Request<SetTagsRequest>) -> Answer<SetTagsResponse> {
        self.0.set_tags(request).await.map_err(bare)
    }

    async fn set_annotations(
        &self,
        request: Request<SetAnnotationsRequest>,
    ) -> Answer<SetAnnotationsResponse> {
        self.0.set_annotations(request).await.map_err(bare)
    }

    async fn trim(&self, request: Request<TrimRequest>) -> Answer<TrimResponse> {
        self.0.trim(request).await.map_err(bare)
    }

    async fn list_stream_i_ds(
        &self,
        request: Request<ListStreamIDsRequest>,
    ) -> Answer<ListStreamIDsResponse> {
        self.0.list_stream_i_ds(request).await.map_err(bare)
    }

    async fn rename_stream(&self, request: Request<RenameStreamRequest>) -> Answer<RenameStreamResponse> {
        self.0.rename_stream(request).await.map_err(bare)
    }

    async fn stat(&self, request: Request<StatRequest>) -> Answer<StatResponse> {
        self.0.stat(request).await.map_err(bare)
    }

    async fn search(&self, mut request: Request<SearchRequest>) -> Answer<SearchResponse> {
        request.get_mut().options = known(request.get_mut().options.take());
        let answer = self.0.search(request).await.map_err(bare)?.into_inner();
        Ok(Response::new(SearchResponse { entries: answer.entries, ..SearchResponse::default() }))
    }

    async fn health(&self, request: Request<HealthRequest>) -> Answer<HealthResponse> {
        self.0.health(request).await
    }
}
