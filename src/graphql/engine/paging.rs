//! [Relay's connections](https://relay.dev/graphql/connections.htm): parses the arguments and builds connections.

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

/// The page size without `first` and `last`.
pub const DEFAULT_PAGE: i32 = 20;
/// The maximum page size.
pub const LONGEST_PAGE: i32 = 100;

/// The four arguments of a connection.
pub struct PageArgs {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

impl PageArgs {
    /// # Errors
    /// [`Error::BadInput`] that names the argument and the limit.
    pub fn window<K: Key>(self) -> Result<Window<K>> {
        let (field, size) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_input("last", "first and last must not be used together."));
            }
            (None, Some(last)) => ("last", last),
            (first, None) => ("first", first.unwrap_or(DEFAULT_PAGE)),
        };
        if !(0..=LONGEST_PAGE).contains(&size) {
            let message = format!("{field} must be 0 to {LONGEST_PAGE}; got {size}.");
            return Err(Error::bad_input(field, message));
        }
        let read = |field, cursor: Option<String>| {
            let key = |cursor: String| {
                K::read(&cursor)
                    .ok_or(Error::bad_input(field, format!("{field} must be a cursor of this list.")))
            };
            cursor.map(key).transpose()
        };
        Ok(Window {
            after: read("after", self.after)?,
            before: read("before", self.before)?,
            limit: usize::try_from(size).unwrap_or_default(),
            backward: self.last.is_some(),
        })
    }
}

/// The sort key of an item in its list; clients see it as an opaque cursor.
pub trait Key: Sized {
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
        URL_SAFE_NO_PAD.encode(format!("{} {} {}", self.0, self.1.timestamp_micros(), self.2))
    }

    fn read(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let mut parts = text.splitn(3, ' ');
        let rank = parts.next()?.parse().ok()?;
        let timestamp: Timestamp = DateTime::from_timestamp_micros(parts.next()?.parse().ok()?)?;
        Some((rank, timestamp, parts.next()?.parse().ok()?))
    }
}

impl Key for ResultKey {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{} {} {}", self.newest, self.score, self.message))
    }

    fn read(cursor: &str) -> Option<Self> {
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
    pub fn new<K: Key, M>(
        page: Page<M>,
        window: &Window<K>,
        key: impl Fn(&M) -> K,
        node: impl Fn(M) -> T,
    ) -> Self {
        // If the page begins after or ends before a cursor, the item at the cursor lies on that side of the page.
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
