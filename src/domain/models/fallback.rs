//! Generates a reply with the first candidate that is available.

use std::{collections::VecDeque, sync::PoisonError};

use async_stream::stream;
use entity::message::FailureCode;
use futures_util::{StreamExt, stream::BoxStream};

use super::{ConfiguredModel, Models};
use crate::{
    domain::billing::tiers::Tier,
    ports::model::{Chunk, ModelError, Prompt, Retry},
};

impl Models {
    /// Generates a reply or a title with the prompt's model. If that model is unavailable before it has sent any text, tries the
    /// other models that the tier may use, each at most once, in order, until one answers. Models of a provider that could
    /// not be reached are skipped, and so are models whose circuit breaker is open, unless the breakers of all candidates are
    /// open.
    #[must_use]
    pub fn generate(&self, prompt: Prompt, tier: Tier) -> BoxStream<'static, Result<Chunk, ModelError>> {
        let models = self.clone();
        let mut candidates = self.candidates(&prompt.model, tier);
        stream! {
            let mut reported_error: Option<ModelError> = None;
            let mut prompt = Some(prompt);
            while let Some(model) = models.take_next(&mut candidates, reported_error.is_none()) {
                // The last candidate gets the prompt itself, without a copy.
                let prompt_for_model = if candidates.is_empty() { prompt.take() } else { prompt.clone() };
                let Some(prompt) = prompt_for_model else { break };
                let mut chunks = model.provider.generate(Prompt { model: model.name.clone(), ..prompt });
                let mut has_answered = false;
                let error = loop {
                    match chunks.next().await {
                        None => return,
                        Some(Err(error)) if !has_answered => break error,
                        Some(chunk) => {
                            if !has_answered && matches!(chunk, Ok(Chunk::Text(_) | Chunk::End { .. })) {
                                has_answered = true;
                                model.record_success();
                            }
                            yield chunk;
                        }
                    }
                };
                if !matches!(error.code, FailureCode::ModelUnavailable | FailureCode::TimedOut) {
                    yield Err(error);
                    return;
                }
                models.record_failure(model, &error, &mut candidates);
                // If no model answers, the first error after which a retry may help is reported, otherwise the last one.
                if reported_error.as_ref().is_none_or(|earlier| earlier.retry == Retry::Never) {
                    reported_error = Some(error);
                }
            }
            if let Some(error) = reported_error {
                yield Err(error);
            }
        }
        .boxed()
    }

    /// The indices of the models that may write the reply, the requested one first.
    fn candidates(&self, requested: &str, tier: Tier) -> VecDeque<usize> {
        let allowed = (0..self.configured.len()).filter(|&index| self.configured[index].tier <= tier);
        let mut candidates: Vec<usize> = allowed.collect();
        candidates.sort_by_key(|&index| self.configured[index].name != requested);
        candidates.into()
    }

    /// Takes the next candidate whose breaker admits a call. If none does and no model has been tried yet, takes the first
    /// candidate.
    fn take_next(&self, candidates: &mut VecDeque<usize>, is_first_try: bool) -> Option<&ConfiguredModel> {
        let now = self.clock.now();
        let admitted = candidates.iter().position(|&index| self.configured[index].breaker().try_admit(now));
        let position = admitted.or((is_first_try && !candidates.is_empty()).then_some(0))?;
        for &skipped in candidates.iter().take(position) {
            let model = &self.configured[skipped];
            tracing::info!(
                model = model.name,
                provider = model.provider(),
                "model skipped: its circuit breaker is open"
            );
        }
        candidates.drain(..position);
        candidates.pop_front().map(|index| &self.configured[index])
    }

    /// Counts the failure against the model, or, if its provider could not be reached, against all models of the provider, which
    /// are then no longer candidates.
    fn record_failure(&self, failed: &ConfiguredModel, error: &ModelError, candidates: &mut VecDeque<usize>) {
        if error.is_unreachable {
            candidates.retain(|&index| !self.configured[index].has_same_provider(failed));
        }
        let now = self.clock.now();
        for model in self.configured.iter() {
            let has_failed =
                model.name == failed.name || error.is_unreachable && model.has_same_provider(failed);
            if has_failed && model.breaker().record_failure(now) {
                tracing::warn!(model = model.name, provider = model.provider(), "circuit breaker opened");
            }
        }
        tracing::warn!(
            model = failed.name,
            provider = failed.provider(),
            %error,
            next = candidates.front().map(|&index| self.configured[index].name.as_str()),
            "model unavailable"
        );
    }
}

impl ConfiguredModel {
    fn breaker(&self) -> std::sync::MutexGuard<'_, super::Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_success(&self) {
        if self.breaker().record_success() {
            tracing::info!(model = self.name, provider = self.provider(), "circuit breaker closed");
        }
    }
}
