//! Runs a subscription: its resolver opens it once, and then each of its events is resolved.
//!
//! ```text
//!  arguments ──► Step::Open ──► SourceEvents ──┬─ text of a reply ──► DeltaTemplate ──┐
//!                                              └─ other ──► Step::Resolve ────────────┴──► response
//! ```
//!
//! Each step is one execution by async-graphql. Between events, a subscription holds its stream and nothing of async-graphql. An
//! event that many subscriptions receive is resolved once for each distinct selection.

use std::{
    option,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_graphql::{Context, Response, Value};
use async_stream::stream as generate;
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use moka::future::Cache;
use tokio::sync::SemaphorePermit;

use super::{
    context::RequestContext,
    event::{Event, SourceEvent, SourceEvents},
    execute::{Executor, count_errors, finish, no_panic},
    normalize::Operation,
    serialization::data_json,
};
use crate::error::Result;

/// What the resolver of a subscription does in one execution.
enum Step {
    /// Opens the subscription and puts its events here.
    Open(Mutex<Option<SourceEvents>>),
    /// Resolves this event.
    Resolve(Mutex<Option<Result<SourceEvent>>>),
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What a resolver returns: the event that it resolves, if any.
pub type Resolved<T> = stream::Iter<option::IntoIter<async_graphql::Result<T>>>;

/// The resolver of a subscription: opens it, or converts the event of this execution to its type in the schema.
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

/// The number of subscriptions that are opened concurrently. When many clients reconnect at once, the others wait for the
/// database without holding the memory of an execution.
pub(super) const OPENINGS: usize = 32;
/// How long the response to an event is kept for other subscriptions.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// The maximum size of all kept responses, in bytes.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;

/// The responses to events that several subscriptions receive, by the number of the event and the address of the operation. A
/// kept response holds its operation, so the address is not used for another one.
#[derive(Clone)]
pub(super) struct SharedResponses(Cache<(u64, usize), (Bytes, Arc<Operation>)>);

impl Default for SharedResponses {
    fn default() -> Self {
        let weight = |_: &_, (data, _): &(Bytes, _)| u32::try_from(data.len()).unwrap_or(u32::MAX);
        let cache = Cache::builder().weigher(weight).max_capacity(KEPT_BYTES).time_to_live(KEPT_FOR);
        Self(cache.build())
    }
}

/// What a subscription holds between its events.
pub(super) struct Subscription {
    /// The operation that resolves its events, whose arguments are not used. Subscriptions with the same selection share it.
    pub(super) events: Arc<Operation>,
    /// The text of its document.
    pub(super) text: String,
    pub(super) context: RequestContext,
}

impl Subscription {
    /// The response to an event with new text, if the event holds all selected fields.
    fn fill_template(&self, event: &Result<SourceEvent>) -> Option<Box<Event>> {
        let event = event.as_ref().ok()?;
        let json = self.events.delta.as_ref()?.fill(&event.delta()?)?;
        self.context.memory.count_response(json.len()).ok()?;
        Some(Box::new(Event { response: Response::new(Value::Binary(json.into())), cursor: event.cursor() }))
    }
}

impl<S: async_graphql::Executor> Executor<S> {
    /// `opening` is the operation with the arguments of this subscription.
    pub(super) fn subscribe(
        &self,
        opening: Arc<Operation>,
        subscription: Subscription,
    ) -> BoxStream<'static, Box<Event>> {
        let executor = self.clone();
        generate! {
            let transport = subscription.context.transport;
            let transports = &executor.metrics.transports;
            let _open = transport.map(|transport| transports.subscription_opened(transport));
            // Each execution is boxed, because a subscription mostly waits, and should not hold the memory of one meanwhile.
            let mut events = match Box::pin(executor.open(&subscription, opening)).await {
                Ok(events) => events,
                Err(response) => {
                    yield response;
                    return;
                }
            };
            while let Some(event) = events.next().await {
                // The previous event has been serialized.
                subscription.context.memory.clear();
                // The permit is held until the next event is requested.
                let (_permit, event) = match subscription.fill_template(&event) {
                    Some(event) => (None, event),
                    None => Box::pin(executor.respond(&subscription, event)).await,
                };
                if let Some(transport) = transport {
                    transports.event_sent(transport);
                }
                yield event;
            }
        }
        .boxed()
    }

    /// # Errors
    /// The response, if the subscription cannot be opened.
    async fn open(
        &self,
        subscription: &Subscription,
        opening: Arc<Operation>,
    ) -> std::result::Result<SourceEvents, Box<Event>> {
        let step = Arc::new(Step::Open(Mutex::default()));
        let _permit = self.openings.acquire().await;
        let rejected = self.step(subscription, &opening, step.clone()).await;
        let opened = match &*step {
            Step::Open(slot) => take(slot),
            Step::Resolve(_) => None,
        };
        opened.ok_or_else(|| Box::new(rejected.unwrap_or_default().into()))
    }

    async fn respond<'a>(
        &self,
        subscription: &'a Subscription,
        event: Result<SourceEvent>,
    ) -> (Option<SemaphorePermit<'a>>, Box<Event>) {
        let permit = subscription.context.permits.resolve().await;
        let cursor = event.as_ref().ok().and_then(SourceEvent::cursor);
        let response = self.response(subscription, event).await;
        (permit, Box::new(Event { response, cursor }))
    }

    async fn response(&self, subscription: &Subscription, event: Result<SourceEvent>) -> Response {
        let event = match event {
            Ok(SourceEvent::Chatroom(event)) => event,
            other => return self.resolve_event(subscription, other).await,
        };
        let resolve = || self.resolve_event(subscription, Ok(SourceEvent::Chatroom(event.clone())));
        let Some(number) = event.number else { return resolve().await };
        let key = (number, Arc::as_ptr(&subscription.events).addr());
        let shared = self.shared_responses.0.try_get_with(key, async {
            let response = resolve().await;
            let is_complete = response.errors.is_empty();
            is_complete.then(|| (data_json(&response), subscription.events.clone())).ok_or(())
        });
        match shared.await {
            Ok((data, _)) if subscription.context.memory.count_response(data.len()).is_ok() => {
                Response::new(Value::Binary(data))
            }
            _ => resolve().await,
        }
    }

    async fn resolve_event(&self, subscription: &Subscription, event: Result<SourceEvent>) -> Response {
        let step = Arc::new(Step::Resolve(Mutex::new(Some(event))));
        self.step(subscription, &subscription.events, step).await.unwrap_or_default()
    }

    /// Executes the subscription's resolver once. Returns none if it opened the subscription.
    async fn step(
        &self,
        subscription: &Subscription,
        operation: &Arc<Operation>,
        step: Arc<Step>,
    ) -> Option<Response> {
        let Subscription { text, context, .. } = subscription;
        let request = self.request(operation.document.clone(), context.clone()).data(step);
        let mut responses = self.schema.execute_stream(request, None);
        let response = no_panic(responses.next()).await.unwrap_or_else(Some)?;
        let response = finish(response, &operation.shape, text, &context.request_id);
        count_errors(&self.metrics, &response);
        Some(response)
    }
}
