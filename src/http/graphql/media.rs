//! Which media type an answer has: what the client accepts, among what can carry it.

use crate::http::headers::split_unquoted;

/// A form in which answers are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: the status says whether the operation was executed.
    GraphqlResponse,
    /// `application/json`: 200 for whatever could be read.
    Json,
    /// `text/event-stream`: [GraphQL over SSE](https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md), distinct
    /// connections mode.
    EventStream,
    /// `multipart/mixed;subscriptionSpec=1.0`:
    /// [Apollo's](https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol).
    Multipart,
}

impl Media {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
            Self::Multipart => "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0",
        }
    }

    /// How precisely a range names it; none: not at all. A range that names many stands for the one that every client
    /// reads.
    fn named_by(self, range: &Range<'_>, follows: bool) -> Option<u8> {
        let (exactly, loosely) = match self {
            Self::GraphqlResponse => ("application/graphql-response+json", None),
            Self::Json => ("application/json", Some("application/*")),
            Self::EventStream => ("text/event-stream", Some("text/*").filter(|_| follows)),
            Self::Multipart => ("multipart/mixed", None),
        };
        if range.name.eq_ignore_ascii_case(exactly) {
            return (self != Self::Multipart || range.follows).then_some(2);
        }
        let loosely = loosely?;
        match range.name {
            "*/*" => Some(0),
            name => name.eq_ignore_ascii_case(loosely).then_some(1),
        }
    }
}

/// One of the ranges of an Accept header.
struct Range<'a> {
    name: &'a str,
    /// In thousandths.
    quality: u16,
    /// Whether it says `subscriptionSpec=1.0`.
    follows: bool,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Self {
        let mut parts = split_unquoted(text, ';').map(str::trim);
        let mut range = Self { name: parts.next().unwrap_or_default(), quality: 1000, follows: false };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim_matches('"');
            if name.eq_ignore_ascii_case("q") {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
                let thousandths = (value.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16;
                range.quality = thousandths;
            } else if name.eq_ignore_ascii_case("subscriptionSpec") {
                range.follows = value == "1.0";
            }
        }
        range
    }
}

/// The best that the client accepts for an operation that `follows` what happens, or that is answered once.
pub(super) fn choose(accept: Option<&str>, follows: bool) -> Option<Media> {
    let candidates: &[Media] = if follows {
        &[Media::EventStream, Media::Multipart]
    } else {
        &[Media::GraphqlResponse, Media::Json, Media::EventStream, Media::Multipart]
    };
    let accept = accept.filter(|accept| !accept.trim().is_empty()).unwrap_or("*/*");
    let ranges: Vec<_> = split_unquoted(accept, ',').map(|range| Range::read(range.trim())).collect();
    let quality = |media: Media| {
        let named = ranges.iter().filter_map(|range| Some((media.named_by(range, follows)?, range.quality)));
        named.max().map_or(0, |(_, quality)| quality)
    };
    let best = candidates.iter().map(|&media| quality(media)).max().filter(|&best| best > 0)?;
    candidates.iter().copied().find(|&media| quality(media) == best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_what_is_accepted_is_chosen() {
        use Media::*;
        for (accept, once, live) in [
            (None, Some(Json), Some(EventStream)),
            (Some(""), Some(Json), Some(EventStream)),
            (Some("*/*"), Some(Json), Some(EventStream)),
            (Some("application/*"), Some(Json), None),
            (Some("application/json"), Some(Json), None),
            (Some("application/json; charset=utf-8"), Some(Json), None),
            (Some("APPLICATION/JSON"), Some(Json), None),
            (Some("application/graphql-response+json"), Some(GraphqlResponse), None),
            (Some("application/graphql-response+json, application/json;q=0.9"), Some(GraphqlResponse), None),
            (Some("application/json, application/graphql-response+json;q=0.5"), Some(Json), None),
            (Some("application/json;q=0, */*"), None, Some(EventStream)),
            (Some("text/event-stream"), Some(EventStream), Some(EventStream)),
            (Some("text/*"), None, Some(EventStream)),
            (Some("image/png"), None, None),
            (Some("application/json;q=x"), None, None),
            // What urql sends, and what Apollo Client sends to follow something, old and new.
            (
                Some(
                    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
                ),
                Some(GraphqlResponse),
                Some(EventStream),
            ),
            (
                Some("multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0,application/json"),
                Some(Json),
                Some(Multipart),
            ),
            (
                Some(
                    "multipart/mixed;boundary=graphql;subscriptionSpec=\"1.0\",application/graphql-response+json",
                ),
                Some(GraphqlResponse),
                Some(Multipart),
            ),
            (Some("multipart/mixed;boundary=\"a,b;c\""), None, None),
        ] {
            assert_eq!(choose(accept, false), once, "{accept:?}");
            assert_eq!(choose(accept, true), live, "{accept:?} to follow");
        }
    }
}
