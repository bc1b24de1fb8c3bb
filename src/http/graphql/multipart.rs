//! Multipart subscriptions, by
//! [Apollo's protocol](https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol). The
//! delimiter follows each part at once, so that clients process the part without waiting for the next one.

use std::{sync::Arc, time::Duration};

use async_graphql::Response;
use axum::body::Body;
use futures_util::{StreamExt, stream};

use super::live::{self, LiveEvent};
use crate::{
    graphql::{ErrorCode, Prepared, RequestContext, SerializedResponse, rejection},
    http::api::Api,
    telemetry::metrics::Transport,
};

/// The interval that the protocol specifies.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PART_HEAD: &str = "\r\ncontent-type: application/json\r\n\r\n";
const DELIMITER: &str = "\r\n--graphql";

pub(super) fn body(
    api: Arc<Api>,
    prepared: Result<Prepared, Box<Response>>,
    context: RequestContext,
) -> Body {
    let context = RequestContext { transport: Some(Transport::Multipart), ..context };
    let events = live::events(api, prepared, context, HEARTBEAT).map(|event| match event {
        LiveEvent::Response(event) => {
            let part = format!("{PART_HEAD}{{\"payload\":");
            SerializedResponse(&event.response).append_to(part) + "}" + DELIMITER
        }
        LiveEvent::KeepAlive => part("{}"),
        LiveEvent::Complete => "--\r\n".to_owned(),
        LiveEvent::SignedOut => last_part(ErrorCode::Unauthenticated, "token expired"),
        LiveEvent::Closing => last_part(ErrorCode::InternalServerError, "Service restart"),
    });
    let head = stream::once(async { DELIMITER.to_owned() });
    Body::from_stream(head.chain(events).map(Ok::<_, std::io::Error>))
}

fn part(json: &str) -> String {
    format!("{PART_HEAD}{json}{DELIMITER}")
}

/// The last part, with an error that concerns the connection and not the operation.
fn last_part(code: ErrorCode, message: &str) -> String {
    let errors = SerializedResponse(&rejection(code, message)).to_json();
    let errors = errors.strip_prefix('{').unwrap_or_default();
    part(&format!("{{\"payload\":null,{errors}")) + "--\r\n"
}
