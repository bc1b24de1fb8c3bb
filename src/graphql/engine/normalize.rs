//! Normalizes an operation: inlines fragments, applies directives, merges fields, replaces variables and enforces the limits.
//!
//! In the result, a selection set on an object has each response key once, in document order. A selection set on an interface
//! or a union has one inline fragment for each possible object type. An argument or input field whose variable was omitted is
//! omitted.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use apollo_compiler::{
    ExecutableDocument, Name, Node,
    ast::{DirectiveList, Value as Literal},
    executable::{Field, Operation as Definition, Selection, SelectionSet},
    schema::ExtendedType,
};
use async_graphql::{
    Name as Key, Positioned, Value as Const,
    indexmap::IndexMap,
    parser::types::{
        DocumentOperations, ExecutableDocument as Normalized, Field as NormalizedField, InlineFragment,
        OperationDefinition, OperationType, Selection as NormalizedSelection, SelectionSet as Normal,
        TypeCondition,
    },
};
use async_graphql_value::Value;

use super::{
    arguments::has_variable,
    delta::DeltaTemplate,
    document::{DocumentSchema, does_not_fit, position},
    limits::{ALIASES, COMPLEXITY, DepthMeter, FIELDS, Level, Rejection, check_limit},
    paging::{DEFAULT_PAGE, LONGEST_PAGE},
    positions::{at, nowhere},
    shape::{FieldShape, Shape, TYPENAME},
    variables::Values,
};
use crate::error::RequestLimit;

/// The number of items that is assumed for a list without paging arguments.
const UNPAGED: usize = 100;

/// The assumed size of a field in a normalized operation, in bytes.
const FIELD_BYTES: usize = 512;

/// An operation that is ready to be executed.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) kind: OperationType,
    pub(super) document: Normalized,
    pub(super) shape: Arc<Shape>,
    /// Whether only arguments of root fields depend on variables.
    pub(super) has_constant_selection: bool,
    /// The response to an event with new text, if the operation is a subscription to such events.
    pub(super) delta: Option<DeltaTemplate>,
    /// The approximate size, in bytes.
    pub(super) bytes: usize,
    pub(super) complexity: usize,
}

/// # Errors
/// The operation exceeds a limit, uses introspection although it is not allowed, or has a directive whose variable is null.
pub(super) fn normalize(
    schema: &DocumentSchema,
    document: &ExecutableDocument,
    operation: &Definition,
    variables: &Values,
) -> Result<Operation, Rejection> {
    let mut normalizer = Normalizer {
        schema,
        document,
        variables,
        has_constant_selection: true,
        visited: 0,
        argument_bytes: 0,
    };
    let root = operation.selection_set.ty.clone();
    let (selection_set, shape, cost) =
        normalizer.selection_set(&[&operation.selection_set], &root, Level::default())?;
    check_limit(RequestLimit::Complexity, cost, COMPLEXITY)?;
    let kind = match operation.operation_type {
        apollo_compiler::ast::OperationType::Query => OperationType::Query,
        apollo_compiler::ast::OperationType::Mutation => OperationType::Mutation,
        apollo_compiler::ast::OperationType::Subscription => OperationType::Subscription,
    };
    let definition = OperationDefinition {
        ty: kind,
        variable_definitions: Vec::new(),
        directives: Vec::new(),
        selection_set: nowhere(selection_set),
    };
    let operations = DocumentOperations::Single(nowhere(definition));
    let document = Normalized { operations, fragments: HashMap::new() };
    let bytes = normalizer.visited * FIELD_BYTES + normalizer.argument_bytes;
    let delta = (kind == OperationType::Subscription).then(|| DeltaTemplate::of(&document)).flatten();
    let has_constant_selection = normalizer.has_constant_selection;
    let (shape, complexity) = (Arc::new(shape), cost);
    Ok(Operation { kind, document, shape, has_constant_selection, delta, bytes, complexity })
}

pub(super) struct Normalizer<'a> {
    schema: &'a DocumentSchema,
    document: &'a ExecutableDocument,
    pub(super) variables: &'a Values,
    has_constant_selection: bool,
    /// Fields and fragments visited so far.
    visited: usize,
    /// Bytes of the arguments so far.
    pub(super) argument_bytes: usize,
}

type Items = Vec<Positioned<NormalizedSelection>>;

/// The fields of a selection set by their response keys.
type Collected<'a> = IndexMap<&'a Name, Vec<&'a Node<Field>>>;

impl<'a> Normalizer<'a> {
    /// Merges selection sets on one type. Returns the result, its shape, and the cost of resolving one object of the type.
    fn selection_set(
        &mut self,
        sets: &[&'a SelectionSet],
        parent: &Name,
        level: Level,
    ) -> Result<(Normal, Shape, usize), Rejection> {
        let Some(possible) = self.schema.possible_types.get(parent) else {
            let (mut items, fields, cost) = self.object_fields(sets, parent, level)?;
            if items.is_empty() {
                // async-graphql would return null for an object of which no field is selected.
                items.push(nowhere(NormalizedSelection::Field(nowhere(typename()))));
            }
            return Ok((Normal { items }, Shape::Object(fields), cost));
        };
        let mut items = vec![nowhere(NormalizedSelection::Field(nowhere(typename())))];
        let mut types = HashMap::new();
        let mut highest_cost = 0;
        for object in possible {
            let (fields, shapes, cost) = self.object_fields(sets, object, level)?;
            highest_cost = highest_cost.max(cost);
            types.insert(object.to_string(), shapes);
            if !fields.is_empty() {
                let on = nowhere(Key::new(object));
                let fragment = InlineFragment {
                    type_condition: Some(nowhere(TypeCondition { on })),
                    directives: Vec::new(),
                    selection_set: nowhere(Normal { items: fields }),
                };
                items.push(nowhere(NormalizedSelection::InlineFragment(nowhere(fragment))));
            }
        }
        Ok((Normal { items }, Shape::Abstract(types), highest_cost))
    }

    /// Merges the fields of selection sets on an object type.
    fn object_fields(
        &mut self,
        sets: &[&'a SelectionSet],
        object: &Name,
        level: Level,
    ) -> Result<(Items, Vec<FieldShape>, usize), Rejection> {
        let mut collected = Collected::default();
        let mut spreads = HashSet::new();
        for set in sets {
            self.collect(set, object, &mut collected, &mut spreads)?;
        }
        let aliases = collected.values().filter(|fields| fields[0].alias.is_some()).count();
        check_limit(RequestLimit::Aliases, aliases, ALIASES)?;
        let (mut items, mut shapes) =
            (Vec::with_capacity(collected.len()), Vec::with_capacity(collected.len()));
        let mut sum = 0_usize;
        for (key, fields) in collected {
            let (field, shape, cost) = self.merge_fields(key, &fields, object, level)?;
            sum = sum.saturating_add(cost);
            items.push(at(fields[0].location(), NormalizedSelection::Field(at(fields[0].location(), field))));
            shapes.push(shape);
        }
        Ok((items, shapes, sum))
    }

    /// [Collects](https://spec.graphql.org/draft/#CollectFields()) the fields that apply to an object type.
    fn collect(
        &mut self,
        set: &'a SelectionSet,
        object: &Name,
        fields: &mut Collected<'a>,
        spreads: &mut HashSet<&'a Name>,
    ) -> Result<(), Rejection> {
        for selection in &set.selections {
            self.visited += 1;
            check_limit(RequestLimit::Fields, self.visited, FIELDS)?;
            if !self.is_included(selection.directives())? {
                continue;
            }
            match selection {
                Selection::Field(field) => fields.entry(field.response_key()).or_default().push(field),
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(|on| self.applies(on, object)) {
                        self.collect(&fragment.selection_set, object, fields, spreads)?;
                    }
                }
                Selection::FragmentSpread(named) => {
                    if spreads.insert(&named.fragment_name)
                        && let Some(fragment) = self.document.fragments.get(&named.fragment_name)
                        && self.applies(fragment.type_condition(), object)
                    {
                        self.collect(&fragment.selection_set, object, fields, spreads)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn applies(&self, condition: &Name, object: &Name) -> bool {
        condition == object || self.schema.schema.is_subtype(condition, object)
    }

    fn is_included(&mut self, directives: &DirectiveList) -> Result<bool, Rejection> {
        for (name, includes) in [("skip", false), ("include", true)] {
            let Some(condition) =
                directives.get(name).and_then(|found| found.specified_argument_by_name("if"))
            else {
                continue;
            };
            let holds = match &**condition {
                Literal::Boolean(value) => *value,
                Literal::Variable(variable) => {
                    self.has_constant_selection = false;
                    let Some(Const::Boolean(value)) = self.variables.get(variable.as_str()) else {
                        let problem = format!("must not be null: @{name} requires a value");
                        return Err(Rejection::Variable { path: variable.to_string(), problem });
                    };
                    *value
                }
                _ => continue,
            };
            if holds != includes {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Merges the fields that have one response key into one field.
    fn merge_fields(
        &mut self,
        key: &Name,
        fields: &[&'a Node<Field>],
        parent: &Name,
        level: Level,
    ) -> Result<(NormalizedField, FieldShape, usize), Rejection> {
        let field = fields[0];
        let definition = &field.definition;
        let level = level.below(&field.name, |counts| {
            let mut meter = DepthMeter::new(self.document, counts);
            let depths = fields.iter().map(|field| meter.measure(&field.selection_set));
            depths.max().unwrap_or_default()
        })?;
        if level.introspection.is_some() && !self.schema.introspection {
            return Err(does_not_fit(position(field.location(), &self.document.sources)));
        }
        let mut arguments = Vec::with_capacity(field.arguments.len());
        for argument in &field.arguments {
            self.has_constant_selection &= level.is_root() || !has_variable(&argument.value);
            if let Some(value) = self.replace_variables(&argument.value)? {
                let name = at(argument.location(), Key::new(&argument.name));
                arguments.push((name, at(argument.value.location(), value)));
            }
        }
        let of = definition.ty.inner_named_type();
        let is_leaf = self.schema.schema.types.get(of).is_none_or(ExtendedType::is_leaf);
        let (selection_set, selection, cost) = if is_leaf {
            (Normal::default(), None, 1)
        } else {
            let sets: Vec<_> = fields.iter().map(|field| &field.selection_set).collect();
            let (selection_set, shape, cost) = self.selection_set(&sets, of, level)?;
            let items = self.max_items(field, parent, &arguments, level);
            (selection_set, Some(shape), cost.saturating_mul(items).saturating_add(1))
        };
        let alias = (key != &field.name).then(|| at(field.location(), Key::new(key)));
        let normalized = NormalizedField {
            alias,
            name: at(field.location(), Key::new(&field.name)),
            arguments,
            directives: Vec::new(),
            selection_set: nowhere(selection_set),
        };
        let shape = FieldShape { key: Key::new(key), of: (&definition.ty).into(), selection };
        Ok((normalized, shape, cost))
    }

    /// The maximum number of objects that a field returns for one parent.
    fn max_items(
        &self,
        field: &Field,
        parent: &Name,
        arguments: &[(Positioned<Key>, Positioned<Value>)],
        level: Level,
    ) -> usize {
        if level.introspection.is_some() || self.is_connection(parent) || parent.ends_with("Edge") {
            // Introspection has its own limits; the page size of a connection counts at the field that returns the connection. A
            // list of an edge is short, such as the highlights of a snippet.
            return 1;
        }
        let is_paged = |name: &&str| field.definition.argument_by_name(name).is_some();
        if !["first", "last"].iter().any(is_paged) {
            return if field.definition.ty.is_list() { UNPAGED } else { 1 };
        }
        let requested = arguments.iter().find_map(|(name, value)| match (name.node.as_str(), &value.node) {
            ("first" | "last", Value::Number(number)) => number.as_i64(),
            _ => None,
        });
        let page = requested.unwrap_or(DEFAULT_PAGE.into()).clamp(1, LONGEST_PAGE.into());
        usize::try_from(page).unwrap_or(1)
    }

    /// Whether a type is a [connection](https://relay.dev/graphql/connections.htm#sec-Connection-Types).
    fn is_connection(&self, name: &Name) -> bool {
        name.ends_with("Connection") && self.schema.schema.get_object(name).is_some()
    }
}

/// Selects the name of the type, which only the response shape reads.
fn typename() -> NormalizedField {
    NormalizedField {
        alias: Some(nowhere(Key::new(TYPENAME))),
        name: nowhere(Key::new("__typename")),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: nowhere(Normal::default()),
    }
}
