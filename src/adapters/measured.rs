//! Adapters that wrap another adapter and record its metrics, so that neither the domain nor the wrapped adapter has to.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, Fuse},
};
use sea_orm::ActiveEnum;
use tokio::time::Instant;

use crate::{
    ports::{
        cache::Cache,
        model::{Chunk, LanguageModel, ModelError, Prompt, Tokens},
        otp_sender::{Delivery, DeliveryError, OtpMessage, OtpSender},
    },
    telemetry::{
        metrics::{EventCounter, HitCounter, ModelHandles, ModelMetrics},
        traces::{self, Span, SpanKind},
    },
};

/// Counts the calls of a provider's models, their chunks of text and their tokens.
pub struct MeasuredModel {
    model: Arc<dyn LanguageModel>,
    /// By name of the model.
    handles: HashMap<String, ModelHandles>,
    /// For models that the provider does not list.
    other_handles: ModelHandles,
}

impl MeasuredModel {
    #[must_use]
    pub fn new(model: Arc<dyn LanguageModel>, metrics: &ModelMetrics) -> Self {
        let handles = model.names().iter().map(|name| (name.clone(), metrics.of(name))).collect();
        Self { model, handles, other_handles: metrics.of("other") }
    }
}

impl LanguageModel for MeasuredModel {
    fn names(&self) -> &[String] {
        self.model.names()
    }

    fn provider(&self) -> &str {
        self.model.provider()
    }

    fn generate(&self, prompt: Prompt) -> BoxStream<'static, Result<Chunk, ModelError>> {
        let handles = self.handles.get(&prompt.model).unwrap_or(&self.other_handles).clone();
        Call {
            chunks: self.model.generate(prompt).fuse(),
            handles,
            started: Instant::now(),
            has_text: false,
            outcome: None,
            span: traces::span("model call", SpanKind::Client),
            tokens: Tokens::default(),
        }
        .boxed()
    }
}

/// A model call. Its outcome, duration and tokens are recorded when it is dropped.
struct Call {
    chunks: Fuse<BoxStream<'static, Result<Chunk, ModelError>>>,
    handles: ModelHandles,
    started: Instant,
    has_text: bool,
    /// None until the call has ended.
    outcome: Option<String>,
    span: Span,
    tokens: Tokens,
}

impl Stream for Call {
    type Item = Result<Chunk, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.chunks.poll_next_unpin(cx));
        match &chunk {
            Some(Ok(Chunk::Text(_))) => {
                self.handles.chunk();
                if !std::mem::replace(&mut self.has_text, true) {
                    let elapsed = self.started.elapsed();
                    self.handles.first_token(elapsed);
                    let mut until_first_text = traces::span("first text", SpanKind::Internal);
                    until_first_text.started_before(elapsed);
                }
            }
            Some(Ok(Chunk::Usage(usage))) => self.tokens = usage.tokens.unwrap_or(self.tokens),
            Some(Ok(Chunk::End { .. })) => self.outcome = Some("complete".to_owned()),
            Some(Err(error)) => self.outcome = Some(error.code.to_value()),
            None => {
                self.outcome.get_or_insert_with(|| "truncated".to_owned());
            }
        }
        Poll::Ready(chunk)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Tokens { prompt, output, thoughts } = self.tokens;
        let outcome = self.outcome.take().unwrap_or_else(|| "cancelled".to_owned());
        self.span.set("gen_ai.request.model", self.handles.model());
        if outcome != "complete" {
            self.span.fail(&outcome);
        }
        self.handles.ended(&outcome, self.started.elapsed(), [prompt, output, thoughts]);
    }
}

/// Counts the deliveries of one-time passwords.
pub struct MeasuredOtpSender {
    sender: Arc<dyn OtpSender>,
    channel: &'static str,
    deliveries: EventCounter,
}

impl MeasuredOtpSender {
    #[must_use]
    pub fn new(sender: Arc<dyn OtpSender>, channel: &'static str, deliveries: EventCounter) -> Self {
        Self { sender, channel, deliveries }
    }
}

#[async_trait]
impl OtpSender for MeasuredOtpSender {
    fn is_remote(&self) -> bool {
        self.sender.is_remote()
    }

    async fn send(&self, message: &OtpMessage) -> Result<Delivery, DeliveryError> {
        let delivered = self.sender.send(message).await;
        let result = match &delivered {
            Ok(_) => "sent",
            Err(DeliveryError::Rejected(_)) => "rejected",
            Err(DeliveryError::Failed(_)) => "failed",
        };
        self.deliveries.increment(self.channel, result);
        delivered
    }
}

/// Counts the hits and misses of a cache.
pub struct MeasuredCache<C> {
    cache: C,
    hits: HitCounter,
}

impl<C> MeasuredCache<C> {
    #[must_use]
    pub fn new(cache: C, hits: HitCounter) -> Self {
        Self { cache, hits }
    }
}

#[async_trait]
impl<C: Cache> Cache for MeasuredCache<C> {
    async fn get_or_load(
        &self,
        key: &str,
        load: BoxFuture<'_, anyhow::Result<Bytes>>,
    ) -> anyhow::Result<Bytes> {
        let is_loaded = AtomicBool::new(false);
        let load = async {
            is_loaded.store(true, Ordering::Relaxed);
            load.await
        };
        let value = self.cache.get_or_load(key, load.boxed()).await;
        self.hits.count(!is_loaded.load(Ordering::Relaxed));
        value
    }

    async fn version(&self, data: &str) -> Option<i64> {
        self.cache.version(data).await
    }

    async fn record_version(&self, data: &str, version: i64) {
        self.cache.record_version(data, version).await;
    }
}
