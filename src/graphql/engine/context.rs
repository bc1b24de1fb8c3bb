//! The data of a request, and the services, that resolvers get from async-graphql's context.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, Extensions, Value, dataloader::DataLoader};
use tokio::sync::Semaphore;

use super::{loaders::Batches, memory::RequestMemory, mutation_rate::MutationRate};
use crate::{
    clock::Clock,
    domain::{
        auth::{Auth, Caller, Viewer},
        billing::Billing,
        chatrooms::Chatrooms,
        replies::Replies,
        search::Search,
        sharing::Sharing,
    },
    error::{Error, Result},
    telemetry::{
        metrics::Transport,
        traces::{TRACE_PARENT, TraceContext},
    },
};

/// The viewer, or the reason why the caller is anonymous.
pub type Identity = Result<Viewer, &'static str>;

/// The context of a request: everything except its document.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub identity: Identity,
    pub caller: Caller,
    /// A client receives it with an internal error; log lines about the request, such as the error's cause, carry it too.
    pub request_id: Arc<str>,
    /// The client's span, if the client sends one; the parent of the request's span.
    pub trace_parent: Option<TraceContext>,
    /// The transport that carries the events of a subscription. None if the request receives a single response.
    pub transport: Option<Transport>,
    /// The cursor after which a subscription resumes, if the transport sends one (`Last-Event-ID`).
    pub resume_after: Option<String>,
    pub mutation_rate: LatestMutationRate,
    /// The memory that the request holds. The operations of a batch share it.
    pub memory: Arc<RequestMemory>,
    pub permits: Arc<ConnectionPermits>,
}

/// The number of operations of one WebSocket connection or HTTP request that are resolved and serialized concurrently.
const RESOLVE_PERMITS: usize = 4;
/// The number of pages that the subscriptions of one WebSocket connection or HTTP request hold concurrently.
const PAGE_PERMITS: usize = 4;

/// Permits that the operations of one WebSocket connection, or of one HTTP request, share. They bound the memory that the
/// operations hold.
#[derive(Debug)]
pub struct ConnectionPermits {
    /// One for each operation, or event of a subscription, while it is resolved and serialized.
    pub(super) resolve: Semaphore,
    /// One for each page of a subscription's backlog while the subscription holds the page in memory.
    pub pages: Arc<Semaphore>,
}

impl Default for ConnectionPermits {
    fn default() -> Self {
        Self { resolve: Semaphore::new(RESOLVE_PERMITS), pages: Arc::new(Semaphore::new(PAGE_PERMITS)) }
    }
}

impl ConnectionPermits {
    /// Waits for a permit to resolve and serialize one operation or event. Returns `None` only if the semaphore is closed, which
    /// never happens.
    pub async fn resolve(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.resolve.acquire().await.ok()
    }
}

/// The caller's mutation rate after the latest mutation of the request. None until a mutation has been counted.
#[derive(Clone, Debug, Default)]
pub struct LatestMutationRate(Arc<Mutex<Option<MutationRate>>>);

impl LatestMutationRate {
    pub(super) fn set(&self, rate: MutationRate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rate);
    }

    #[must_use]
    pub fn get(&self) -> Option<MutationRate> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestContext {
    /// Creates the context of another operation on the same connection, with its own request id and memory count. The operation's
    /// extensions may name another client span than the one that the connection was opened with.
    #[must_use]
    pub fn for_another_operation(&self, extensions: &Extensions) -> Self {
        let client_span = extensions.get(TRACE_PARENT).and_then(|value| match value {
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        let trace_parent = client_span.or(self.trace_parent);
        let request_id = uuid::Uuid::now_v7().to_string().into();
        let memory = self.memory.for_another_request();
        Self { request_id, trace_parent, resume_after: None, memory, ..self.clone() }
    }
}

#[must_use]
pub fn request<'a>(ctx: &Context<'a>) -> &'a RequestContext {
    ctx.data_unchecked::<RequestContext>()
}

/// # Errors
/// [`Error::Unauthenticated`].
pub fn viewer(ctx: &Context<'_>) -> Result<Viewer> {
    request(ctx).identity.map_err(Error::Unauthenticated)
}

#[must_use]
pub fn memory<'a>(ctx: &Context<'a>) -> &'a RequestMemory {
    &request(ctx).memory
}

#[must_use]
pub fn caller<'a>(ctx: &Context<'a>) -> &'a Caller {
    &request(ctx).caller
}

#[must_use]
pub fn auth<'a>(ctx: &Context<'a>) -> &'a Auth {
    ctx.data_unchecked::<Auth>()
}

#[must_use]
pub fn chatrooms<'a>(ctx: &Context<'a>) -> &'a Arc<Chatrooms> {
    ctx.data_unchecked::<Arc<Chatrooms>>()
}

#[must_use]
pub fn sharing<'a>(ctx: &Context<'a>) -> &'a Sharing {
    ctx.data_unchecked::<Sharing>()
}

#[must_use]
pub fn search<'a>(ctx: &Context<'a>) -> &'a Search {
    ctx.data_unchecked::<Search>()
}

#[must_use]
pub fn replies<'a>(ctx: &Context<'a>) -> &'a Replies {
    &chatrooms(ctx).replies
}

#[must_use]
pub fn clock<'a>(ctx: &Context<'a>) -> &'a Clock {
    &chatrooms(ctx).clock
}

#[must_use]
pub fn billing<'a>(ctx: &Context<'a>) -> &'a Billing {
    ctx.data_unchecked::<Billing>()
}

/// Loads nested objects in batches, so that all objects of one kind and level take one batch.
#[must_use]
pub fn loader<'a>(ctx: &Context<'a>) -> &'a DataLoader<Batches> {
    ctx.data_unchecked::<DataLoader<Batches>>()
}
