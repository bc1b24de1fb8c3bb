//! Parses the arguments of [Relay's connections](https://relay.dev/graphql/connections.htm), and builds connections from pages.

use std::borrow::Cow;

use async_graphql::{OutputType, SimpleObject, TypeName, connection::PageInfo};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::DateTime;
use entity::Timestamp;

use crate::{
    domain::search::ResultKey,
    error::{Error, Result},
    store::page::{Page, Window},
};

/// The page size if the arguments contain neither `first` nor `last`.
pub const DEFAULT_PAGE_SIZE: i32 = 20;
/// The maximum page size.
pub const MAX_PAGE_SIZE: i32 = 100;

/// The four arguments of a connection.
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

impl PageArgs {
    /// Parses the arguments.
    ///
    /// # Errors
    /// [`Error::BadInput`] with the name of the invalid argument and what is allowed.
    pub fn window<K: SortKey>(self) -> Result<Window<K>> {
        let (field, size) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_input("last", "first and last must not be used together."));
            }
            (None, Some(last)) => ("last", last),
            (first, None) => ("first", first.unwrap_or(DEFAULT_PAGE_SIZE)),
        };
        if !(0..=MAX_PAGE_SIZE).contains(&size) {
            let message = format!("{field} must be 0 to {MAX_PAGE_SIZE}; got {size}.");
            return Err(Error::bad_input(field, message));
        }
        let parse_cursor = |field, cursor: Option<String>| {
            let parse = |cursor: String| {
                K::from_cursor(&cursor)
                    .ok_or(Error::bad_input(field, format!("{field} must be a cursor of this list.")))
            };
            cursor.map(parse).transpose()
        };
        Ok(Window {
            after: parse_cursor("after", self.after)?,
            before: parse_cursor("before", self.before)?,
            limit: usize::try_from(size).unwrap_or_default(),
            backward: self.last.is_some(),
        })
    }
}

/// The sort key of an item in its list. For clients it is encoded as a cursor, which is opaque to them.
pub trait SortKey: Sized {
    fn to_cursor(&self) -> String;

    /// Returns `None` if the cursor is malformed.
    fn from_cursor(cursor: &str) -> Option<Self>;
}

impl SortKey for i32 {
    fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_string())
    }

    fn from_cursor(cursor: &str) -> Option<Self> {
        String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?.parse().ok()
    }
}

impl SortKey for crate::store::chatrooms::Key {
    fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {} {}", self.0, self.1.timestamp_micros(), self.2))
    }

    fn from_cursor(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut parts = text.splitn(3, ' ');
        let rank = parts.next()?.parse().ok()?;
        let timestamp: Timestamp = DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?;
        Some((rank, timestamp, parts.next()?.parse().ok()?))
    }
}

impl SortKey for ResultKey {
    fn to_cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {} {}", self.newest, self.score, self.message))
    }

    fn from_cursor(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut parts = text.splitn(3, ' ');
        let (newest, score) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { newest, score, message: parts.next()?.parse().ok()? })
    }
}

impl<T: OutputType> TypeName for Connection<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Connection", T::type_name()).into()
    }
}

impl<T: OutputType> TypeName for Edge<T> {
    fn type_name() -> Cow<'static, str> {
        format!("{}Edge", T::type_name()).into()
    }
}

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(name_type)]
pub struct Connection<T: OutputType> {
    /// The items of the page, each with its cursor.
    pub edges: Vec<Edge<T>>,
    /// The items of the page, without cursors.
    pub nodes: Vec<T>,
    /// Whether there are more items before and after the page, and the cursors to continue with.
    pub page_info: PageInfo,
}

/// An item of a page and its cursor.
#[derive(SimpleObject)]
#[graphql(name_type)]
pub struct Edge<T: OutputType> {
    /// The opaque position of the item in the list. Pass it as `after` or `before`.
    cursor: String,
    /// The item.
    node: T,
}

impl<T: OutputType + Clone> Connection<T> {
    pub fn new<K: SortKey, M>(
        page: Page<M>,
        window: &Window<K>,
        key: impl Fn(&M) -> K,
        node: impl Fn(M) -> T,
    ) -> Self {
        // `page.more` states whether there are more items in the direction of the query. In the other direction, there are more
        // if the client gave a cursor: at least the item at the cursor.
        let (has_previous_page, has_next_page) = if window.backward {
            (page.more, window.before.is_some())
        } else {
            (window.after.is_some(), page.more)
        };
        let edges: Vec<Edge<T>> = page
            .items
            .into_iter()
            .map(|item| Edge { cursor: key(&item).to_cursor(), node: node(item) })
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
