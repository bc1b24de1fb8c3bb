//! The figures, printed as one Markdown table.

use std::fmt;

use crate::{installation::Storage, latencies::median};

#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

struct Figure {
    scenario: &'static str,
    name: String,
    unit: &'static str,
    /// The values of the rounds, for each [`Column`].
    columns: [Vec<f64>; Column::COUNT],
}

/// A column of the table that contains values.
#[derive(Clone, Copy)]
enum Column {
    Sqlite,
    Servers,
    Floor,
}

impl Column {
    const COUNT: usize = 3;
}

/// The part of the report that contains the figures of one scenario on one storage.
pub struct Section<'a> {
    report: &'a mut Report,
    scenario: &'static str,
    pub storage: Storage,
    /// The index at which a new figure is inserted: after the figure that was added last.
    next: usize,
}

impl Report {
    pub fn section(&mut self, scenario: &'static str, storage: Storage) -> Section<'_> {
        let next = self.figures.len();
        Section { report: self, scenario, storage, next }
    }
}

impl Section<'_> {
    /// Adds the value of one round. The table shows the median of the rounds.
    pub fn add(&mut self, name: &str, unit: &'static str, value: f64) {
        let column = match self.storage {
            Storage::Sqlite => Column::Sqlite,
            Storage::Servers => Column::Servers,
        };
        self.add_to(column, name, unit, value);
    }

    /// Adds the value of one round to the column `floor`, which contains the figures of the same load without Pollux.
    pub fn add_floor(&mut self, name: &str, unit: &'static str, value: f64) {
        self.add_to(Column::Floor, name, unit, value);
    }

    fn add_to(&mut self, column: Column, name: &str, unit: &'static str, value: f64) {
        let figures = &mut self.report.figures;
        let found = figures.iter().position(|figure| figure.scenario == self.scenario && figure.name == name);
        let index = found.unwrap_or_else(|| {
            let new =
                Figure { scenario: self.scenario, name: name.to_owned(), unit, columns: Default::default() };
            figures.insert(self.next, new);
            self.next
        });
        figures[index].columns[column as usize].push(value);
        self.next = index + 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| scenario | figure | unit | {} | {} | floor |",
            Storage::Sqlite.name(),
            Storage::Servers.name()
        )?;
        writeln!(f, "|---|---|---|--:|--:|--:|")?;
        let mut previous = "";
        for Figure { scenario, name, unit, columns } in &self.figures {
            let scenario_cell = if *scenario == previous { "" } else { scenario };
            previous = scenario;
            let [sqlite, servers, floor] = columns.each_ref().map(|values| format_median(values));
            writeln!(f, "| {scenario_cell} | {name} | {unit} | {sqlite} | {servers} | {floor} |")?;
        }
        Ok(())
    }
}

/// The median of the rounds, with at most two decimals. Empty if nothing was measured.
fn format_median(values: &[f64]) -> String {
    if values.is_empty() {
        return String::new();
    }
    let value = median(values);
    match value.abs() {
        size if size >= 1e3 => with_commas(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn with_commas(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
}
