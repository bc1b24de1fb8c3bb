//! One way for every operation, whatever transport it came by.

use async_graphql::{
    Request, Response,
    dataloader::DataLoader,
    parser::{parse_query, types::OperationType},
};
use futures_util::{Stream, StreamExt};

use super::{
    RequestContext, Schema, builder,
    error::{complete, rejection},
    loaders::Batches,
};
use crate::domain::{auth::Auth, chat::Chat};

/// Executes operations.
#[derive(Clone)]
pub struct Executor {
    schema: Schema,
    chat: Chat,
}

impl Executor {
    #[must_use]
    pub fn new(auth: Auth, chat: Chat) -> Self {
        Self { schema: builder().data(auth).data(chat.clone()).finish(), chat }
    }

    /// Runs a query or a mutation.
    pub async fn execute(&self, request: Request, context: RequestContext) -> Response {
        let request_id = context.request_id.clone();
        let request = match self.prepare(request, context) {
            Ok(request) => request,
            Err(response) => return *response,
        };
        let mut response = self.schema.execute(request).await;
        complete(&mut response, &request_id);
        response
    }

    /// Runs any operation. A query or a mutation gives one response.
    pub fn stream(
        &self,
        request: Request,
        context: RequestContext,
    ) -> impl Stream<Item = Response> + Send + Unpin + use<> {
        let request_id = context.request_id.clone();
        let responses = match self.prepare(request, context) {
            Ok(request) => self.schema.execute_stream(request).boxed(),
            Err(response) => futures_util::stream::iter([*response]).boxed(),
        };
        responses.map(move |mut response| {
            complete(&mut response, &request_id);
            response
        })
    }

    /// Whether the operation that would run is a mutation.
    #[must_use]
    pub fn is_mutation(request: &Request) -> bool {
        let Ok(document) = parse_query(&request.query) else { return false };
        let mut operations = document.operations.iter();
        let runs = match &request.operation_name {
            Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known == name)),
            None => operations.next(),
        };
        runs.is_some_and(|(_, operation)| operation.node.ty == OperationType::Mutation)
    }

    fn prepare(&self, request: Request, context: RequestContext) -> Result<Request, Box<Response>> {
        if let Err(error) = parse_query(&request.query) {
            let mut response = rejection("GRAPHQL_PARSE_FAILED", error.to_string());
            response.errors[0].locations = error.positions().collect();
            return Err(Box::new(response));
        }
        let tasks = self.chat.tasks.clone();
        let loader = DataLoader::new(Batches::new(self.chat.clone()), move |load| {
            tasks.spawn(load);
        });
        Ok(request.data(loader).data(context))
    }
}
