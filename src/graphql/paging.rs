//! [Relay's connections](https://relay.dev/graphql/connections.htm): arguments in, a connection out.

use async_graphql::{OutputType, SimpleObject, connection::PageInfo};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use entity::Timestamp;

use super::types::{Chatroom, Message};
use crate::{
    error::{Error, Result},
    store::page::{Page, Window},
};

/// Items of a page that does not say how many.
pub(super) const DEFAULT_PAGE: i32 = 20;
pub(super) const LONGEST_PAGE: i32 = 100;

/// The four arguments of a connection.
pub(super) struct PageArgs {
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<String>,
}

impl PageArgs {
    /// # Errors
    /// [`Error::BadInput`] that names the argument and the limit.
    pub(super) fn window<K: Key>(self) -> Result<Window<K>> {
        let (field, asked) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(Error::bad_input("last", "first and last exclude each other.")),
            (None, Some(last)) => ("last", last),
            (first, None) => ("first", first.unwrap_or(DEFAULT_PAGE)),
        };
        if !(0..=LONGEST_PAGE).contains(&asked) {
            let message = format!("{field} must be 0 to {LONGEST_PAGE}; this is {asked}.");
            return Err(Error::bad_input(field, message));
        }
        let read = |field, cursor: Option<String>| {
            let key = |cursor: String| {
                K::read(&cursor).ok_or(Error::bad_input(field, format!("{field} is not a cursor.")))
            };
            cursor.map(key).transpose()
        };
        Ok(Window {
            after: read("after", self.after)?,
            before: read("before", self.before)?,
            limit: usize::try_from(asked).unwrap_or_default(),
            backward: self.last.is_some(),
        })
    }
}

/// Where an item stands in its list; clients see it as an opaque cursor.
pub(super) trait Key: Sized {
    fn write(&self) -> String;
    fn read(cursor: &str) -> Option<Self>;
}

impl Key for i32 {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_string())
    }

    fn read(cursor: &str) -> Option<Self> {
        String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?.parse().ok()
    }
}

impl Key for crate::store::chatrooms::Key {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {}", self.0.timestamp_micros(), self.1))
    }

    fn read(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (micros, id) = text.split_once(' ')?;
        let moment: Timestamp = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some((moment, id.parse().ok()?))
    }
}

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(
    concrete(name = "ChatroomConnection", params(Chatroom)),
    concrete(name = "MessageConnection", params(Message))
)]
pub struct Connection<T: OutputType>
where
    Edge<T>: OutputType,
{
    /// The items with their cursors.
    edges: Vec<Edge<T>>,
    /// The items.
    nodes: Vec<T>,
    /// What lies beyond the page.
    page_info: PageInfo,
}

/// An item and where it stands.
#[derive(SimpleObject)]
#[graphql(concrete(name = "ChatroomEdge", params(Chatroom)), concrete(name = "MessageEdge", params(Message)))]
pub struct Edge<T: OutputType> {
    /// To be handed to `after` or `before`.
    cursor: String,
    /// The item.
    node: T,
}

impl<T: OutputType + Clone> Connection<T>
where
    Edge<T>: OutputType,
{
    pub(super) fn new<K: Key, M>(
        page: Page<M>,
        window: &Window<K>,
        key: impl Fn(&M) -> K,
        node: impl Fn(M) -> T,
    ) -> Self {
        // The item at a cursor lies beyond the page that begins after it.
        let (has_previous_page, has_next_page) = if window.backward {
            (page.more, window.before.is_some())
        } else {
            (window.after.is_some(), page.more)
        };
        let edges: Vec<Edge<T>> = page
            .items
            .into_iter()
            .map(|item| Edge { cursor: key(&item).write(), node: node(item) })
            .collect();
        let cursor = |edge: Option<&Edge<T>>| edge.map(|edge| edge.cursor.clone());
        let page_info = PageInfo {
            has_previous_page,
            has_next_page,
            start_cursor: cursor(edges.first()),
            end_cursor: cursor(edges.last()),
        };
        Self { nodes: edges.iter().map(|edge| edge.node.clone()).collect(), edges, page_info }
    }
}
