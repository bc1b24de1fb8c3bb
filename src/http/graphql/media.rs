//! Content negotiation: selects the media type of a response from the Accept header.

use crate::http::headers::split_unquoted;

/// The media type of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/graphql-response+json`: the status shows whether the operation was executed.
    GraphqlResponse,
    /// `application/json`: the status is 200 for every request that could be parsed, except after an internal error.
    Json,
    /// `text/event-stream`: [GraphQL over SSE](https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md), in its distinct
    /// connections mode.
    EventStream,
    /// `multipart/mixed;subscriptionSpec=1.0`:
    /// [Apollo's protocol](https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol).
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

    /// How specifically a range of the Accept header matches this media type: 2 for the exact type, 1 for `type/*`, 0 for `*/*`.
    /// None if it does not match. Wildcards match only the most common media type: JSON, or Server-Sent Events for a
    /// subscription.
    fn specificity(self, range: &Range<'_>, is_subscription: bool) -> Option<u8> {
        let (exact, wildcard) = match self {
            Self::GraphqlResponse => ("application/graphql-response+json", None),
            Self::Json => ("application/json", Some("application/*")),
            Self::EventStream => ("text/event-stream", Some("text/*").filter(|_| is_subscription)),
            Self::Multipart => ("multipart/mixed", None),
        };
        if range.name.eq_ignore_ascii_case(exact) {
            return (self != Self::Multipart || range.is_subscription_spec).then_some(2);
        }
        let wildcard = wildcard?;
        match range.name {
            "*/*" => Some(0),
            name => name.eq_ignore_ascii_case(wildcard).then_some(1),
        }
    }
}

/// A media range of an Accept header.
struct Range<'a> {
    name: &'a str,
    /// The weight `q`, in thousandths.
    quality: u16,
    /// Whether it has the parameter `subscriptionSpec=1.0`.
    is_subscription_spec: bool,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = split_unquoted(text, ';').map(str::trim);
        let mut range =
            Self { name: parts.next().unwrap_or_default(), quality: 1000, is_subscription_spec: false };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim_matches('"');
            if name.eq_ignore_ascii_case("q") {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
                let thousandths = (value.parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16;
                range.quality = thousandths;
            } else if name.eq_ignore_ascii_case("subscriptionSpec") {
                range.is_subscription_spec = value == "1.0";
            }
        }
        range
    }
}

/// Of the media types that can carry the response, the one that the client prefers. None if the client accepts none of them.
pub(super) fn choose(accept: Option<&str>, is_subscription: bool) -> Option<Media> {
    let candidates: &[Media] = if is_subscription {
        &[Media::EventStream, Media::Multipart]
    } else {
        &[Media::GraphqlResponse, Media::Json, Media::EventStream, Media::Multipart]
    };
    let accept = accept.filter(|accept| !accept.trim().is_empty()).unwrap_or("*/*");
    let ranges: Vec<_> = split_unquoted(accept, ',').map(|range| Range::parse(range.trim())).collect();
    // If several ranges match a media type, the most specific one determines its quality.
    let quality = |media: Media| {
        let matching = ranges
            .iter()
            .filter_map(|range| Some((media.specificity(range, is_subscription)?, range.quality)));
        matching.max().map_or(0, |(_, quality)| quality)
    };
    let best = candidates.iter().map(|&media| quality(media)).max().filter(|&best| best > 0)?;
    candidates.iter().copied().find(|&media| quality(media) == best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accepted_media_type_with_the_highest_quality_is_selected() {
        use Media::*;
        for (accept, for_query, for_subscription) in [
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
            // The headers of urql, and of Apollo Client for subscriptions, in older and newer versions.
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
            assert_eq!(choose(accept, false), for_query, "{accept:?}");
            assert_eq!(choose(accept, true), for_subscription, "{accept:?} for a subscription");
        }
    }
}
