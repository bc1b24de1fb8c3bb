//! One way for every operation, whatever transport it came by.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{
    Request, Response, ServerError,
    dataloader::DataLoader,
    parser::{
        parse_schema,
        types::{ExecutableDocument, OperationType, TypeKind, TypeSystemDefinition},
    },
};
use futures_util::{FutureExt, Stream, StreamExt, stream};

use super::{
    Documents, RequestContext, Schema,
    allowance::Allowances,
    builder,
    complete::put_in_order,
    error::{complete, rejection},
    limits,
    loaders::Batches,
};
use crate::domain::{auth::Auth, billing::Billing, chat::Chat};

/// Executes operations.
#[derive(Clone)]
pub struct Executor {
    schema: Schema,
    chat: Chat,
    documents: Documents,
    input_types: Arc<HashSet<String>>,
}

/// A request whose document has been read and is within its limits.
pub struct Prepared {
    request: Request,
    document: ExecutableDocument,
    kind: Option<OperationType>,
}

impl Prepared {
    /// What the operation that would run is; none if the document holds no such operation.
    #[must_use]
    pub fn kind(&self) -> Option<OperationType> {
        self.kind
    }
}

impl Executor {
    #[must_use]
    pub fn new(auth: Auth, chat: Chat, billing: Billing, documents: Documents, is_open: bool) -> Self {
        let mut builder = builder().extension(Allowances(auth.limits.clone()));
        if !is_open {
            builder = builder.disable_introspection().disable_suggestions();
        }
        let schema = builder.data(auth).data(chat.clone()).data(billing).finish();
        let input_types = Arc::new(input_types(&schema));
        Self { schema, chat, documents, input_types }
    }

    /// Finds a request's document, and reads it as far as it is within its limits.
    ///
    /// # Errors
    /// What to answer instead.
    pub async fn prepare(&self, request: Request) -> Result<Prepared, Response> {
        let (mut request, to_keep) = self.documents.complete(request).await?;
        limits::check_request(&request).map_err(|refusal| refusal.response())?;
        let document = request.parsed_query().map_err(unread)?.clone();
        let is_input_type = |name: &str| self.input_types.contains(name);
        limits::check_document(&document, is_input_type).map_err(|refusal| refusal.response())?;
        if let Some(hash) = to_keep {
            self.documents.keep(&hash, &request.query).await;
        }
        let mut operations = document.operations.iter();
        let runs = match &request.operation_name {
            Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known == name)),
            None => operations.next(),
        };
        let kind = runs.map(|(_, operation)| operation.node.ty);
        Ok(Prepared { request, document, kind })
    }

    /// Runs a query or a mutation; a subscription needs a transport that streams.
    pub async fn execute(&self, prepared: Prepared, context: RequestContext) -> Response {
        if prepared.kind == Some(OperationType::Subscription) {
            return rejection("BAD_USER_INPUT", "A subscription is followed, and not in a batch.");
        }
        self.stream(prepared, context).next().await.unwrap_or_else(broke)
    }

    /// Prepares and runs any operation.
    pub fn answer(
        &self,
        request: Request,
        context: RequestContext,
    ) -> impl Stream<Item = Response> + Send + Unpin + use<> {
        let executor = self.clone();
        stream::once(async move {
            // A subscription mostly waits: what it took to prepare it goes when it is.
            match Box::pin(executor.prepare(request)).await {
                Ok(prepared) => executor.stream(prepared, context).boxed(),
                Err(refusal) => stream::iter([refusal]).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    /// Runs any operation. A query or a mutation gives one response; a mutation that has begun runs to its end, whatever
    /// becomes of whoever asked for it.
    pub fn stream(
        &self,
        prepared: Prepared,
        context: RequestContext,
    ) -> impl Stream<Item = Response> + Send + Unpin + use<> {
        let Prepared { request, document, kind } = prepared;
        let request_id = context.request_id.clone();
        let name = request.operation_name.clone();
        let request = request.data(self.loader()).data(context);
        let responses = match kind {
            Some(OperationType::Mutation) => self.mutate(request).boxed(),
            _ => self.schema.execute_stream(request).boxed(),
        };
        AssertUnwindSafe(responses).catch_unwind().map(move |response| {
            let mut response = response.unwrap_or_else(|_| broke());
            put_in_order(&mut response, &document, name.as_deref());
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

/// What a variable may be of.
fn input_types(schema: &Schema) -> HashSet<String> {
    // Its own text can be read; the built-in scalars are not in it.
    let written = parse_schema(schema.sdl()).map(|document| document.definitions).unwrap_or_default();
    let named = written.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(of) => match of.node.kind {
            TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => {
                Some(of.node.name.node.to_string())
            }
            _ => None,
        },
        _ => None,
    });
    named.chain(["Int", "Float", "String", "Boolean", "ID"].map(str::to_owned)).collect()
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
