use std::{collections::HashMap, sync::Arc};

use async_graphql::{SimpleObject, connection::PageInfo};
use entity::{MessageId, message};

use super::Message;
use crate::{
    domain::search::{ResultKey, SearchQuery, Snippet},
    graphql::engine::paging::SortKey,
    store::page::{Page, Window},
};

/// A page of the messages that match a search, best match first.
#[derive(SimpleObject)]
pub struct SearchConnection {
    /// The messages of the page, each with its cursor and why it matches.
    edges: Vec<SearchEdge>,
    /// The messages of the page.
    nodes: Vec<Message>,
    /// Whether there are more matches before and after the page, and the cursors to continue with.
    page_info: PageInfo,
}

/// A message that matches a search.
#[derive(Clone, SimpleObject)]
pub struct SearchEdge {
    /// The opaque position of the message in the results. Pass it as `after`.
    cursor: String,
    /// The message.
    node: Message,
    /// The part of the message that matches best: at most 160 characters, with an ellipsis (…) where it was cut.
    snippet: String,
    /// The positions of the matching words in `snippet`, in ascending order: at most 20.
    highlights: Vec<TextRange>,
}

/// A part of a text, in UTF-16 code units as JavaScript counts them.
#[derive(Clone, Copy, SimpleObject)]
pub struct TextRange {
    /// The position of the first code unit.
    start: i32,
    /// The position after the last code unit.
    end: i32,
}

impl SearchConnection {
    /// Builds a page of results from the loaded messages. A message that was deleted after the search is left out.
    pub fn new(
        page: &Page<ResultKey>,
        window: &Window<ResultKey>,
        query: &SearchQuery,
        mut messages: HashMap<MessageId, Arc<message::Model>>,
    ) -> Self {
        let edge = |key: &ResultKey| {
            let message = messages.remove(&key.message)?;
            let Snippet { text, highlights } = Snippet::of(&message.content, query);
            let position = |units: usize| i32::try_from(units).unwrap_or(i32::MAX);
            let highlights = highlights
                .into_iter()
                .map(|range| TextRange { start: position(range.start), end: position(range.end) })
                .collect();
            Some(SearchEdge {
                cursor: key.to_cursor(),
                node: Message::shared(message),
                snippet: text,
                highlights,
            })
        };
        let edges: Vec<SearchEdge> = page.items.iter().filter_map(edge).collect();
        let page_info = PageInfo {
            has_previous_page: window.after.is_some(),
            has_next_page: page.more,
            start_cursor: page.items.first().map(SortKey::to_cursor),
            end_cursor: page.items.last().map(SortKey::to_cursor),
        };
        Self { nodes: edges.iter().map(|edge| edge.node.clone()).collect(), edges, page_info }
    }
}
