//! The events of one operation, for transports whose response carries a single operation. The events are responses, keep-alives
//! between them, and a last event when the operation completes, the caller's session ends or the server shuts down.

use std::{sync::Arc, time::Duration};

use async_graphql::Response;
use async_stream::stream as generate;
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    graphql::{Event, Prepared, RequestContext},
    http::api::Api,
};

/// The maximum number of queued responses, at which the operation of a slow reader pauses. It is low because each response may
/// have the maximum size.
const QUEUE_LENGTH: usize = 1;
/// How long responses are still sent after the server has begun to close connections.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

pub(super) enum LiveEvent {
    Response(Box<Event>),
    /// There was no response for the interval of keep-alives.
    KeepAlive,
    /// The operation is complete.
    Complete,
    /// The access token has expired, or its session has ended.
    SignedOut,
    /// The server shuts down. The client is expected to reconnect to another node.
    Closing,
}

/// Runs the operation as a task, which ends when the stream is dropped. The stream ends after `Complete`, `SignedOut` or
/// `Closing`.
pub(super) fn events(
    api: Arc<Api>,
    prepared: Result<Prepared, Box<Response>>,
    context: RequestContext,
    keep_alive: Duration,
) -> impl Stream<Item = LiveEvent> + Send + 'static {
    generate! {
        let (sender, mut receiver) = mpsc::channel(QUEUE_LENGTH);
        let mut signed_out = api.wait_for_sign_out(&context.identity);
        let mut events = match prepared {
            Ok(prepared) => api.executor.stream(prepared, context).left_stream(),
            Err(rejection) => stream::iter([Box::new(Event::from(*rejection))]).right_stream(),
        };
        let _task = AbortOnDropHandle::new(api.life.tasks.spawn(async move {
            while let Some(event) = events.next().await {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        }));
        loop {
            // The order matters: no response is sent after the session has ended, and responses that are ready precede the
            // shutdown.
            let event = tokio::select! {
                biased;
                () = &mut signed_out => LiveEvent::SignedOut,
                received = receiver.recv() => match received {
                    Some(event) => LiveEvent::Response(event),
                    None => LiveEvent::Complete,
                },
                () = api.life.closing.cancelled() => break,
                () = tokio::time::sleep(keep_alive) => LiveEvent::KeepAlive,
            };
            let is_last = matches!(event, LiveEvent::Complete | LiveEvent::SignedOut);
            yield event;
            if is_last {
                return;
            }
        }
        let drain_until = Instant::now() + DRAIN_TIMEOUT;
        while let Ok(received) = timeout_at(drain_until, receiver.recv()).await {
            let Some(event) = received else {
                yield LiveEvent::Complete;
                return;
            };
            yield LiveEvent::Response(event);
        }
        yield LiveEvent::Closing;
    }
}
