//! A page of a list that is walked by keys, in either direction.

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window<K> {
    pub after: Option<K>,
    pub before: Option<K>,
    pub limit: usize,
    /// Take the last ones rather than the first.
    pub backward: bool,
}

/// What a query found in a [`Window`], in the list's order whichever way it was walked.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// There is more beyond the page, in the direction of the walk.
    pub more: bool,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), more: false }
    }
}

impl<K> Window<K> {
    /// One more than is shown tells whether there is more.
    pub(super) fn fetched(&self) -> usize {
        self.limit + 1
    }

    /// Makes a page of at most [`fetched`](Self::fetched) rows, given in the direction of the walk.
    pub(super) fn page<T>(&self, mut rows: Vec<T>) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.backward {
            rows.reverse();
        }
        Page { items: rows, more }
    }
}
