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
    executable::{Field, Operation as ParsedOperation, Selection, SelectionSet},
    schema::ExtendedType,
};
use async_graphql::{
    Name as NormalizedName, Positioned, Value as ConstValue,
    indexmap::IndexMap,
    parser::types::{
        DocumentOperations, ExecutableDocument as NormalizedDocument, Field as NormalizedField,
        InlineFragment, OperationDefinition, OperationType, Selection as NormalizedSelection,
        SelectionSet as NormalizedSelectionSet, TypeCondition,
    },
};
use async_graphql_value::Value;

use super::{
    arguments::contains_variable,
    delta::DeltaTemplate,
    document::{DocumentSchema, invalid_without_details, position},
    limits::{DepthMeter, Level, MAX_ALIASES, MAX_COMPLEXITY, MAX_FIELDS, Rejection, check_limit},
    paging::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE},
    positions::{with_position, without_position},
    shape::{FieldShape, Shape, TYPENAME},
    variables::Values,
};
use crate::error::RequestLimit;

/// The number of items that is assumed for a list without paging arguments.
const UNPAGED_LIST_ITEMS: usize = 100;

/// The assumed size of a field in a normalized operation, in bytes.
const FIELD_BYTES: usize = 512;

/// An operation that is ready to be executed.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) kind: OperationType,
    pub(super) document: NormalizedDocument,
    pub(super) shape: Arc<Shape>,
    /// Whether variables occur only in arguments of root fields. If so, the rest of the operation is the same for all variables.
    pub(super) has_constant_selection: bool,
    /// The template of the response to an event with new text, if the operation is a subscription to such events.
    pub(super) delta: Option<DeltaTemplate>,
    /// The approximate size, in bytes.
    pub(super) bytes: usize,
    /// The number of fields, as counted for [`MAX_COMPLEXITY`].
    pub(super) complexity: usize,
}

/// Normalizes an operation with the values of its variables.
///
/// # Errors
/// The operation exceeds a limit, uses introspection although it is not allowed, or has a directive whose variable is null.
pub(super) fn normalize(
    schema: &DocumentSchema,
    document: &ExecutableDocument,
    operation: &ParsedOperation,
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
    let (selection_set, shape, complexity) =
        normalizer.selection_set(&[&operation.selection_set], &root, Level::default())?;
    check_limit(RequestLimit::Complexity, complexity, MAX_COMPLEXITY)?;
    let kind = match operation.operation_type {
        apollo_compiler::ast::OperationType::Query => OperationType::Query,
        apollo_compiler::ast::OperationType::Mutation => OperationType::Mutation,
        apollo_compiler::ast::OperationType::Subscription => OperationType::Subscription,
    };
    let definition = OperationDefinition {
        ty: kind,
        variable_definitions: Vec::new(),
        directives: Vec::new(),
        selection_set: without_position(selection_set),
    };
    let operations = DocumentOperations::Single(without_position(definition));
    let document = NormalizedDocument { operations, fragments: HashMap::new() };
    let bytes = normalizer.visited * FIELD_BYTES + normalizer.argument_bytes;
    let delta = (kind == OperationType::Subscription).then(|| DeltaTemplate::of(&document)).flatten();
    let has_constant_selection = normalizer.has_constant_selection;
    let shape = Arc::new(shape);
    Ok(Operation { kind, document, shape, has_constant_selection, delta, bytes, complexity })
}

pub(super) struct Normalizer<'a> {
    schema: &'a DocumentSchema,
    document: &'a ExecutableDocument,
    pub(super) variables: &'a Values,
    has_constant_selection: bool,
    /// The number of fields and fragments visited so far.
    visited: usize,
    /// The size of the arguments so far, in bytes.
    pub(super) argument_bytes: usize,
}

/// The items of a normalized selection set.
type Selections = Vec<Positioned<NormalizedSelection>>;

/// The fields of a selection set by their response keys.
type FieldsByKey<'a> = IndexMap<&'a Name, Vec<&'a Node<Field>>>;

impl<'a> Normalizer<'a> {
    /// Merges selection sets on one type. Returns the result, its shape, and its cost: the number of fields that are resolved for
    /// one object of the type.
    fn selection_set(
        &mut self,
        sets: &[&'a SelectionSet],
        parent: &Name,
        level: Level,
    ) -> Result<(NormalizedSelectionSet, Shape, usize), Rejection> {
        let Some(possible_types) = self.schema.possible_types.get(parent) else {
            let (mut items, fields, cost) = self.object_fields(sets, parent, level)?;
            if items.is_empty() {
                // async-graphql would return null for an object of which no field is selected.
                items.push(without_position(NormalizedSelection::Field(without_position(typename()))));
            }
            return Ok((NormalizedSelectionSet { items }, Shape::Object(fields), cost));
        };
        let mut items = vec![without_position(NormalizedSelection::Field(without_position(typename())))];
        let mut types = HashMap::new();
        let mut highest_cost = 0;
        for object in possible_types {
            let (fields, shapes, cost) = self.object_fields(sets, object, level)?;
            highest_cost = highest_cost.max(cost);
            types.insert(object.to_string(), shapes);
            if !fields.is_empty() {
                let on = without_position(NormalizedName::new(object));
                let fragment = InlineFragment {
                    type_condition: Some(without_position(TypeCondition { on })),
                    directives: Vec::new(),
                    selection_set: without_position(NormalizedSelectionSet { items: fields }),
                };
                items.push(without_position(NormalizedSelection::InlineFragment(without_position(fragment))));
            }
        }
        Ok((NormalizedSelectionSet { items }, Shape::Abstract(types), highest_cost))
    }

    /// Merges the fields of selection sets on an object type. Returns them, their shapes, and the sum of their costs.
    fn object_fields(
        &mut self,
        sets: &[&'a SelectionSet],
        object: &Name,
        level: Level,
    ) -> Result<(Selections, Vec<FieldShape>, usize), Rejection> {
        let mut collected = FieldsByKey::default();
        let mut spread_fragments = HashSet::new();
        for set in sets {
            self.collect(set, object, &mut collected, &mut spread_fragments)?;
        }
        let aliases = collected.values().filter(|fields| fields[0].alias.is_some()).count();
        check_limit(RequestLimit::Aliases, aliases, MAX_ALIASES)?;
        let (mut items, mut shapes) =
            (Vec::with_capacity(collected.len()), Vec::with_capacity(collected.len()));
        let mut total_cost = 0_usize;
        for (key, fields) in collected {
            let (field, shape, cost) = self.merge_fields(key, &fields, object, level)?;
            total_cost = total_cost.saturating_add(cost);
            items.push(with_position(
                fields[0].location(),
                NormalizedSelection::Field(with_position(fields[0].location(), field)),
            ));
            shapes.push(shape);
        }
        Ok((items, shapes, total_cost))
    }

    /// [Collects](https://spec.graphql.org/draft/#CollectFields()) the fields that apply to an object type. A fragment that
    /// is in `spread_fragments` has been collected already and is skipped.
    fn collect(
        &mut self,
        set: &'a SelectionSet,
        object: &Name,
        fields: &mut FieldsByKey<'a>,
        spread_fragments: &mut HashSet<&'a Name>,
    ) -> Result<(), Rejection> {
        for selection in &set.selections {
            self.visited += 1;
            check_limit(RequestLimit::Fields, self.visited, MAX_FIELDS)?;
            if !self.is_included(selection.directives())? {
                continue;
            }
            match selection {
                Selection::Field(field) => fields.entry(field.response_key()).or_default().push(field),
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(|on| self.applies(on, object)) {
                        self.collect(&fragment.selection_set, object, fields, spread_fragments)?;
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if spread_fragments.insert(&spread.fragment_name)
                        && let Some(fragment) = self.document.fragments.get(&spread.fragment_name)
                        && self.applies(fragment.type_condition(), object)
                    {
                        self.collect(&fragment.selection_set, object, fields, spread_fragments)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a fragment with this type condition applies to an object type.
    fn applies(&self, condition: &Name, object: &Name) -> bool {
        condition == object || self.schema.schema.is_subtype(condition, object)
    }

    /// Whether `@skip` and `@include` include a selection.
    fn is_included(&mut self, directives: &DirectiveList) -> Result<bool, Rejection> {
        // The value of the argument `if` with which the directive includes the selection.
        for (name, including_value) in [("skip", false), ("include", true)] {
            let Some(argument) =
                directives.get(name).and_then(|found| found.specified_argument_by_name("if"))
            else {
                continue;
            };
            let value = match &**argument {
                Literal::Boolean(value) => *value,
                Literal::Variable(variable) => {
                    self.has_constant_selection = false;
                    let Some(ConstValue::Boolean(value)) = self.variables.get(variable.as_str()) else {
                        let problem = format!("must not be null: @{name} requires a value");
                        return Err(Rejection::Variable { path: variable.to_string(), problem });
                    };
                    *value
                }
                // Validation has rejected other values.
                _ => continue,
            };
            if value != including_value {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Merges fields that have the same response key into one field. Returns it, its shape, and its cost.
    fn merge_fields(
        &mut self,
        key: &Name,
        fields: &[&'a Node<Field>],
        parent: &Name,
        level: Level,
    ) -> Result<(NormalizedField, FieldShape, usize), Rejection> {
        // Validation has checked that all of them have the same name and arguments.
        let field = fields[0];
        let definition = &field.definition;
        let level = level.below(&field.name, |counts| {
            let mut meter = DepthMeter::new(self.document, counts);
            let depths = fields.iter().map(|field| meter.measure(&field.selection_set));
            depths.max().unwrap_or_default()
        })?;
        if level.introspection.is_some() && !self.schema.introspection {
            return Err(invalid_without_details(position(field.location(), &self.document.sources)));
        }
        let mut arguments = Vec::with_capacity(field.arguments.len());
        for argument in &field.arguments {
            self.has_constant_selection &= level.is_below_root_field() || !contains_variable(&argument.value);
            if let Some(value) = self.replace_variables(&argument.value)? {
                let name = with_position(argument.location(), NormalizedName::new(&argument.name));
                arguments.push((name, with_position(argument.value.location(), value)));
            }
        }
        let type_name = definition.ty.inner_named_type();
        let is_leaf = self.schema.schema.types.get(type_name).is_none_or(ExtendedType::is_leaf);
        let (selection_set, selection, cost) = if is_leaf {
            (NormalizedSelectionSet::default(), None, 1)
        } else {
            let sets: Vec<_> = fields.iter().map(|field| &field.selection_set).collect();
            let (selection_set, shape, cost) = self.selection_set(&sets, type_name, level)?;
            let items = self.max_items(field, parent, &arguments, level);
            (selection_set, Some(shape), cost.saturating_mul(items).saturating_add(1))
        };
        let alias = (key != &field.name).then(|| with_position(field.location(), NormalizedName::new(key)));
        let normalized = NormalizedField {
            alias,
            name: with_position(field.location(), NormalizedName::new(&field.name)),
            arguments,
            directives: Vec::new(),
            selection_set: without_position(selection_set),
        };
        let shape =
            FieldShape { key: NormalizedName::new(key), nullability: (&definition.ty).into(), selection };
        Ok((normalized, shape, cost))
    }

    /// The maximum number of objects that a field returns for one parent.
    fn max_items(
        &self,
        field: &Field,
        parent: &Name,
        arguments: &[(Positioned<NormalizedName>, Positioned<Value>)],
        level: Level,
    ) -> usize {
        if level.introspection.is_some() || self.is_connection(parent) || parent.ends_with("Edge") {
            // Introspection has its own limits. The page size of a connection counts at the field that returns the connection,
            // and not again for its `edges` and `nodes`. Lists in an edge are short, such as the highlights of a snippet.
            return 1;
        }
        let is_paged = |name: &&str| field.definition.argument_by_name(name).is_some();
        if !["first", "last"].iter().any(is_paged) {
            return if field.definition.ty.is_list() { UNPAGED_LIST_ITEMS } else { 1 };
        }
        let requested = arguments.iter().find_map(|(name, value)| match (name.node.as_str(), &value.node) {
            ("first" | "last", Value::Number(number)) => number.as_i64(),
            _ => None,
        });
        let page_size = requested.unwrap_or(DEFAULT_PAGE_SIZE.into()).clamp(1, MAX_PAGE_SIZE.into());
        usize::try_from(page_size).unwrap_or(1)
    }

    /// Whether a type is a [connection](https://relay.dev/graphql/connections.htm#sec-Connection-Types).
    fn is_connection(&self, name: &Name) -> bool {
        name.ends_with("Connection") && self.schema.schema.get_object(name).is_some()
    }
}

/// The selection of the name of the type, which only [`Shape`] reads.
fn typename() -> NormalizedField {
    NormalizedField {
        alias: Some(without_position(NormalizedName::new(TYPENAME))),
        name: without_position(NormalizedName::new("__typename")),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: without_position(NormalizedSelectionSet::default()),
    }
}
