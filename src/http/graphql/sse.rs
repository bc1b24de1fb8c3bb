//! GraphQL over Server-Sent Events, in its
//! [distinct connections mode](https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md#distinct-connections-mode).
//! An event that has a cursor carries it as its id; a client that comes back with it as `Last-Event-ID` goes on from there.

use std::{fmt::Write, sync::Arc, time::Duration};

use async_graphql::Response;
use axum::body::Body;
use futures_util::{StreamExt, stream};

use super::live::{self, Event};
use crate::{
    graphql::{Prepared, RequestContext, Wire},
    http::Api,
};

/// Shorter than the half minute after which proxies cut what is silent.
const SILENCE: Duration = Duration::from_secs(12);

pub(super) fn body(api: Arc<Api>, prepared: Result<Prepared, Response>, context: RequestContext) -> Body {
    let events = live::events(api, prepared, context, SILENCE).map(|event| match event {
        Event::Response(response, cursor) => {
            let mut text = String::from("event: next\n");
            if let Some(cursor) = cursor {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "id: {cursor}");
            }
            let _ = write!(text, "data: {}\n\n", Wire(&response).to_json());
            text
        }
        Event::Silence => ":\n\n".to_owned(),
        Event::Complete => "event: complete\ndata:\n\n".to_owned(),
        // The end without `complete` tells the client to come back.
        Event::SignedOut => ": token expired\n\n".to_owned(),
        Event::Closing => ": the server closes\n\n".to_owned(),
    });
    // The head goes out with something behind it, before anything has happened.
    Body::from_stream(stream::once(async { ":\n\n".to_owned() }).chain(events).map(Ok::<_, std::io::Error>))
}
