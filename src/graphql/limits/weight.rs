//! What a document's operations come to: each fragment is weighed once, however often it is spread.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{Directive, ExecutableDocument, FragmentDefinition, Selection, SelectionSet},
};

use super::{Refusal, within};

/// Fields within fields.
const DEPTH: usize = 12;
/// The same in questions about the schema itself, whose types stand within each other.
const INTROSPECTION_DEPTH: usize = 16;
/// Lists of a schema's parts within each other: each multiplies the answer.
const INTROSPECTION_LISTS: usize = 3;
/// Fields and spreads of an operation, those of a fragment wherever it is spread.
const FIELDS: usize = 2000;
/// Other names for the fields of one selection.
const ALIASES: usize = 30;
/// Directives in one place.
const DIRECTIVES: usize = 10;

pub(super) fn check(document: &ExecutableDocument) -> Result<(), Refusal> {
    let mut scales = Scales { fragments: &document.fragments, weighed: HashMap::new() };
    for (_, operation) in document.operations.iter() {
        few_directives(&operation.node.directives)?;
        scales.weigh(&operation.node.selection_set)?.check()?;
    }
    // Those that nothing spreads are walked by validation, too. The others count where they are spread.
    for name in document.fragments.keys() {
        if !scales.weighed.contains_key(name.as_str()) {
            scales.fragment(name)?.check()?;
        }
    }
    Ok(())
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

    /// The same by way of a spread, which is a step of its own.
    fn spread(self) -> Self {
        Self { fields: self.fields.saturating_add(1), ..self }
    }

    fn check(self) -> Result<(), Refusal> {
        within("aliases", self.aliases, ALIASES)?;
        within("fields", self.fields, FIELDS)?;
        within("depth", self.depth, DEPTH)
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
                    self.fragment(spread.node.fragment_name.node.as_str())?.spread()
                }
                Selection::InlineFragment(inline) => self.weigh(&inline.node.selection_set)?.spread(),
            });
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &str) -> Result<Weight, Refusal> {
        let known = self.fragments.get_key_value(name);
        let (name, fragment) =
            known.ok_or_else(|| Refusal::Invalid(format!("Unknown fragment \"{name}\".")))?;
        match self.weighed.get(name.as_str()) {
            Some(Some(weight)) => return Ok(*weight),
            Some(None) => {
                return Err(Refusal::Invalid(format!("The fragment \"{name}\" is a part of itself.")));
            }
            None => {}
        }
        self.weighed.insert(name, None);
        few_directives(&fragment.node.directives)?;
        let weight = self.weigh(&fragment.node.selection_set)?;
        // What is past it in one place is so in all.
        within("fields", weight.fields, FIELDS)?;
        self.weighed.insert(name, Some(weight));
        Ok(weight)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn checked(text: &str) -> Result<(), Refusal> {
        check(&parse_query(text).unwrap())
    }

    fn past(limit: &'static str, max: usize) -> Result<(), Refusal> {
        Err(Refusal::TooMuch { limit, max })
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

    /// Fragments of which each spreads the next so often, and the last has this.
    fn nested(count: usize, times: usize, last: &str) -> String {
        let link = |n| format!("fragment F{n} on Q {{ {} }}", format!("...F{} ", n + 1).repeat(times));
        let links = (0..count).map(link).collect::<Vec<_>>().join(" ");
        format!("{{ ...F0 }} {links} {last}")
    }

    #[test]
    fn a_fragment_counts_wherever_it_is_spread_and_is_weighed_once() {
        let leaf = |count| format!("fragment F{count} on Q {{ a }}");
        assert_eq!(checked(&nested(9, 2, &leaf(9))), Ok(()), "1,535 steps");
        assert_eq!(checked(&nested(10, 2, &leaf(10))), past("fields", FIELDS));
        assert_eq!(checked(&nested(150, 2, &leaf(150))), past("fields", FIELDS), "a walk would never end");
        assert_eq!(checked(&nested(29, 29, &leaf(29))), past("fields", FIELDS));
        assert_eq!(
            checked(&format!("{{ a }} {}", &nested(29, 29, &leaf(29))[9..])),
            past("fields", FIELDS),
            "unused"
        );
        let invalid = |text: &str| matches!(checked(text), Err(Refusal::Invalid(_)));
        assert!(invalid(&nested(29, 29, "")), "the last is missing");
        assert!(invalid("{ ...A } fragment A on Q { ...B } fragment B on Q { x { ...A } }"));
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
}
