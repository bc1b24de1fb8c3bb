//! Prepares operations and executes them.

use std::{panic::AssertUnwindSafe, sync::Arc};

use async_graphql::{
    ObjectType, Request, Response, Schema, SchemaBuilder, SubscriptionType, Value,
    parser::types::{ExecutableDocument, OperationType},
    value,
};
use async_stream::stream as generate;
use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    access,
    batching::Batching,
    cached_responses::{CacheableFields, CachedResponses, Key},
    context::RequestContext,
    document::DocumentSchema,
    error::{INTERNAL_ERROR, rejection},
    error_code::ErrorCode,
    event::Event,
    limits::MAX_COMPLEXITY,
    loaders::Batches,
    memory::Memory,
    mutation_rate::MutationLimits,
    normalize::Operation,
    persisted_queries::DocumentStore,
    prepared_documents::{Accepted, PreparedDocuments},
    resolve::Resolve,
    serialization::data_json,
    shape::finish,
    subscription::{MAX_CONCURRENT_OPENINGS, SharedResponses, Subscription},
};
use crate::{
    domain::{
        auth::{Auth, Viewer},
        billing::Billing,
        chatrooms::Chatrooms,
        search::Search,
        sharing::Sharing,
    },
    telemetry::{
        metrics::{HitCounter, Metrics, OperationMetrics},
        traces::{SpanKind, Tracer},
    },
};

/// A key of extensions. In those of a request, `true` asks for the operation's cost; in those of the response, it holds the cost.
const COST: &str = "cost";

/// The services that resolvers call, and the metrics and traces that record each execution.
pub struct Services {
    pub auth: Auth,
    pub chatrooms: Chatrooms,
    pub sharing: Sharing,
    pub billing: Billing,
    pub metrics: Arc<Metrics>,
    pub tracer: Tracer,
}

/// Executes operations of the schema `S`.
pub struct Executor<S> {
    pub(super) schema: S,
    document_schema: DocumentSchema,
    chatrooms: Arc<Chatrooms>,
    documents: DocumentStore,
    prepared: PreparedDocuments,
    responses: CachedResponses,
    response_hits: HitCounter,
    pub(super) shared_responses: SharedResponses,
    pub(super) openings: Semaphore,
    pub(super) metrics: Arc<Metrics>,
    tracer: Tracer,
    pub memory: Arc<Memory>,
}

/// An operation that is ready to be executed.
pub struct Prepared {
    accepted: Accepted,
    /// Whether the response reports the cost. Ignored for a subscription.
    reports_cost: bool,
}

impl Prepared {
    #[must_use]
    pub fn kind(&self) -> OperationType {
        self.accepted.operation.kind
    }
}

impl<Query, Mutation, Subscription> Executor<Schema<Query, Mutation, Subscription>>
where
    Query: ObjectType + 'static,
    Mutation: ObjectType + 'static,
    Subscription: SubscriptionType + 'static,
{
    /// # Errors
    /// The schema is not valid GraphQL.
    pub fn new(
        builder: SchemaBuilder<Query, Mutation, Subscription>,
        Services { auth, chatrooms, sharing, billing, metrics, tracer }: Services,
        documents: DocumentStore,
        allows_introspection: bool,
        cacheable: CacheableFields,
    ) -> anyhow::Result<Self> {
        let max = MutationLimits {
            user: auth.rates.user_mutation_limit.get(),
            address: auth.rates.address_mutation_limit.get(),
            anonymous: auth.rates.anonymous_mutation_limit.get(),
        };
        let mut builder = builder.extension(Resolve { limits: auth.limits.clone(), max });
        if !allows_introspection {
            builder = builder.disable_introspection();
        }
        let chatrooms = Arc::new(chatrooms);
        let search = Search::new(chatrooms.db.clone(), auth.limits.clone());
        let builder = builder.data(search);
        let schema = builder.data(auth).data(chatrooms.clone()).data(sharing).data(billing).finish();
        let document_schema = DocumentSchema::new(&schema.sdl(), allows_introspection)?;
        Ok(Self {
            schema,
            document_schema,
            chatrooms,
            documents,
            prepared: PreparedDocuments::new(cacheable, &metrics),
            responses: CachedResponses::default(),
            response_hits: metrics.caches.of("responses"),
            shared_responses: SharedResponses::default(),
            openings: Semaphore::new(MAX_CONCURRENT_OPENINGS),
            metrics,
            tracer,
            memory: Arc::default(),
        })
    }
}

impl<S: async_graphql::Executor> Executor<S> {
    /// Finds the document of a request, which may be a persisted one, validates it and normalizes its operation.
    ///
    /// # Errors
    /// The response to a request that is rejected.
    pub fn prepare(&self, request: Request) -> Result<Prepared, Box<Response>> {
        let prepared = self.find_and_prepare(request);
        if let Err(rejection) = &prepared {
            count_errors(&self.metrics, rejection);
        }
        prepared
    }

    fn find_and_prepare(&self, mut request: Request) -> Result<Prepared, Box<Response>> {
        let reports_cost = request.extensions.get(COST) == Some(&Value::Boolean(true));
        let to_store = self.documents.resolve(&mut request)?;
        let name = request.operation_name.as_deref();
        let prepared =
            self.prepared.prepare(&self.document_schema, &request.query, name, &mut request.variables);
        let mut accepted = prepared.map_err(|rejection| Box::new(rejection.into_response()))?;
        // A kept response has no extensions.
        accepted.cacheable_request.take_if(|_| reports_cost);
        if let Some(hash) = to_store {
            self.documents.store(hash, &request.query);
        }
        Ok(Prepared { accepted, reports_cost })
    }

    /// Executes a query or a mutation, or returns its kept response. Rejects a subscription: callers pass one only if it is part
    /// of a batch.
    pub async fn execute(self: &Arc<Self>, prepared: Prepared, context: RequestContext) -> Response {
        if prepared.kind() == OperationType::Subscription {
            return rejection(ErrorCode::BadUserInput, "A batch cannot contain a subscription.");
        }
        prepared.accepted.metrics.started();
        self.get_kept_or_resolve(prepared, context).await.response
    }

    /// Prepares and executes an operation.
    pub fn prepare_and_stream(
        self: &Arc<Self>,
        request: Request,
        context: RequestContext,
    ) -> impl Stream<Item = Box<Event>> + Send + Unpin + use<S> {
        let executor = self.clone();
        let responses = async move {
            match executor.prepare(request) {
                Ok(prepared) => executor.stream(prepared, context),
                Err(rejected) => stream::iter([Box::new((*rejected).into())]).boxed(),
            }
        };
        // Boxed, so that the memory of the preparation is freed before a subscription waits for events.
        stream::once(responses.boxed()).flatten()
    }

    /// Executes an operation, or returns its kept response. A query or a mutation returns one response. A mutation that has
    /// started continues even if its client disconnects.
    pub fn stream(
        self: &Arc<Self>,
        prepared: Prepared,
        context: RequestContext,
    ) -> BoxStream<'static, Box<Event>> {
        prepared.accepted.metrics.started();
        if prepared.accepted.cacheable_request.is_none() {
            return self.resolve(prepared, context);
        }
        let executor = self.clone();
        stream::once(async move { Box::new(executor.get_kept_or_resolve(prepared, context).await) }).boxed()
    }

    /// Returns the kept response to a query or a mutation. If there is none, executes the operation, and keeps its response if the
    /// request is cacheable.
    async fn get_kept_or_resolve(self: &Arc<Self>, mut prepared: Prepared, context: RequestContext) -> Event {
        let started = Instant::now();
        let request = prepared.accepted.cacheable_request.take();
        let key = match (request, context.identity) {
            (Some(request), Ok(Viewer { user, .. })) => {
                // The version is read before the list itself, so that the response is at least as new as its version. If the
                // version cannot be read, the operation is still executed, and it reports the errors of its own reads.
                let list_version = self.chatrooms.list_version(user).await.ok();
                list_version.map(|list_version| Key { user, list_version, request })
            }
            _ => None,
        };
        if let Some(key) = &key {
            let kept = self.responses.get(key);
            let kept = kept.filter(|data| context.memory.count_response(data.len()).is_ok());
            self.response_hits.count(kept.is_some());
            if let Some(data) = kept {
                let (metrics, duration) = (&prepared.accepted.metrics, started.elapsed());
                metrics.ended(duration);
                access::log(metrics, &context.request_id, Some(key.user), None, duration, 0);
                return Response::new(Value::Binary(data)).into();
            }
        }
        let Some(event) = self.resolve(prepared, context).next().await else {
            return internal_error().into();
        };
        if let Some(key) = key
            && event.response.errors.is_empty()
        {
            self.responses.insert(key, data_json(&event.response));
        }
        *event
    }

    /// Executes an operation without looking for a kept response.
    fn resolve(
        self: &Arc<Self>,
        prepared: Prepared,
        context: RequestContext,
    ) -> BoxStream<'static, Box<Event>> {
        let Prepared { accepted, reports_cost } = prepared;
        let Accepted { operation, events, text, metrics, .. } = accepted;
        if operation.kind == OperationType::Subscription {
            let arguments = operation.root_arguments();
            return self.subscribe(arguments, Subscription { event_operation: events, text, context });
        }
        let (executor, permits) = (self.clone(), context.permits.clone());
        generate! {
            // The permit is held until the response has been serialized.
            let _permit = permits.resolve().await;
            let cost = reports_cost.then_some(operation.complexity);
            let mut response = executor.execute_query_or_mutation(operation, &text, context, &metrics).await;
            if let Some(complexity) = cost {
                let cost = value!({ "complexity": complexity, "max": MAX_COMPLEXITY });
                response.extensions.insert(COST.to_owned(), cost);
            }
            yield Box::new(response.into());
        }
        .boxed()
    }

    /// Executes a query or a mutation, and records its span, metrics and log line.
    async fn execute_query_or_mutation(
        &self,
        operation: Arc<Operation>,
        text: &str,
        context: RequestContext,
        metrics: &OperationMetrics,
    ) -> Response {
        let started = Instant::now();
        let user = context.identity.ok().map(|viewer| viewer.user);
        let span = self.tracer.span(|| metrics.label(), SpanKind::Server, context.trace_parent);
        let Operation { kind, document, shape, .. } = Arc::unwrap_or_clone(operation);
        let request_id = context.request_id.clone();
        let (request, batching) = self.request(document, context);
        let response = if kind == OperationType::Mutation {
            // A task, so that the mutation continues even if its client disconnects.
            let schema = self.schema.clone();
            let execution = span.scope(async move { batching.run(schema.execute(request)).await });
            let executed = self.chatrooms.replies.tasks.spawn(execution);
            executed.await.map_err(|_| internal_error())
        } else {
            catch_panic(span.scope(batching.run(self.schema.execute(request)))).await
        };
        let mut response = finish(response.unwrap_or_else(|panic| panic), &shape, text, &request_id);
        count_errors(&self.metrics, &response);
        let trace = span.context();
        access::end_span(span, &mut response);
        metrics.ended(started.elapsed());
        access::log(metrics, &request_id, user, trace, started.elapsed(), response.errors.len());
        response
    }

    /// The request for a document, and what runs its execution.
    pub(super) fn request(
        &self,
        document: ExecutableDocument,
        context: RequestContext,
    ) -> (Request, Batching) {
        let chatrooms = &self.chatrooms;
        let batches = Batches::new(chatrooms.db.clone(), chatrooms.quota.clone(), context.memory.clone());
        let batching = Batching::default();
        let mut request = Request::new("").data(batching.loader(batches)).data(context);
        request.set_parsed_query(document);
        (request, batching)
    }
}

/// Counts the errors of a response by their codes.
pub(super) fn count_errors(metrics: &Metrics, response: &Response) {
    for error in &response.errors {
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        if let Some(Value::String(code)) = code {
            metrics.graphql.error(code);
        }
    }
}

/// Runs an execution. If it panics, returns an internal error as the response.
pub(super) async fn catch_panic<T>(execution: impl Future<Output = T>) -> Result<T, Response> {
    AssertUnwindSafe(execution).catch_unwind().await.map_err(|_| internal_error())
}

/// The response to an operation whose execution panicked (the panic hook has logged the panic) or returned no response, which
/// never happens.
fn internal_error() -> Response {
    rejection(ErrorCode::InternalServerError, INTERNAL_ERROR)
}
