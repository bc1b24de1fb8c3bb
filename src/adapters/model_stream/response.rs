//! Reads a streamed response into chunks, with timeouts.

use std::time::Duration;

use async_stream::try_stream;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::{failure, sse::Decoder};
use crate::ports::model::{Chunk, ModelError, ModelUsage};

/// How long to wait for further text and token counts after a finish reason, if the response body stays open.
const AFTER_FINISH: Duration = Duration::from_secs(10);

/// How long to wait for the provider's next event.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Applies until an event contains the first text or thought. Each event before that restarts the time.
    pub first_token: Duration,
    /// Applies afterwards, between two events.
    pub between_chunks: Duration,
}

/// An answer that is being received in a provider's format.
pub trait Answer: Send + 'static {
    /// The usage reported so far.
    fn usage(&self) -> ModelUsage;

    /// Parses an object of the stream. After the finish reason, text and token counts may still follow; from then on, errors and
    /// malformed objects are ignored.
    fn read(&mut self, object: &str) -> Result<ReadResult, ModelError>;

    /// Whether the model has begun to write, be it text or thoughts.
    fn has_begun(&self) -> bool;

    /// Whether a finish reason was received, or the prompt was blocked.
    fn has_finish_reason(&self) -> bool;

    /// Whether the provider has marked the end of the stream, so that nothing follows.
    fn has_done_marker(&self) -> bool {
        false
    }

    /// The last chunks, or the reason why the answer failed. Called at the end of the stream.
    fn end(self) -> Result<Vec<Chunk>, ModelError>;
}

/// What one object of the stream contained.
#[derive(Debug, Default)]
pub struct ReadResult {
    pub chunks: Vec<Chunk>,
    /// Whether the object had text or a finish reason.
    pub is_progress: bool,
}

/// Opens a response and returns the stream of its chunks. `api` names the provider's API in the log.
pub fn chunks<A: Answer>(
    api: &'static str,
    open: impl Future<Output = Result<(Response, A), ModelError>> + Send + 'static,
    timeouts: Timeouts,
) -> BoxStream<'static, Result<Chunk, ModelError>> {
    let Timeouts { first_token, between_chunks } = timeouts;
    let chunks = try_stream! {
        let mut deadline = Instant::now() + first_token;
        let opened = timeout_at(deadline, open).await;
        let (response, mut answer) = opened.map_err(|_| failure::timed_out(api))??;
        let mut bytes = response.bytes_stream();
        let mut decoder = Decoder::default();
        yield Chunk::Usage(answer.usage());
        while !answer.has_done_marker() {
            let objects = match timeout_at(deadline, bytes.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(read))) => decoder.push(&read).map_err(|_| failure::truncated()),
                Ok(Some(Err(error))) => Err(failure::of_transport(api, &error)),
                Err(_) => Err(failure::timed_out(api)),
            };
            // After a finish reason the answer is complete, even if the connection breaks or times out.
            if objects.is_err() && answer.has_finish_reason() {
                break;
            }
            for object in objects? {
                let result = answer.read(&object)?;
                if result.is_progress && answer.has_finish_reason() {
                    deadline = Instant::now() + AFTER_FINISH;
                } else if !answer.has_finish_reason() {
                    let timeout = if answer.has_begun() { between_chunks } else { first_token };
                    deadline = Instant::now() + timeout;
                }
                for chunk in result.chunks {
                    yield chunk;
                }
            }
        }
        for object in decoder.finish() {
            for chunk in answer.read(&object)?.chunks {
                yield chunk;
            }
        }
        for chunk in answer.end()? {
            yield chunk;
        }
    };
    chunks.boxed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::{gemini::GeminiAnswer, openai::OpenAiAnswer};

    /// Reads the same event three times, and returns how many usage chunks each of the reads yields.
    fn usage_reports(mut answer: impl Answer, event: &str) -> Vec<usize> {
        let is_usage = |chunk: &Chunk| matches!(chunk, Chunk::Usage(_));
        (0..3).map(|_| answer.read(event).unwrap().chunks.into_iter().filter(is_usage).count()).collect()
    }

    #[test]
    fn an_unchanged_usage_is_not_reported_again() {
        let gemini = |event: &str| usage_reports(GeminiAnswer::new("gemini-a".to_owned()), event);
        assert_eq!(gemini(r#"{"candidates": [{"content": {"parts": [{"text": "a"}]}}]}"#), [0, 0, 0]);
        assert_eq!(gemini(r#"{"modelVersion": "gemini-a"}"#), [0, 0, 0]);
        assert_eq!(
            gemini(r#"{"modelVersion": "gemini-b", "usageMetadata": {"promptTokenCount": 7}}"#),
            [1, 0, 0]
        );
        let openai = |event: &str| usage_reports(OpenAiAnswer::new("gpt-a".to_owned()), event);
        assert_eq!(openai(r#"{"choices": [{"delta": {"content": "a"}}]}"#), [0, 0, 0]);
        assert_eq!(openai(r#"{"model": "gpt-a"}"#), [0, 0, 0]);
        assert_eq!(openai(r#"{"model": "gpt-b", "usage": {"prompt_tokens": 7}}"#), [1, 0, 0]);
    }

    /// Reads a stream that arrives in these parts. Returns the text, the last usage, and the finish reason or the error.
    fn read<'a>(
        mut answer: impl Answer,
        parts: impl Iterator<Item = &'a [u8]>,
    ) -> (String, ModelUsage, Result<String, ModelError>) {
        let (mut text, mut usage, mut decoder) = (String::new(), answer.usage(), Decoder::default());
        let mut reason = String::new();
        let mut add = |chunks: Vec<Chunk>| {
            for chunk in chunks {
                match chunk {
                    Chunk::Text(more) => text.push_str(&more),
                    Chunk::Usage(latest) => usage = latest,
                    Chunk::End { finish_reason } => reason = finish_reason,
                }
            }
        };
        let result = (|| {
            for part in parts {
                for object in decoder.push(part).unwrap() {
                    add(answer.read(&object)?.chunks);
                }
            }
            for object in decoder.finish() {
                add(answer.read(&object)?.chunks);
            }
            add(answer.end()?);
            Ok(())
        })();
        (text, usage, result.map(|()| reason))
    }

    /// Checks that a stream yields the same answer when it arrives as a whole, byte by byte, and split at these positions.
    fn check_splits<A: Answer>(
        new: impl Fn() -> A,
        frames: &[(String, &str)],
        cuts: &[prop::sample::Index],
    ) -> Result<(), TestCaseError> {
        let stream: String = frames.iter().flat_map(|(frame, end)| [frame.as_str(), end, end]).collect();
        let bytes = stream.as_bytes();
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let whole = read(new(), [bytes].into_iter());
        prop_assert_eq!(&read(new(), bytes.chunks(1)), &whole);
        prop_assert_eq!(&read(new(), cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]])), &whole);
        Ok(())
    }

    fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
        prop::collection::vec(any::<prop::sample::Index>(), 0..20)
    }

    fn frames(frame: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<(String, &'static str)>> {
        let end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n")];
        prop::collection::vec((frame, end), 1..12)
    }

    /// A JSON string, with characters of one to four bytes and with unpaired surrogates.
    const TEXT: &str = r#""([a-z \u{e9}\u{20ac}\u{1f600}]|\\ud83d|\\ude00){0,8}""#;

    fn openai_frame() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => TEXT.prop_map(|text| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{text}}}}}]}}")),
            1 => TEXT.prop_map(|text| format!("data: {{\"choices\":[{{\"delta\":{{\"reasoning_content\":{text}}}}}]}}")),
            1 => "(stop|length|content_filter|tool_calls)".prop_map(
                |reason| format!("data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"{reason}\"}}]}}")
            ),
            1 => (0..99, 0..99).prop_map(|(prompt, output)| format!(
                "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{prompt},\"completion_tokens\":{output}}}}}"
            )),
            1 => Just("data: [DONE]".to_owned()),
            1 => Just(": keep-alive".to_owned()),
            1 => Just("data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}".to_owned()),
            1 => Just("{\n  \"error\": {\n    \"code\": 429\n  }\n}".to_owned()),
            1 => Just("data: {\"choices\":".to_owned()),
        ]
    }

    fn gemini_frame() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => TEXT.prop_map(|text| format!("data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{text}}}]}}}}]}}")),
            1 => "(STOP|MAX_TOKENS|SAFETY)".prop_map(
                |reason| format!("data: {{\"candidates\":[{{\"finishReason\":\"{reason}\"}}]}}")
            ),
            1 => (0..99, 0..99).prop_map(|(prompt, output)| format!(
                "data: {{\"usageMetadata\":{{\"promptTokenCount\":{prompt},\"candidatesTokenCount\":{output}}}}}"
            )),
            1 => Just("[{\n  \"error\": {\n    \"code\": 503\n  }\n}\n]".to_owned()),
            1 => Just("data: {\"candidates\":".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_an_openai_stream_gives_the_same_answer(frames in frames(openai_frame()), cuts in cuts()) {
            check_splits(|| OpenAiAnswer::new("gpt-a".to_owned()), &frames, &cuts)?;
        }

        #[test]
        fn any_split_of_a_gemini_stream_gives_the_same_answer(frames in frames(gemini_frame()), cuts in cuts()) {
            check_splits(|| GeminiAnswer::new("model-a".to_owned()), &frames, &cuts)?;
        }
    }
}
