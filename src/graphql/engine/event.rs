//! Subscription events that carry their cursor to the transport.
//!
//! ```text
//!  WithCursor<T> ── resolve ──► EventCursor of this event ──► Event { response, cursor } ──► SSE `id:`
//! ```
//!
//! async-graphql turns each event into a response with the selected fields only. So the cursor is recorded while
//! the event is resolved, in data that exists for this one event, and returned beside its response.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, Response, ServerResult, Value, parser::types::Field,
    registry::Registry,
};

/// A response of an operation, with the cursor after which to resume if it is an event of a resumable subscription.
pub struct Event {
    pub response: Response,
    pub cursor: Option<String>,
}

impl From<Response> for Event {
    fn from(response: Response) -> Self {
        Self { response, cursor: None }
    }
}

/// The cursor of the event that is being resolved.
#[derive(Default)]
pub(super) struct EventCursor(OnceLock<String>);

/// The key in a response's extensions under which the cursor is kept inside the engine.
const CURSOR: &str = "pollux.cursor";

/// Adds the recorded cursor to the response.
pub(super) fn attach(response: &mut Response, cursor: &EventCursor) {
    if let Some(cursor) = cursor.0.get() {
        response.extensions.insert(CURSOR.to_owned(), cursor.as_str().into());
    }
}

/// Separates the cursor from the response, so that clients do not see it in `extensions`.
pub(super) fn detach(mut response: Response) -> Event {
    let cursor = match response.extensions.remove(CURSOR) {
        Some(Value::String(cursor)) => Some(cursor),
        _ => None,
    };
    Event { response, cursor }
}

/// An event of the schema and its cursor.
pub struct WithCursor<T> {
    pub cursor: String,
    pub event: T,
}

impl<T: OutputType> OutputType for WithCursor<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        if let Some(EventCursor(cursor)) = ctx.data_opt::<Arc<EventCursor>>().map(Arc::as_ref) {
            // Each event is resolved once, so the cursor is not set yet.
            let _ = cursor.set(self.cursor.clone());
        }
        self.event.resolve(ctx, field).await
    }
}
