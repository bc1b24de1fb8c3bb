//! Positions of a normalized operation: offsets in bytes in the text of its document, from one on. Lines and columns are counted
//! once an error needs them.

use apollo_compiler::parser::SourceSpan;
use async_graphql::{Pos, Positioned};

/// A node without a position in the document.
pub(super) fn nowhere<T>(node: T) -> Positioned<T> {
    Positioned::new(node, Pos::default())
}

/// A node and its position.
pub(super) fn at<T>(location: Option<SourceSpan>, node: T) -> Positioned<T> {
    Positioned::new(node, Pos { line: location.map_or(0, |span| span.offset() + 1), column: 0 })
}

/// The line and the column of a position in the text of its document; none for a node without one.
pub(super) fn locate(position: Pos, text: &str) -> Option<Pos> {
    let before = text.get(..position.line.checked_sub(1)?)?;
    let line_start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let breaks = before.matches('\n').count()
        + before.split('\r').skip(1).filter(|rest| !rest.starts_with('\n')).count();
    Some(Pos { line: breaks + 1, column: before[line_start..].chars().count() + 1 })
}
