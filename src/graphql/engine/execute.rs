//! Prepares operations and executes them.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{Request, Response, dataloader::DataLoader, parser::types::OperationType};
use async_stream::stream;
use futures_util::{Stream, StreamExt, stream};

use super::{
    document::{self, DocumentSchema},
    limits::Refusal,
    memory::Memory,
    normalize::{Operation, normalize},
    positions::locate,
    resolve::Resolve,
    tokens, variables,
};
use crate::{
    domain::{auth::Auth, billing::Billing, chat::Chat},
    graphql::{
        Documents, ErrorCode, RequestContext, Schema, builder,
        error::{complete, rejection},
        loaders::Batches,
    },
};

/// Executes operations.
#[derive(Clone)]
pub struct Executor {
    schema: Schema,
    document_schema: Arc<DocumentSchema>,
    chat: Chat,
    documents: Documents,
    pub memory: Arc<Memory>,
}

/// An operation that is ready to be executed.
pub struct Prepared {
    operation: Operation,
    /// The text of its document.
    text: String,
}

impl Prepared {
    #[must_use]
    pub fn kind(&self) -> OperationType {
        self.operation.kind
    }
}

impl Executor {
    /// # Errors
    /// The schema is not valid GraphQL.
    pub fn new(
        auth: Auth,
        chat: Chat,
        billing: Billing,
        documents: Documents,
        introspection: bool,
    ) -> anyhow::Result<Self> {
        let mut builder = builder().extension(Resolve(auth.limits.clone()));
        if !introspection {
            builder = builder.disable_introspection();
        }
        let schema = builder.data(auth).data(chat.clone()).data(billing).finish();
        let document_schema = Arc::new(DocumentSchema::new(&schema.sdl(), introspection)?);
        Ok(Self { schema, document_schema, chat, documents, memory: Arc::default() })
    }

    /// Finds a request's document and makes the operation that it asks for.
    ///
    /// # Errors
    /// The response to give instead.
    pub async fn prepare(&self, request: Request) -> Result<Prepared, Response> {
        let (mut request, to_keep) = self.documents.complete(request).await?;
        let read = || {
            tokens::count(&request.query)?;
            self.document_schema.read(&request.query)
        };
        let document = read().map_err(Refusal::response)?;
        let mut normalized = || {
            let operation = document::operation(&document, request.operation_name.as_deref())?;
            let schema = &self.document_schema;
            let values = variables::coerce(&schema.schema, &operation.variables, &mut request.variables)?;
            normalize(schema, &document, operation, &values)
        };
        let operation = normalized().map_err(Refusal::response)?;
        if let Some(hash) = to_keep {
            self.documents.keep(&hash, &request.query).await;
        }
        Ok(Prepared { operation, text: request.query })
    }

    /// Runs a query or a mutation; a subscription needs a transport that streams.
    pub async fn execute(&self, prepared: Prepared, context: RequestContext) -> Response {
        if prepared.kind() == OperationType::Subscription {
            return rejection(ErrorCode::BadUserInput, "A batch cannot contain a subscription.");
        }
        self.stream(prepared, context).next().await.unwrap_or_else(internal_error)
    }

    /// Prepares and runs any operation.
    pub fn answer(
        &self,
        request: Request,
        context: RequestContext,
    ) -> impl Stream<Item = Response> + Send + Unpin + use<> {
        let executor = self.clone();
        stream::once(async move {
            // A subscription mostly waits: what preparing it took is freed before.
            match Box::pin(executor.prepare(request)).await {
                Ok(prepared) => executor.stream(prepared, context).boxed(),
                Err(refusal) => stream::iter([refusal]).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    /// Runs any operation. A query or a mutation gives one response; a mutation that has begun runs to its end, even when
    /// its client is gone.
    pub fn stream(
        &self,
        prepared: Prepared,
        context: RequestContext,
    ) -> impl Stream<Item = Response> + Send + Unpin + use<> {
        let Prepared { operation: Operation { kind, document, shape }, text } = prepared;
        let request_id = context.request_id.clone();
        let turns = context.turns.clone();
        let mut request = Request::new("").data(self.loader(&context)).data(context);
        request.set_parsed_query(document);
        let responses = if kind == OperationType::Subscription {
            // Each of its events takes a turn by itself.
            self.schema.execute_stream(request).boxed()
        } else {
            let (schema, tasks) = (self.schema.clone(), self.chat.tasks.clone());
            stream! {
                let _turn = turns.resolve.acquire().await;
                yield if kind == OperationType::Mutation {
                    let executed = tasks.spawn(async move { schema.execute(request).await });
                    executed.await.unwrap_or_else(|_| internal_error())
                } else {
                    schema.execute(request).await
                };
            }
            .boxed()
        };
        AssertUnwindSafe(responses)
            .catch_unwind()
            .map(move |response| {
                let mut response = response.unwrap_or_else(|_| internal_error());
                response.data = shape.complete(std::mem::take(&mut response.data));
                for error in &mut response.errors {
                    error.locations = error.locations.iter().filter_map(|&at| locate(at, &text)).collect();
                }
                complete(&mut response, &request_id);
                response
            })
            .boxed()
    }

    fn loader(&self, context: &RequestContext) -> DataLoader<Batches> {
        let tasks = self.chat.tasks.clone();
        DataLoader::new(Batches::new(self.chat.clone(), context.memory.clone()), move |load| {
            tasks.spawn(load);
        })
    }
}

/// After a panic, whose hook has logged it.
fn internal_error() -> Response {
    rejection(ErrorCode::InternalServerError, "Something went wrong on our side.")
}
