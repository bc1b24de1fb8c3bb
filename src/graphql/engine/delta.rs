//! Serializes new text of a reply without async-graphql, because that is faster.
//!
//! Most events of subscriptions are `ReplyDelta`, and most subscriptions select only fields whose values the event itself holds.
//! Their responses are made from a template, in which at most four values differ between events. An operation's template is made
//! once.

use async_graphql::{
    ID, Name, Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection},
};

use super::{event::Delta, shape::TYPENAME};

/// The data of a response to an event with new text, as JSON in which the values of the event are still missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeltaTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// JSON that is the same in each response.
    Json(String),
    /// The version of the chatroom, which is the cursor of a `ChatroomEvent`.
    Version,
    /// The cursor of the `ReplyDelta`.
    Cursor,
    /// The new text.
    Text,
    /// The id of the reply.
    Reply,
}

type Selections = [Positioned<Selection>];

impl DeltaTemplate {
    /// Creates the template of a normalized subscription. Returns `None` if it selects a field whose value the event does not
    /// hold.
    pub(super) fn of(document: &ExecutableDocument) -> Option<Self> {
        let DocumentOperations::Single(operation) = &document.operations else { return None };
        let mut template = Self(Vec::new());
        template.push_object("Subscription", &operation.node.selection_set.node.items)?;
        Some(template)
    }

    /// Returns the data of the response to an event. Returns `None` if the template contains a version and the event has
    /// no version.
    pub(super) fn fill(&self, delta: &Delta<'_>) -> Option<Vec<u8>> {
        let mut json = Vec::with_capacity(256 + delta.text.len());
        for part in &self.0 {
            match part {
                Part::Json(text) => json.extend_from_slice(text.as_bytes()),
                Part::Version => serde_json::to_writer(&mut json, &delta.version?.to_string()).ok()?,
                Part::Cursor => serde_json::to_writer(&mut json, &delta.cursor.to_string()).ok()?,
                Part::Text => serde_json::to_writer(&mut json, delta.text).ok()?,
                Part::Reply => serde_json::to_writer(&mut json, &ID::from(delta.reply)).ok()?,
            }
        }
        Some(json)
    }

    fn push_json(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Part::Json(last)) => last.push_str(text),
            _ => self.0.push(Part::Json(text.to_owned())),
        }
    }

    /// Appends an object of this type with the selected fields. Returns `None` if the event does not hold the value of a
    /// field.
    fn push_object(&mut self, type_name: &str, items: &Selections) -> Option<()> {
        self.push_json("{");
        let mut separator = "";
        for item in items {
            let Selection::Field(Positioned { node: field, .. }) = &item.node else { return None };
            let key = field.alias.as_ref().unwrap_or(&field.name).node.as_str();
            // Normalization adds this field for `shape`; it is not part of the response.
            if key == TYPENAME {
                continue;
            }
            self.push_json(separator);
            self.push_json(&format!("\"{key}\":"));
            self.push_value(type_name, field)?;
            separator = ",";
        }
        self.push_json("}");
        Some(())
    }

    /// Appends the value of a field of this type.
    fn push_value(&mut self, type_name: &str, field: &Field) -> Option<()> {
        let items = &field.selection_set.node.items;
        match (type_name, field.name.node.as_str()) {
            (_, "__typename") => self.push_json(&format!("\"{type_name}\"")),
            ("Subscription", "replyStream") | ("ChatroomEvent", "change") => {
                self.push_object("ReplyDelta", fields_of_type(items, "ReplyDelta"))?;
            }
            ("Subscription", "chatroomEvents") => self.push_object("ChatroomEvent", items)?,
            ("ReplyDelta", "message") => self.push_object("Message", items)?,
            ("ChatroomEvent", "cursor") => self.0.push(Part::Version),
            ("ReplyDelta", "cursor") => self.0.push(Part::Cursor),
            ("ReplyDelta", "text") => self.0.push(Part::Text),
            ("Message", "id") => self.0.push(Part::Reply),
            _ => return None,
        }
        Some(())
    }
}

/// Returns those fields of a union's selection set that apply to the type `name`.
fn fields_of_type<'a>(items: &'a Selections, name: &str) -> &'a Selections {
    let fragment = items.iter().find_map(|item| match &item.node {
        Selection::InlineFragment(fragment) => {
            let condition = fragment.node.type_condition.as_ref()?;
            (condition.node.on.node == Name::new(name)).then_some(&fragment.node.selection_set.node.items)
        }
        _ => None,
    });
    fragment.map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use entity::MessageId;

    use super::*;
    use crate::{
        domain::replies::Cursor,
        graphql::engine::{
            document::{self, DocumentSchema},
            normalize::normalize,
            variables::Values,
        },
    };

    const SDL: &str = "
        type Query { id: ID }
        type Subscription { replyStream: ReplyEvent!, chatroomEvents: ChatroomEvent!, accountEvents: Int }
        type ChatroomEvent { cursor: String!, change: ChatroomChange! }
        union ReplyEvent = ReplyDelta | ReplyRestarted
        union ChatroomChange = ReplyDelta | ReplyRestarted
        type ReplyDelta { cursor: String!, text: String!, message: Message! }
        type ReplyRestarted { cursor: String!, message: Message! }
        type Message { id: ID!, status: String! }
    ";

    /// Returns the data of the response to an event with the text `a "b"` and a line feed, if the document has a template.
    fn response_data(document: &str, version: Option<i64>) -> Option<String> {
        let schema = DocumentSchema::new(SDL, true).unwrap();
        let document = schema.parse(document).unwrap();
        let operation = document::operation(&document, None).unwrap();
        let operation = normalize(&schema, &document, operation, &Values::new()).unwrap();
        let cursor = Cursor { attempt: 2, offset: 7 };
        let delta = Delta { version, reply: MessageId(uuid::Uuid::nil()), cursor, text: "a \"b\"\n" };
        operation.delta?.fill(&delta).map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn the_fields_of_a_filled_template_are_in_document_order() {
        assert_eq!(
            response_data(
                "subscription { replyStream { __typename ... on ReplyDelta { text cursor } } }",
                None
            )
            .unwrap(),
            r#"{"replyStream":{"__typename":"ReplyDelta","text":"a \"b\"\n","cursor":"2-7"}}"#
        );
        let document =
            "subscription { e: chatroomEvents { change { ...D kind: __typename } cursor __typename } }
            fragment D on ReplyDelta { message { id __typename } added: text }";
        assert_eq!(
            response_data(document, Some(41)).unwrap(),
            concat!(
                r#"{"e":{"change":{"message":{"id":"msg_00000000000000000000000000","__typename":"Message"},"#,
                r#""added":"a \"b\"\n","kind":"ReplyDelta"},"cursor":"41","__typename":"ChatroomEvent"}}"#
            )
        );
        assert_eq!(
            response_data("subscription { replyStream { ... on ReplyRestarted { cursor } } }", None).unwrap(),
            r#"{"replyStream":{}}"#
        );
    }

    #[test]
    fn a_subscription_that_selects_fields_outside_the_event_has_no_template() {
        for document in [
            "subscription { replyStream { ... on ReplyDelta { message { status } } } }",
            "subscription { accountEvents }",
            "{ id }",
        ] {
            assert_eq!(response_data(document, None), None, "{document}");
        }
    }
}
