//! Serializes new text of a reply without async-graphql.
//!
//! Most events of a subscription are `ReplyDelta`, and most subscriptions select only fields that the event itself holds. Their
//! response is a template with four gaps, which is made once for an operation.

use async_graphql::{
    ID, Name, Positioned,
    parser::types::{DocumentOperations, ExecutableDocument, Field, Selection},
};

use super::{event::Delta, shape::TYPENAME};

/// The data of the response to an event with new text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeltaTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// JSON that is the same in each response.
    Json(String),
    Version,
    Cursor,
    Text,
    Reply,
}

type Items = [Positioned<Selection>];

impl DeltaTemplate {
    /// The template of a normalized subscription. None if it selects a field that the event does not hold.
    pub(super) fn of(document: &ExecutableDocument) -> Option<Self> {
        let DocumentOperations::Single(operation) = &document.operations else { return None };
        let mut template = Self(Vec::new());
        template.object("Subscription", &operation.node.selection_set.node.items)?;
        Some(template)
    }

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

    fn json(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Part::Json(last)) => last.push_str(text),
            _ => self.0.push(Part::Json(text.to_owned())),
        }
    }

    fn object(&mut self, of: &str, items: &Items) -> Option<()> {
        self.json("{");
        let mut separator = "";
        for item in items {
            let Selection::Field(Positioned { node: field, .. }) = &item.node else { return None };
            let key = field.alias.as_ref().unwrap_or(&field.name).node.as_str();
            if key == TYPENAME {
                continue;
            }
            self.json(separator);
            self.json(&format!("\"{key}\":"));
            self.value(of, field)?;
            separator = ",";
        }
        self.json("}");
        Some(())
    }

    fn value(&mut self, of: &str, field: &Field) -> Option<()> {
        let items = &field.selection_set.node.items;
        match (of, field.name.node.as_str()) {
            (_, "__typename") => self.json(&format!("\"{of}\"")),
            ("Subscription", "replyStream") | ("ChatroomEvent", "change") => {
                self.object("ReplyDelta", of_type(items, "ReplyDelta"))?;
            }
            ("Subscription", "chatroomEvents") => self.object("ChatroomEvent", items)?,
            ("ReplyDelta", "message") => self.object("Message", items)?,
            ("ChatroomEvent", "cursor") => self.0.push(Part::Version),
            ("ReplyDelta", "cursor") => self.0.push(Part::Cursor),
            ("ReplyDelta", "text") => self.0.push(Part::Text),
            ("Message", "id") => self.0.push(Part::Reply),
            _ => return None,
        }
        Some(())
    }
}

/// The fields of a selection set on a union that apply to one of its types.
fn of_type<'a>(items: &'a Items, name: &str) -> &'a Items {
    let fragment = items.iter().find_map(|item| match &item.node {
        Selection::InlineFragment(fragment) => {
            let on = fragment.node.type_condition.as_ref()?;
            (on.node.on.node == Name::new(name)).then_some(&fragment.node.selection_set.node.items)
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

    fn data(text: &str, version: Option<i64>) -> Option<String> {
        let schema = DocumentSchema::new(SDL, true).unwrap();
        let document = schema.parse(text).unwrap();
        let operation = document::operation(&document, None).unwrap();
        let operation = normalize(&schema, &document, operation, &Values::new()).unwrap();
        let cursor = Cursor { attempt: 2, offset: 7 };
        let delta = Delta { version, reply: MessageId(uuid::Uuid::nil()), cursor, text: "a \"b\"\n" };
        operation.delta?.fill(&delta).map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn the_fields_of_the_event_are_in_document_order() {
        assert_eq!(
            data("subscription { replyStream { __typename ... on ReplyDelta { text cursor } } }", None)
                .unwrap(),
            r#"{"replyStream":{"__typename":"ReplyDelta","text":"a \"b\"\n","cursor":"2-7"}}"#
        );
        let document =
            "subscription { e: chatroomEvents { change { ...D kind: __typename } cursor __typename } }
            fragment D on ReplyDelta { message { id __typename } part: text }";
        assert_eq!(
            data(document, Some(41)).unwrap(),
            concat!(
                r#"{"e":{"change":{"message":{"id":"msg_00000000000000000000000000","__typename":"Message"},"#,
                r#""part":"a \"b\"\n","kind":"ReplyDelta"},"cursor":"41","__typename":"ChatroomEvent"}}"#
            )
        );
        assert_eq!(
            data("subscription { replyStream { ... on ReplyRestarted { cursor } } }", None).unwrap(),
            r#"{"replyStream":{}}"#
        );
    }

    #[test]
    fn a_selection_of_other_fields_has_no_template() {
        for text in [
            "subscription { replyStream { ... on ReplyDelta { message { status } } } }",
            "subscription { accountEvents }",
            "{ id }",
        ] {
            assert_eq!(data(text, None), None, "{text}");
        }
    }
}
