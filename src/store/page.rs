//! Keyset pagination, in both directions.

/// The requested part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window<K> {
    pub after: Option<K>,
    pub before: Option<K>,
    pub limit: usize,
    /// Whether the page has the last rows of the list in this range rather than the first.
    pub backward: bool,
}

/// The rows in a [`Window`]. They are always in the order of the list, even if the query was backward.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Whether there are more rows beyond the page, in the direction of the query.
    pub more: bool,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), more: false }
    }
}

impl<K> Window<K> {
    /// The number of rows to fetch: one more than the page holds, to determine `more`.
    pub(super) fn fetched(&self) -> usize {
        self.limit + 1
    }

    /// Makes a page of the fetched rows, which are in the direction of the query and at most [`fetched`](Self::fetched).
    pub(super) fn page<T>(&self, mut rows: Vec<T>) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.backward {
            rows.reverse();
        }
        Page { items: rows, more }
    }
}
