//! An operation's responses as they come, for a transport that carries one operation: with signs of life between them, and
//! an end when the caller's session ends or the server closes.

use std::{sync::Arc, time::Duration};

use async_graphql::Response;
use async_stream::stream as told;
use futures_util::{Stream, StreamExt, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    graphql::{Prepared, RequestContext},
    http::Api,
};

/// Responses that wait for a slow reader before their operation waits, too. Each may be as long as any answer.
const QUEUE: usize = 1;
/// What was on its way when the server closes may still be said for so long.
const LAST_WORDS: Duration = Duration::from_millis(250);

pub(super) enum Event {
    /// With the cursor from which the next one is, where there is one.
    Response(Box<Response>, Option<String>),
    /// Nothing has come for a while.
    Silence,
    /// The operation is complete.
    Complete,
    /// The access token has expired, or its session has ended.
    SignedOut,
    /// The server closes: another goes on.
    Closing,
}

/// The operation runs at its own pace and ends when the stream is dropped. After an event that ends it there is none.
pub(super) fn events(
    api: Arc<Api>,
    prepared: Result<Prepared, Response>,
    context: RequestContext,
    silence: Duration,
) -> impl Stream<Item = Event> + Send + 'static {
    told! {
        let (say, mut said) = mpsc::channel(QUEUE);
        let place = context.place.clone();
        let signed_out = api.signed_out(&context.identity);
        tokio::pin!(signed_out);
        let mut responses = match prepared {
            Ok(prepared) => api.executor.stream(prepared, context).left_stream(),
            Err(refusal) => stream::iter([refusal]).right_stream(),
        };
        let _task = AbortOnDropHandle::new(api.life.tasks.spawn(async move {
            while let Some(response) = responses.next().await {
                if say.send((response, place.reached())).await.is_err() {
                    return;
                }
            }
        }));
        loop {
            let event = tokio::select! {
                biased;
                () = &mut signed_out => Event::SignedOut,
                said = said.recv() => match said {
                    Some((response, cursor)) => Event::Response(Box::new(response), cursor),
                    None => Event::Complete,
                },
                () = api.life.closing.cancelled() => break,
                () = tokio::time::sleep(silence) => Event::Silence,
            };
            let ends = matches!(event, Event::Complete | Event::SignedOut);
            yield event;
            if ends {
                return;
            }
        }
        let until = Instant::now() + LAST_WORDS;
        while let Ok(said) = timeout_at(until, said.recv()).await {
            let Some((response, cursor)) = said else {
                yield Event::Complete;
                return;
            };
            yield Event::Response(Box::new(response), cursor);
        }
        yield Event::Closing;
    }
}
