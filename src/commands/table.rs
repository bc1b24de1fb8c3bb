//! Prints results: as tables for people, or as JSON for scripts.

use serde::Serialize;
use serde_json::Value;

/// Prints a value as JSON, or a list of objects as a table and one object as a list of its fields.
pub fn print(value: &impl Serialize, json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(value)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        print!("{}", render(&value));
    }
    Ok(())
}

fn render(value: &Value) -> String {
    match value {
        Value::Array(rows) => table(rows),
        Value::Object(fields) => {
            let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or_default();
            let (lists, single): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, value)| value.is_array());
            let lines = single.iter().map(|(name, value)| format!("{name:width$}  {}\n", cell(value)));
            let tables = lists.iter().map(|(name, value)| format!("\n{name}\n{}", render(value)));
            lines.chain(tables).collect()
        }
        other => format!("{}\n", cell(other)),
    }
}

fn table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else { return "none\n".to_owned() };
    let names: Vec<&String> = first.keys().collect();
    let cells = |row: &Value| names.iter().map(|name| cell(&row[name.as_str()])).collect::<Vec<_>>();
    let mut lines = vec![names.iter().map(|name| (*name).clone()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(cells));
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let print = |line: &Vec<String>| {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(print).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // A control character could change what the terminal shows.
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_become_columns_and_one_object_a_list() {
        let rows = json!([{"id": "job_1", "failures": 3}, {"id": "é", "failures": null}]);
        assert_eq!(render(&rows), "failures  id\n3         job_1\n-         é\n");
        assert_eq!(render(&json!([])), "none\n");
        let user = json!({"id": "user_1", "note": "a\u{1b}[31mb", "jobs": [{"kind": "reply"}]});
        assert_eq!(render(&user), "id    user_1\nnote  a [31mb\n\njobs\nkind\nreply\n");
    }
}
