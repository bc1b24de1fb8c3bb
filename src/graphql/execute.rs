//! One way for every operation, whatever transport it came by.

use std::panic::AssertUnwindSafe;

use async_graphql::{Request, Response, ServerError, dataloader::DataLoader, parser::types::OperationType};
use futures_util::{FutureExt, Stream, StreamExt, stream};

use super::{
    RequestContext, Schema, builder,
    complete::put_in_order,
    error::{complete, rejection},
    loaders::Batches,
};
use crate::domain::{auth::Auth, billing::Billing, chat::Chat};

/// Executes operations.
#[derive(Clone)]
pub struct Executor {
    schema: Schema,
    chat: Chat,
}

impl Executor {
    #[must_use]
    pub fn new(auth: Auth, chat: Chat, billing: Billing) -> Self {
        Self { schema: builder().data(auth).data(chat.clone()).data(billing).finish(), chat }
    }

    /// Runs a query or a mutation; a subscription needs a transport that streams.
    pub async fn execute(&self, mut request: Request, context: RequestContext) -> Response {
        if operation_type(&mut request) == Some(OperationType::Subscription) {
            return rejection("BAD_USER_INPUT", "A subscription is followed, and not in a batch.");
        }
        self.stream(request, context).next().await.unwrap_or_else(broke)
    }

    /// Runs any operation. A query or a mutation gives one response; a mutation that has begun runs to its end, whatever
    /// becomes of whoever asked for it.
    pub fn stream(
        &self,
        mut request: Request,
        context: RequestContext,
    ) -> impl Stream<Item = Response> + Send + Unpin + use<> {
        let request_id = context.request_id.clone();
        let kind = operation_type(&mut request);
        let name = request.operation_name.clone();
        let (document, unreadable) = match request.parsed_query() {
            Ok(document) => (Some(document.clone()), None),
            Err(error) => (None, Some(error)),
        };
        let request = request.data(self.loader()).data(context);
        let responses = match (unreadable, kind) {
            (Some(error), _) => stream::iter([unread(error)]).boxed(),
            (None, Some(OperationType::Mutation)) => self.mutate(request).boxed(),
            (None, _) => self.schema.execute_stream(request).boxed(),
        };
        AssertUnwindSafe(responses).catch_unwind().map(move |response| {
            let mut response = response.unwrap_or_else(|_| broke());
            if let Some(document) = &document {
                put_in_order(&mut response, document, name.as_deref());
            }
            complete(&mut response, &request_id);
            response
        })
    }

    fn mutate(&self, request: Request) -> impl Stream<Item = Response> + Send + use<> {
        let schema = self.schema.clone();
        let done = self.chat.tasks.spawn(async move { schema.execute(request).await });
        stream::once(done.map(|done| done.unwrap_or_else(|_| broke())))
    }

    fn loader(&self) -> DataLoader<Batches> {
        let tasks = self.chat.tasks.clone();
        DataLoader::new(Batches::new(self.chat.clone()), move |load| {
            tasks.spawn(load);
        })
    }
}

/// What the operation that would run is; none if the document cannot be read or holds no such operation.
pub fn operation_type(request: &mut Request) -> Option<OperationType> {
    let name = request.operation_name.clone();
    let mut operations = request.parsed_query().ok()?.operations.iter();
    let runs = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| *known == name)),
        None => operations.next(),
    };
    runs.map(|(_, operation)| operation.node.ty)
}

fn unread(error: ServerError) -> Response {
    let mut response = rejection("GRAPHQL_PARSE_FAILED", error.message);
    response.errors[0].locations = error.locations;
    response
}

/// After a panic, which its hook has told.
fn broke() -> Response {
    rejection("INTERNAL_SERVER_ERROR", "Something went wrong on our side.")
}
