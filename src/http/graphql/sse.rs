//! GraphQL over Server-Sent Events, in its
//! [distinct connections mode](https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md#distinct-connections-mode).
//! The `id` of an event is its cursor. A client that reconnects sends the last one as `Last-Event-ID`, and resumes after it.

use std::{fmt::Write, sync::Arc, time::Duration};

use async_graphql::Response;
use axum::body::Body;
use futures_util::{StreamExt, stream};

use super::live::{self, LiveEvent};
use crate::{
    graphql::{Prepared, RequestContext, SerializedResponse},
    http::api::Api,
    telemetry::metrics::Transport,
};

/// Shorter than the 30 s after which some proxies close idle connections.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(12);

pub(super) fn body(
    api: Arc<Api>,
    prepared: Result<Prepared, Box<Response>>,
    context: RequestContext,
) -> Body {
    let context = RequestContext { transport: Some(Transport::EventStream), ..context };
    let events = live::events(api, prepared, context, KEEP_ALIVE_INTERVAL).map(|event| match event {
        LiveEvent::Response(event) => {
            let mut text = String::from("event: next\n");
            if let Some(cursor) = event.cursor {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "id: {cursor}");
            }
            text.push_str("data: ");
            SerializedResponse(&event.response).append_to(text) + "\n\n"
        }
        LiveEvent::KeepAlive => ":\n\n".to_owned(),
        LiveEvent::Complete => "event: complete\ndata:\n\n".to_owned(),
        // Lines that begin with a colon are comments of the protocol. After these two, the response ends. A client whose response
        // ends without `complete` reconnects.
        LiveEvent::SignedOut => ": token expired\n\n".to_owned(),
        LiveEvent::Closing => ": the server shuts down\n\n".to_owned(),
    });
    // The body begins with a comment, so that the headers of the response are sent before there is an event.
    Body::from_stream(stream::once(async { ":\n\n".to_owned() }).chain(events).map(Ok::<_, std::io::Error>))
}
