//! Apollo's [multipart subscriptions](https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol).
//! Each part ends with the delimiter after it, so that it is read when it comes and not with the next one.

use std::{sync::Arc, time::Duration};

use async_graphql::Response;
use axum::body::Body;
use futures_util::{StreamExt, stream};

use super::live::{self, Event};
use crate::{
    graphql::{ErrorCode, Prepared, RequestContext, Wire, rejection},
    http::Api,
};

/// As often as the protocol asks for.
const HEARTBEAT: Duration = Duration::from_secs(5);
const DELIMITER: &str = "\r\n--graphql";

pub(super) fn body(api: Arc<Api>, prepared: Result<Prepared, Response>, context: RequestContext) -> Body {
    let events = live::events(api, prepared, context, HEARTBEAT).map(|event| match event {
        Event::Response(response, _) => part(&format!("{{\"payload\":{}}}", Wire(&response).to_json())),
        Event::Silence => part("{}"),
        Event::Complete => "--\r\n".to_owned(),
        Event::SignedOut => fatal(ErrorCode::Unauthenticated, "token expired"),
        Event::Closing => fatal(ErrorCode::InternalServerError, "Service restart"),
    });
    let head = stream::once(async { DELIMITER.to_owned() });
    Body::from_stream(head.chain(events).map(Ok::<_, std::io::Error>))
}

fn part(json: &str) -> String {
    format!("\r\ncontent-type: application/json\r\n\r\n{json}{DELIMITER}")
}

/// What goes wrong with the connection, and not with the operation.
fn fatal(code: ErrorCode, message: &str) -> String {
    let errors = Wire(&rejection(code, message)).to_json();
    let errors = errors.strip_prefix('{').unwrap_or_default();
    part(&format!("{{\"payload\":null,{errors}")) + "--\r\n"
}
