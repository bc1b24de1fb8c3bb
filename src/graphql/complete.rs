//! Responses as the specification has them, where async-graphql 7 differs: an error in a field that cannot be null makes its
//! parent null ([propagation](https://spec.graphql.org/draft/#sec-Handling-Execution-Errors)) rather than leaving the field
//! out, fields come in the order in which they were asked for, and an object of which nothing was selected is `{}`.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_graphql::{
    Name, PathSegment, Response, ServerResult, Value,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo},
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

pub(super) struct Completeness;

impl ExtensionFactory for Completeness {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Nulls::default())
    }
}

/// The paths at which a value is null because something in it failed that cannot be.
#[derive(Default)]
struct Nulls(Mutex<HashSet<Vec<String>>>);

impl Nulls {
    fn paths(&self) -> MutexGuard<'_, HashSet<Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of this type at this path, or null where it has to be.
    fn apply(&self, value: Value, of: &str, path: &mut Vec<String>) -> Value {
        if self.paths().contains(path) {
            return Value::Null;
        }
        let (Value::List(items), Some(item)) = (&value, item_type(of)) else { return value };
        let mut applied = Vec::with_capacity(items.len());
        for (at, value) in items.iter().enumerate() {
            path.push(at.to_string());
            let value = self.apply(value.clone(), item, path);
            path.pop();
            if value == Value::Null && item.ends_with('!') {
                return Value::Null;
            }
            applied.push(value);
        }
        Value::List(applied)
    }
}

/// The type of a list's items: `[Room!]!` has `Room!`.
fn item_type(of: &str) -> Option<&str> {
    of.trim_end_matches('!').strip_prefix('[')?.strip_suffix(']')
}

#[async_trait::async_trait]
impl Extension for Nulls {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        // Each event of a subscription is executed by itself.
        self.paths().clear();
        let mut response = next.run(ctx, operation_name).await;
        if self.paths().contains(&Vec::new()) {
            response.data = Value::Null;
        }
        response
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let (of, node) = (info.return_type, *info.path_node);
        let resolved = next.run(ctx, info).await;
        let fails = |paths: &mut HashSet<Vec<String>>| {
            let mut parent = node.to_string_vec();
            parent.pop();
            paths.insert(parent);
        };
        let never_null = of.ends_with('!');
        match resolved {
            Err(error) => {
                if never_null {
                    fails(&mut self.paths());
                }
                Err(error)
            }
            Ok(value) => {
                let value = match value {
                    Some(Value::Null) | None if never_null => Value::Object(IndexMap::new()),
                    value => value.unwrap_or_default(),
                };
                if self.paths().is_empty() {
                    return Ok(Some(value));
                }
                let value = self.apply(value, of, &mut node.to_string_vec());
                if value == Value::Null && never_null {
                    fails(&mut self.paths());
                }
                Ok(Some(value))
            }
        }
    }
}

/// Puts the fields of a response into the order in which its operation asks for them, and null where one failed.
pub(super) fn put_in_order(response: &mut Response, document: &ExecutableDocument, operation: Option<&str>) {
    let mut operations = document.operations.iter();
    let asked = match operation {
        Some(wanted) => operations.find(|(name, _)| name.is_some_and(|name| name == wanted)),
        None => operations.next(),
    };
    let Some((_, asked)) = asked else { return };
    let failed = response.errors.iter().map(|error| error.path.iter().map(text).collect()).collect();
    let order = Order { document, failed };
    let data = std::mem::take(&mut response.data);
    response.data = order.of(data, &[&asked.node.selection_set.node], &mut Vec::new());
}

fn text(segment: &PathSegment) -> String {
    match segment {
        PathSegment::Field(name) => name.clone(),
        PathSegment::Index(at) => at.to_string(),
    }
}

struct Order<'a> {
    document: &'a ExecutableDocument,
    /// Where errors are.
    failed: BTreeSet<Vec<String>>,
}

impl<'a> Order<'a> {
    fn of(&self, value: Value, asked: &[&'a SelectionSet], path: &mut Vec<String>) -> Value {
        match value {
            Value::Object(mut fields) => {
                let mut ordered = IndexMap::with_capacity(fields.len());
                for (key, asked) in self.fields(asked) {
                    path.push(key.to_string());
                    if let Some(value) = fields.swap_remove(&key) {
                        ordered.insert(key, self.of(value, &asked, path));
                    } else if self.failed.contains(path) {
                        ordered.insert(key, Value::Null);
                    }
                    path.pop();
                }
                // Nothing is lost, even if it was not asked for.
                ordered.extend(fields);
                Value::Object(ordered)
            }
            Value::List(items) => {
                let items = items.into_iter().enumerate().map(|(at, item)| {
                    path.push(at.to_string());
                    let item = self.of(item, asked, path);
                    path.pop();
                    item
                });
                Value::List(items.collect())
            }
            value => value,
        }
    }

    /// The fields that these ask for, by the key under which each is answered, with what is asked of each. Whether a
    /// fragment applies shows in whether its fields are there.
    fn fields(&self, asked: &[&'a SelectionSet]) -> IndexMap<Name, Vec<&'a SelectionSet>> {
        let (mut fields, mut spread) = (IndexMap::new(), HashSet::new());
        for set in asked {
            self.collect(set, &mut fields, &mut spread);
        }
        fields
    }

    fn collect(
        &self,
        set: &'a SelectionSet,
        fields: &mut IndexMap<Name, Vec<&'a SelectionSet>>,
        spread: &mut HashSet<&'a Name>,
    ) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let key = field.node.response_key().node.clone();
                    fields.entry(key).or_default().push(&field.node.selection_set.node);
                }
                Selection::InlineFragment(fragment) => {
                    self.collect(&fragment.node.selection_set.node, fields, spread);
                }
                Selection::FragmentSpread(named) => {
                    let name = &named.node.fragment_name.node;
                    if spread.insert(name)
                        && let Some(fragment) = self.document.fragments.get(name)
                    {
                        self.collect(&fragment.node.selection_set.node, fields, spread);
                    }
                }
            }
        }
    }
}
