//! Positions of the nodes of a normalized operation. A position is stored in `Pos::line` as a byte offset in the text of the
//! document, counted from 1; 0 means that the node has no position. Lines and columns are computed only for errors.

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

/// Converts a byte offset to a line and a column. Returns none for a node without a position.
pub(super) fn locate(position: Pos, text: &str) -> Option<Pos> {
    let before = text.get(..position.line.checked_sub(1)?)?;
    let line_start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let breaks = before.matches('\n').count()
        + before.split('\r').skip(1).filter(|rest| !rest.starts_with('\n')).count();
    Some(Pos { line: breaks + 1, column: before[line_start..].chars().count() + 1 })
}
