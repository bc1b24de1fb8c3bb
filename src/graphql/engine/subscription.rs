//! Runs a subscription: its resolver first opens it, which returns the events of the domain, and then resolves each of them.
//!
//! ```text
//!  arguments ──► Step::Open ──► SourceEvents ──┬─ text of a reply ──► DeltaTemplate ──┐
//!                                              └─ other ──► Step::Resolve ────────────┴──► response
//! ```
//!
//! Each step is one execution by async-graphql. Between events, a subscription holds its stream of events, but no execution. If
//! many subscriptions receive the same event of a chatroom, it is resolved once for each distinct selection.

use std::{
    option,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_graphql::{Context, Response, Value, parser::types::ExecutableDocument};
use async_stream::stream as generate;
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use moka::future::Cache;
use tokio::sync::SemaphorePermit;

use super::{
    arguments::RootArguments,
    context::RequestContext,
    event::{Event, SourceEvent, SourceEvents},
    execute::{Executor, catch_panic, count_errors},
    normalize::Operation,
    serialization::data_json,
    shape::finish,
};
use crate::error::Result;

/// What the resolver of a subscription does in one execution.
enum Step {
    /// Opens the subscription and stores its stream of events here.
    Open(Mutex<Option<SourceEvents>>),
    /// Takes this event and resolves it.
    Resolve(Mutex<Option<Result<SourceEvent>>>),
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What a subscription's resolver returns: the event that it resolved, or nothing if it opened the subscription.
pub type Resolved<T> = stream::Iter<option::IntoIter<async_graphql::Result<T>>>;

/// The resolver of every subscription. Opens the subscription, or converts the event of this execution to its type in the schema.
///
/// # Errors
/// Those of `open`.
pub async fn open_or_resolve<T, Events>(
    ctx: &Context<'_>,
    open: impl Future<Output = Result<Events>>,
    convert: impl FnOnce(SourceEvent) -> Option<T>,
) -> Result<Resolved<T>>
where
    Events: Stream<Item = Result<SourceEvent>> + Send + 'static,
{
    let resolved = match &**ctx.data_unchecked::<Arc<Step>>() {
        Step::Open(slot) => {
            let events = Box::pin(open).await?.boxed();
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(events);
            None
        }
        Step::Resolve(slot) => take(slot).and_then(|event| match event {
            Ok(event) => convert(event).map(Ok),
            Err(error) => Some(Err(error.into())),
        }),
    };
    Ok(stream::iter(resolved))
}

/// The maximum number of subscriptions that are opened concurrently. When many clients reconnect at once, the other subscriptions
/// wait for their turn without holding the memory of an execution.
pub(super) const MAX_CONCURRENT_OPENINGS: usize = 32;
/// How long the response to an event is kept for other subscriptions.
const SHARED_RESPONSE_LIFETIME: Duration = Duration::from_secs(10);
/// The maximum size of all kept responses, in bytes.
const MAX_SHARED_RESPONSES_BYTES: u64 = 16 * 1024 * 1024;

/// The responses to events that several subscriptions receive, by the number of the event and the address of the operation in
/// memory. Each kept response also holds its operation, so that no other operation can get the same address.
#[derive(Clone)]
pub(super) struct SharedResponses(Cache<(u64, usize), (Bytes, Arc<Operation>)>);

impl Default for SharedResponses {
    fn default() -> Self {
        let weight = |_: &_, (data, _): &(Bytes, _)| u32::try_from(data.len()).unwrap_or(u32::MAX);
        let cache = Cache::builder()
            .weigher(weight)
            .max_capacity(MAX_SHARED_RESPONSES_BYTES)
            .time_to_live(SHARED_RESPONSE_LIFETIME);
        Self(cache.build())
    }
}

/// What a subscription holds between its events.
pub(super) struct Subscription {
    /// The operation that resolves the events; its arguments are not used. Subscriptions with the same selection share it.
    pub(super) event_operation: Arc<Operation>,
    /// The text of the document.
    pub(super) text: Arc<str>,
    pub(super) context: RequestContext,
}

impl Subscription {
    /// Returns the response to an event with new text, if the event holds the values of all selected fields and the
    /// response exceeds no memory limit.
    fn fill_template(&self, event: &Result<SourceEvent>) -> Option<Box<Event>> {
        let event = event.as_ref().ok()?;
        let json = self.event_operation.delta.as_ref()?.fill(&event.delta()?)?;
        self.context.memory.count_response(json.len()).ok()?;
        Some(Box::new(Event { response: Response::new(Value::Binary(json.into())), cursor: event.cursor() }))
    }
}

impl<S: async_graphql::Executor> Executor<S> {
    /// Opens a subscription and returns the responses to its events. While it waits to be opened, it holds only these arguments
    /// of its own operation.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        arguments: RootArguments,
        subscription: Subscription,
    ) -> BoxStream<'static, Box<Event>> {
        let executor = self.clone();
        generate! {
            let transport = subscription.context.transport;
            let transports = &executor.metrics.transports;
            let _gauge_guard = transport.map(|transport| transports.subscription_opened(transport));
            // Each execution is boxed, so that its memory is freed while the subscription waits for the next event.
            let mut events = match Box::pin(executor.open(&subscription, arguments)).await {
                Ok(events) => events,
                Err(rejected) => {
                    yield rejected;
                    return;
                }
            };
            while let Some(event) = events.next().await {
                // The response to the previous event has been serialized.
                subscription.context.memory.clear();
                // The permit is held until the next event is requested.
                let (_permit, event) = match subscription.fill_template(&event) {
                    Some(event) => (None, event),
                    None => Box::pin(executor.respond_with_permit(&subscription, event)).await,
                };
                if let Some(transport) = transport {
                    transports.event_sent(transport);
                }
                yield event;
            }
        }
        .boxed()
    }

    /// Opens a subscription.
    ///
    /// # Errors
    /// The response, if the subscription cannot be opened.
    async fn open(
        &self,
        subscription: &Subscription,
        arguments: RootArguments,
    ) -> std::result::Result<SourceEvents, Box<Event>> {
        let step = Arc::new(Step::Open(Mutex::default()));
        let _permit = self.openings.acquire().await;
        let document = subscription.event_operation.document_with(arguments);
        let rejected = self.execute_step(subscription, document, step.clone()).await;
        let opened = match &*step {
            Step::Open(slot) => take(slot),
            Step::Resolve(_) => None,
        };
        opened.ok_or_else(|| Box::new(rejected.unwrap_or_default().into()))
    }

    /// Waits for a permit, and returns it together with the response to an event.
    async fn respond_with_permit<'a>(
        &self,
        subscription: &'a Subscription,
        event: Result<SourceEvent>,
    ) -> (Option<SemaphorePermit<'a>>, Box<Event>) {
        let permit = subscription.context.permits.resolve().await;
        let cursor = event.as_ref().ok().and_then(SourceEvent::cursor);
        let response = self.share_or_resolve(subscription, event).await;
        (permit, Box::new(Event { response, cursor }))
    }

    /// Returns the response to an event. If several subscriptions with the same selection receive the event, they share it.
    async fn share_or_resolve(&self, subscription: &Subscription, event: Result<SourceEvent>) -> Response {
        let event = match event {
            Ok(SourceEvent::Chatroom(event)) => event,
            other => return self.resolve_event(subscription, other).await,
        };
        let resolve = || self.resolve_event(subscription, Ok(SourceEvent::Chatroom(event.clone())));
        let Some(number) = event.number else { return resolve().await };
        let key = (number, Arc::as_ptr(&subscription.event_operation).addr());
        let shared = self.shared_responses.0.try_get_with(key, async {
            let response = resolve().await;
            // A response with errors is not shared: each subscription resolves the event itself.
            let has_no_errors = response.errors.is_empty();
            has_no_errors.then(|| (data_json(&response), subscription.event_operation.clone())).ok_or(())
        });
        match shared.await {
            Ok((data, _)) if subscription.context.memory.count_response(data.len()).is_ok() => {
                Response::new(Value::Binary(data))
            }
            // Resolving the event for this subscription alone reports the error, such as an exceeded memory limit.
            _ => resolve().await,
        }
    }

    async fn resolve_event(&self, subscription: &Subscription, event: Result<SourceEvent>) -> Response {
        let step = Arc::new(Step::Resolve(Mutex::new(Some(event))));
        let document = subscription.event_operation.document.clone();
        self.execute_step(subscription, document, step).await.unwrap_or_default()
    }

    /// Executes the subscription's resolver once. Returns `None` if it opened the subscription.
    async fn execute_step(
        &self,
        subscription: &Subscription,
        document: ExecutableDocument,
        step: Arc<Step>,
    ) -> Option<Response> {
        let Subscription { event_operation, text, context } = subscription;
        let (request, batching) = self.request(document, context.clone());
        let mut responses = self.schema.execute_stream(request.data(step), None);
        let response = catch_panic(batching.run(responses.next())).await.unwrap_or_else(Some)?;
        let response = finish(response, &event_operation.shape, text, &context.request_id);
        count_errors(&self.metrics, &response);
        Some(response)
    }
}
