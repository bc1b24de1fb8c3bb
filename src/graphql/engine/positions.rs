//! Positions of the nodes of a normalized operation. `Pos::line` contains not a line but the byte offset of the node in the text
//! of the document, counted from 1; 0 means that the node has no position. Lines and columns are computed only for errors.

use apollo_compiler::parser::SourceSpan;
use async_graphql::{Pos, Positioned};

/// Wraps a node that has no position in the document.
pub(super) fn without_position<T>(node: T) -> Positioned<T> {
    Positioned::new(node, Pos::default())
}

/// Wraps a node with its position.
pub(super) fn with_position<T>(location: Option<SourceSpan>, node: T) -> Positioned<T> {
    Positioned::new(node, Pos { line: location.map_or(0, |span| span.offset() + 1), column: 0 })
}

/// Converts the position of a node to a line and a column. Returns `None` for a node without a position.
pub(super) fn locate(position: Pos, text: &str) -> Option<Pos> {
    let before = text.get(..position.line.checked_sub(1)?)?;
    let line_start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    // A carriage return that is followed by a line feed is part of one line break, which the line feed counts.
    let line_breaks = before.matches('\n').count()
        + before.split('\r').skip(1).filter(|rest| !rest.starts_with('\n')).count();
    Some(Pos { line: line_breaks + 1, column: before[line_start..].chars().count() + 1 })
}
