//! The protocol on one store.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::Stream;
use ledger_api::convert::*;
use ledger_api::metadata::{check_given, is_exact, store_of};
use ledger_api::proto::append_session_response::Result as SessionResult;
use ledger_api::proto::ledger_consumers_server::LedgerConsumers;
use ledger_api::proto::ledger_service_server::LedgerService;
use ledger_api::proto::ledger_streaming_server::LedgerStreaming;
use ledger_api::proto::*;
use ledger_api::status::{RequestError, request_to_append_error, to_append_error, to_status};
use ledger_streams::{
    CursorStore, EntryId, Filter, FindBySource, Health, InvalidCursor, MemoryStore, Position, Read,
    RenameStream, Search, Store, StoreError, Subscribe,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;

#[derive(Clone)]
pub struct Service {
    pub store: MemoryStore,
    /// Largest message and longest list.
    pub max_message_bytes: usize,
    pub max_streams: usize,
    /// So many of the next calls are carried out, and their answers get lost.
    pub lost_answers: Arc<AtomicUsize>,
    /// Subscriptions that were asked for.
    pub subscriptions: Arc<AtomicUsize>,
    /// The secret that callers must send.
    pub api_key: Option<&'static str>,
}

impl Service {
    pub fn new(store: MemoryStore) -> Self {
        Self {
            store,
            max_message_bytes: 96 << 20,
            max_streams: usize::MAX,
            lost_answers: Arc::default(),
            subscriptions: Arc::default(),
            api_key: None,
        }
    }

    fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let key = request.metadata().get(ledger_api::metadata::API_KEY).and_then(|key| key.to_str().ok());
        if self.api_key.is_some() && key != self.api_key {
            return Err(Status::unauthenticated("authentication failed: invalid api key"));
        }
        assert_eq!(store_of(request.metadata())?, self.store.name());
        Ok(())
    }

    fn check_stream<T>(&self, request: &Request<T>, stream: &str) -> Result<(), Status> {
        self.check(request)?;
        Ok(check_given(request.metadata(), "stream", stream)?)
    }

    /// Loses the answer of a call if a test wants it: what a client sees of a daemon that dies just then.
    fn answer<T>(&self, answer: T) -> Answer<T> {
        let lose = |left: usize| left.checked_sub(1);
        match self.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose) {
            Ok(_) => Err(Status::unavailable("the proxy has lost the answer")),
            Err(_) => Ok(Response::new(answer)),
        }
    }
}

fn refused(error: StoreError) -> Status {
    to_status(&error)
}

fn id(text: &str) -> Result<i64, Status> {
    i64::parse(text).map_err(|error: InvalidCursor| refused(error.into()))
}

#[tonic::async_trait]
impl LedgerService for Service {
    async fn append(&self, request: Request<AppendRequest>) -> Answer<AppendResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        let exact = is_exact(request.metadata());
        let (stream, entries, expect) = into_append(request.into_inner(), exact)?;
        let answer = self.store.append(&stream, entries, expect).await.map_err(refused)?;
        self.answer(appended(&answer))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Answer<ReadResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        let ReadRequest { stream, options } = request.into_inner();
        let wanted = PageRequest::from_message(options, self.max_message_bytes)?;
        let page = self.store.read(&stream, &wanted.read).await.map_err(refused)?;
        self.answer(wanted.answer(page).into())
    }

    async fn count(&self, request: Request<CountRequest>) -> Answer<CountResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        let count = self.store.count(&request.get_ref().stream).await.map_err(refused)?;
        self.answer(CountResponse { count: i64::try_from(count).unwrap() })
    }

    async fn set_tags(&self, request: Request<SetTagsRequest>) -> Answer<SetTagsResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        let request = request.into_inner();
        self.store.set_tags(&request.stream, &id(&request.id)?, request.tags).await.map_err(refused)?;
        self.answer(SetTagsResponse {})
    }

    async fn set_annotations(
        &self,
        request: Request<SetAnnotationsRequest>,
    ) -> Answer<SetAnnotationsResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        let request = request.into_inner();
        let (stream, id) = (request.stream.clone(), id(&request.id)?);
        self.store.set_annotations(&stream, &id, annotation_changes(request)).await.map_err(refused)?;
        self.answer(SetAnnotationsResponse {})
    }

    async fn trim(&self, request: Request<TrimRequest>) -> Answer<TrimResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        let request = request.into_inner();
        let deleted = self.store.trim(&request.stream, &id(&request.before_id)?).await.map_err(refused)?;
        self.answer(TrimResponse { deleted: i64::try_from(deleted).unwrap() })
    }

    async fn list_stream_i_ds(
        &self,
        request: Request<ListStreamIDsRequest>,
    ) -> Answer<ListStreamIDsResponse> {
        self.check(&request)?;
        let ListStreamIDsRequest { after, limit } = request.into_inner();
        let asked = usize::try_from(limit).unwrap_or_default();
        let limit = asked.min(self.max_streams);
        let after = Some(&*after).filter(|after| !after.is_empty());
        let stream_ids = self.store.list_streams(after, limit).await.map_err(refused)?;
        let cut_short = asked > limit && stream_ids.len() == limit;
        self.answer(ListStreamIDsResponse { stream_ids, cut_short })
    }

    async fn rename_stream(&self, request: Request<RenameStreamRequest>) -> Answer<RenameStreamResponse> {
        self.check(&request)?;
        let RenameStreamRequest { name, new_name } = request.into_inner();
        self.store.rename_stream(&name, &new_name).await.map_err(refused)?;
        self.answer(RenameStreamResponse {})
    }

    async fn stat(&self, request: Request<StatRequest>) -> Answer<StatResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        self.answer(stat(self.store.stat(&request.get_ref().stream).await.map_err(refused)?))
    }

    async fn search(&self, request: Request<SearchRequest>) -> Answer<SearchResponse> {
        self.check(&request)?;
        check_given(request.metadata(), "query", &request.get_ref().query)?;
        let SearchRequest { stream, query, options, one_stream } = request.into_inner();
        let wanted = PageRequest::from_message(options, self.max_message_bytes)?;
        let stream = Some(&*stream).filter(|stream| one_stream || !stream.is_empty());
        let page = self.store.search(stream, &query, &wanted.read).await.map_err(refused)?;
        self.answer(wanted.answer(page).into())
    }

    async fn health(&self, _: Request<HealthRequest>) -> Answer<HealthResponse> {
        let status = if self.store.health().await.is_ok() { "ok" } else { "degraded" };
        self.answer(HealthResponse { status: status.to_owned() })
    }
}

impl Service {
    async fn session_append(&self, append: Option<AppendRequest>, exact: bool) -> SessionResult {
        let append = match into_append(append.unwrap_or_default(), exact) {
            Ok(append) => append,
            Err(error) => return SessionResult::Error(request_to_append_error(error)),
        };
        match self.store.append(&append.0, append.1, append.2).await {
            Ok(answer) => SessionResult::Appended(appended(&answer)),
            Err(error) => SessionResult::Error(to_append_error(&error)),
        }
    }

    async fn position(&self, request: &SubscribeRequest) -> Result<Position<i64>, Status> {
        match into_position(request).map_err(RequestError::into) {
            Ok(Position::Now) => {
                let last = Read::new().descending().limit(1);
                let last = self.store.read(&request.stream, &last).await.map_err(refused)?.next;
                Ok(last.map_or(Position::Start, Position::After))
            }
            position => position,
        }
    }
}

type Pushed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl LedgerStreaming for Service {
    type AppendSessionStream = Pushed<AppendSessionResponse>;
    type SubscribeStream = Pushed<SubscribeResponse>;

    async fn append_session(
        &self,
        request: Request<Streaming<AppendSessionRequest>>,
    ) -> Answer<Self::AppendSessionStream> {
        self.check(&request)?;
        let (service, exact) = (self.clone(), is_exact(request.metadata()));
        let mut requests = request.into_inner();
        let (answers, pushed) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let result = service.session_append(request.append, exact).await;
                let answer = AppendSessionResponse { sequence: request.sequence, result: Some(result) };
                if service.answer(()).is_err() || answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(pushed))))
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer<Self::SubscribeStream> {
        self.check_stream(&request, &request.get_ref().stream)?;
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        let position = self.position(&request).await?;
        let mut at = if let Position::After(id) = &position { id.to_string() } else { String::new() };
        let mut subscription = self.store.subscribe(&request.stream, position).await.map_err(refused)?;
        let (messages, pushed) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok(Some(event)) = subscription.next().await {
                for message in subscribe_responses(vec![event], &Filter::default(), &mut at) {
                    if messages.send(Ok(message)).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(pushed))))
    }
}

#[tonic::async_trait]
impl LedgerConsumers for Service {
    async fn get_cursor(&self, request: Request<GetCursorRequest>) -> Answer<GetCursorResponse> {
        self.check(&request)?;
        let position = self.store.get_cursor(&request.get_ref().name).await.map_err(refused)?;
        self.answer(GetCursorResponse { position })
    }

    async fn set_cursor(&self, request: Request<SetCursorRequest>) -> Answer<SetCursorResponse> {
        self.check(&request)?;
        let SetCursorRequest { name, position } = request.into_inner();
        let moved = self.store.set_cursor(&name, &position).await.map_err(refused)?;
        self.answer(SetCursorResponse { moved })
    }

    async fn find_by_source(&self, request: Request<FindBySourceRequest>) -> Answer<FindBySourceResponse> {
        self.check_stream(&request, &request.get_ref().stream)?;
        let FindBySourceRequest { stream, source_id } = request.into_inner();
        let id = self.store.find_by_source(&stream, &source_id).await.map_err(refused)?;
        self.answer(FindBySourceResponse { id: id.map(|id| id.to_string()) })
    }
}
