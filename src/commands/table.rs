//! Prints results: as tables for people, or as JSON for scripts.

use serde::Serialize;
use serde_json::Value;

/// Prints a value: as JSON if `as_json` is set, otherwise a list of objects as a table, and one object as a list of its fields.
pub fn print(value: &impl Serialize, as_json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(value)?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        print!("{}", render(&value));
    }
    Ok(())
}

fn render(value: &Value) -> String {
    match value {
        Value::Array(rows) => render_table(rows),
        Value::Object(fields) => {
            let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or_default();
            let (lists, single): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, value)| value.is_array());
            let lines = single.iter().map(|(name, value)| format!("{name:width$}  {}\n", render_cell(value)));
            let tables = lists.iter().map(|(name, value)| format!("\n{name}\n{}", render(value)));
            lines.chain(tables).collect()
        }
        value => format!("{}\n", render_cell(value)),
    }
}

/// Renders objects as the rows of a table. The fields of the first object are the columns.
fn render_table(rows: &[Value]) -> String {
    let Some(Value::Object(first_row)) = rows.first() else { return "none\n".to_owned() };
    let names: Vec<&String> = first_row.keys().collect();
    let cells = |row: &Value| names.iter().map(|name| render_cell(&row[name.as_str()])).collect::<Vec<_>>();
    let mut lines = vec![names.iter().map(|name| (*name).clone()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(cells));
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let render_line = |line: &Vec<String>| {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(render_line).collect()
}

fn render_cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // Control characters are replaced, because a terminal would interpret them.
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_printed_as_a_table_and_an_object_as_a_list_of_its_fields() {
        let rows = json!([{"id": "job_1", "failures": 3}, {"id": "é", "failures": null}]);
        assert_eq!(render(&rows), "failures  id\n3         job_1\n-         é\n");
        assert_eq!(render(&json!([])), "none\n");
        let user = json!({"id": "user_1", "note": "a\u{1b}[31mb", "jobs": [{"kind": "reply"}]});
        assert_eq!(render(&user), "id    user_1\nnote  a [31mb\n\njobs\nkind\nreply\n");
    }
}
