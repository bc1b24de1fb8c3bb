//! What a document may ask for, found out in linear time and before anything else reads it.
//!
//! The text is counted first, so that what is parsed is short and flat. Then each fragment is weighed once, however often it
//! is spread: whatever walks the document afterwards, and follows every spread, walks a bounded way.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Response,
    parser::types::{Directive, ExecutableDocument, FragmentDefinition, Selection, SelectionSet},
};

use super::rejection;

/// Words and signs of a text.
const TOKENS: usize = 2000;
/// Brackets within brackets, of every kind.
const NESTING: usize = 64;
/// Fields within fields.
const DEPTH: usize = 12;
/// The same in questions about the schema itself, whose types stand within each other.
const INTROSPECTION_DEPTH: usize = 16;
/// Lists of a schema's parts within each other: each multiplies the answer.
const INTROSPECTION_LISTS: usize = 3;
/// Fields of an operation, those of a fragment wherever it is spread.
const FIELDS: usize = 2000;
/// Other names for the fields of one selection.
const ALIASES: usize = 30;
/// Directives in one place.
const DIRECTIVES: usize = 10;

/// Why a document is not executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is more than `max` of what `limit` names.
    TooMuch { limit: &'static str, max: usize },
    /// The fragment leads back to itself.
    Cycle(String),
}

use Refusal::TooMuch;

/// What is answered to a request that has more than `max` of what `limit` names.
#[must_use]
pub fn too_much(limit: &str, max: usize) -> Response {
    let message = format!("The request is past a limit: {limit}, of which at most {max} are allowed.");
    let mut response = rejection("QUERY_TOO_COMPLEX", message);
    let extensions = response.errors[0].extensions.get_or_insert_default();
    extensions.set("limit", limit);
    extensions.set("max", max);
    response
}

impl Refusal {
    pub(super) fn response(&self) -> Response {
        match self {
            TooMuch { limit, max } => too_much(limit, *max),
            Self::Cycle(name) => rejection(
                "GRAPHQL_VALIDATION_FAILED",
                format!("The fragment \"{name}\" is a part of itself."),
            ),
        }
    }
}

/// Counts a text without reading it.
///
/// # Errors
/// The first limit that it is past.
pub(super) fn check_text(text: &str) -> Result<(), Refusal> {
    let mut rest = text.as_bytes();
    let (mut tokens, mut nesting) = (0, 0_usize);
    while let Some((&first, after)) = rest.split_first() {
        let length = match first {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xEF | 0xBB | 0xBF => {
                rest = after;
                continue;
            }
            b'#' => {
                rest = &rest[while_in(rest, |byte| byte != b'\n' && byte != b'\r')..];
                continue;
            }
            b'"' => string(rest),
            b'{' | b'[' | b'(' => {
                nesting += 1;
                1
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                1
            }
            b'.' => while_in(rest, |byte| byte == b'.').min(3),
            _ => while_in(rest, |byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte)).max(1),
        };
        tokens += 1;
        if tokens > TOKENS {
            return Err(TooMuch { limit: "tokens", max: TOKENS });
        }
        if nesting > NESTING {
            return Err(TooMuch { limit: "nesting", max: NESTING });
        }
        rest = &rest[length..];
    }
    Ok(())
}

fn while_in(text: &[u8], is_in: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&byte| !is_in(byte)).unwrap_or(text.len())
}

/// The length of the string that the text begins with; of all of the text where it does not end.
fn string(text: &[u8]) -> usize {
    let quotes: &[u8] = if text.starts_with(br#"""""#) { br#"""""# } else { br#"""# };
    let mut at = quotes.len();
    while at < text.len() {
        if text[at..].starts_with(quotes) {
            return at + quotes.len();
        }
        at += match text[at] {
            b'\\' if text[at + 1..].starts_with(quotes) => 1 + quotes.len(),
            b'\\' if quotes.len() == 1 => 2,
            _ => 1,
        };
    }
    text.len()
}

/// Weighs a document's operations.
///
/// # Errors
/// The first limit that one of them is past.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), Refusal> {
    let mut scales = Scales { fragments: &document.fragments, weighed: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        few_directives(&operation.node.directives)?;
        let weight = scales.weigh(&operation.node.selection_set)?;
        within("aliases", weight.aliases, ALIASES)?;
        within("fields", weight.fields, FIELDS)?;
        within("depth", weight.depth, DEPTH)?;
    }
    Ok(())
}

fn within(limit: &'static str, count: usize, max: usize) -> Result<(), Refusal> {
    if count > max { Err(TooMuch { limit, max }) } else { Ok(()) }
}

fn few_directives(directives: &[Positioned<Directive>]) -> Result<(), Refusal> {
    within("directives", directives.len(), DIRECTIVES)
}

/// What a selection comes to with all that it spreads.
#[derive(Clone, Copy, Default)]
struct Weight {
    fields: usize,
    depth: usize,
    /// Of the selection itself, not of those within.
    aliases: usize,
    /// Lists of a schema's parts within each other.
    lists: usize,
}

impl Weight {
    fn beside(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            aliases: self.aliases.saturating_add(other.aliases),
            lists: self.lists.max(other.lists),
        }
    }
}

struct Scales<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// None while a fragment is being weighed.
    weighed: HashMap<&'a str, Option<Weight>>,
}

impl<'a> Scales<'a> {
    fn weigh(&mut self, set: &'a Positioned<SelectionSet>) -> Result<Weight, Refusal> {
        let mut sum = Weight::default();
        for selection in &set.node.items {
            few_directives(selection.node.directives())?;
            sum = sum.beside(match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    let within_it = self.weigh(&field.node.selection_set)?;
                    within("aliases", within_it.aliases, ALIASES)?;
                    let lists = ["fields", "inputFields", "interfaces", "possibleTypes"].contains(&name);
                    let mut weight = Weight {
                        fields: within_it.fields.saturating_add(1),
                        depth: within_it.depth + 1,
                        aliases: usize::from(field.node.alias.is_some()),
                        lists: within_it.lists + usize::from(lists),
                    };
                    if name == "__schema" || name == "__type" {
                        within("introspection depth", weight.depth, INTROSPECTION_DEPTH)?;
                        within("introspection lists", weight.lists, INTROSPECTION_LISTS)?;
                        weight.depth = 1;
                    }
                    weight
                }
                Selection::FragmentSpread(spread) => {
                    self.fragment(spread.node.fragment_name.node.as_str())?
                }
                Selection::InlineFragment(inline) => self.weigh(&inline.node.selection_set)?,
            });
        }
        Ok(sum)
    }

    /// One that does not exist weighs nothing: validation says so.
    fn fragment(&mut self, name: &str) -> Result<Weight, Refusal> {
        let Some((name, fragment)) = self.fragments.get_key_value(name) else { return Ok(Weight::default()) };
        match self.weighed.insert(name.as_str(), None) {
            Some(Some(weight)) => {
                self.weighed.insert(name.as_str(), Some(weight));
                return Ok(weight);
            }
            Some(None) => return Err(Refusal::Cycle(name.to_string())),
            None => {}
        }
        few_directives(&fragment.node.directives)?;
        let weight = self.weigh(&fragment.node.selection_set)?;
        self.weighed.insert(name.as_str(), Some(weight));
        Ok(weight)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use proptest::prelude::*;

    use super::*;

    fn checked(text: &str) -> Result<(), Refusal> {
        check_text(text)?;
        check(&parse_query(text).unwrap())
    }

    fn past(limit: &'static str, max: usize) -> Result<(), Refusal> {
        Err(TooMuch { limit, max })
    }

    #[test]
    fn tokens_are_counted_as_the_language_has_them() {
        let filled = |filler: &str, tokens: usize| format!("{{{}}}", filler.repeat(tokens));
        // Each filler is one token, and two are the braces.
        for filler in
            ["a ", "... ", "-1.5e+3,", "\"a \\\" b\"", "\"\"\" \" \\\"\"\" \"\"\"", "# { \n$", "\u{feff}!"]
        {
            assert_eq!(check_text(&filled(filler, TOKENS - 2)), Ok(()), "{filler}");
            assert_eq!(check_text(&filled(filler, TOKENS - 1)), past("tokens", TOKENS), "{filler}");
        }
        assert_eq!(check_text(&"[".repeat(NESTING)), Ok(()));
        assert_eq!(check_text(&"[".repeat(NESTING + 1)), past("nesting", NESTING));
        assert_eq!(check_text("{ a \"never ends"), Ok(()));
    }

    #[test]
    fn what_is_within_every_limit_passes() {
        let deep = format!("{}a{}", "{ a ".repeat(DEPTH - 1) + "{ ", "}".repeat(DEPTH));
        assert_eq!(checked(&deep), Ok(()));
        assert_eq!(checked(&format!("{{ a {deep} }}")), past("depth", DEPTH));
        let aliases = |count| (0..count).map(|n| format!("a{n}: a")).collect::<Vec<_>>().join(" ");
        assert_eq!(checked(&format!("{{ {} }}", aliases(ALIASES))), Ok(()));
        assert_eq!(checked(&format!("{{ {} }}", aliases(ALIASES + 1))), past("aliases", ALIASES));
        assert_eq!(checked(&format!("{{ x {{ {} }} }}", aliases(ALIASES + 1))), past("aliases", ALIASES));
        let apart =
            format!("{{ ...F ... {{ {} }} }} fragment F on Q {{ b: a {} }}", aliases(15), aliases(15));
        assert_eq!(checked(&apart), past("aliases", ALIASES));
        let directives = |count| format!("{{ a {} }}", "@include(if: true) ".repeat(count));
        assert_eq!(checked(&directives(DIRECTIVES)), Ok(()));
        assert_eq!(checked(&directives(DIRECTIVES + 1)), past("directives", DIRECTIVES));
    }

    #[test]
    fn a_fragment_counts_wherever_it_is_spread_and_is_weighed_once() {
        let nested = |count: usize| {
            let link = |n| format!("fragment F{n} on Q {{ ...F{0} ...F{0} }}", n + 1);
            let links = (0..count).map(link).collect::<Vec<_>>().join(" ");
            format!("{{ ...F0 }} {links} fragment F{count} on Q {{ a }}")
        };
        assert_eq!(checked(&nested(10)), Ok(()), "1024 fields");
        assert_eq!(checked(&nested(11)), past("fields", FIELDS));
        assert_eq!(checked(&nested(150)), past("fields", FIELDS), "a walk would never end");
        let cycle = "{ ...A } fragment A on Q { ...B } fragment B on Q { x { ...A } }";
        assert_eq!(checked(cycle), Err(Refusal::Cycle("A".to_owned())));
    }

    #[test]
    fn a_schema_is_asked_about_as_far_as_tools_do() {
        let of_type = "kind name ofType { ".repeat(9) + "kind" + &"}".repeat(9);
        let usual = format!("{{ __schema {{ types {{ fields {{ args {{ type {{ {of_type} }} }} }} }} }} }}");
        assert_eq!(checked(&usual), Ok(()));
        let circular = format!(
            "{{ __schema {{ types {} name {} }} }}",
            "{ fields { type ".repeat(4) + "{",
            "}".repeat(9)
        );
        assert_eq!(checked(&circular), past("introspection lists", INTROSPECTION_LISTS));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "[\\PC\"\\\\#{}\n.]{0,200}") {
            let _ = check_text(&text);
            if let Ok(document) = parse_query(&text) {
                let _ = check(&document);
            }
        }
    }
}
