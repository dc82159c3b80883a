//! Listings that go out while they are read: an array of JSON with one row a line, or columns.
//!
//! Belongs here: commas, widths. Does not: which columns there are.

use serde::Serialize;
use serde_json::json;

use super::super::Terminal;

/// A row of a listing.
pub(in crate::cli) trait Line: Serialize {
    /// Above the columns.
    const HEADS: &'static [&'static str];
    /// One text per column.
    fn cells(&self) -> Vec<String>;
}

/// A listing that was begun.
pub(in crate::cli) struct Listing<'a, 't> {
    terminal: &'a mut Terminal<'t>,
    json: bool,
    /// The last row, which needs a comma if there is another one.
    held: Option<String>,
    is_first: bool,
}

impl<'a, 't> Listing<'a, 't> {
    pub(in crate::cli) const fn new(terminal: &'a mut Terminal<'t>, json: bool) -> Self {
        Self { terminal, json, held: None, is_first: true }
    }

    /// Further rows; columns are as wide as these need.
    pub(in crate::cli) fn rows<L: Line>(&mut self, rows: &[L]) {
        if self.json {
            for row in rows {
                self.row(json!(row).to_string());
            }
            return;
        }
        let cells: Vec<Vec<String>> =
            rows.iter().map(|row| row.cells().iter().map(|c| safe(c)).collect()).collect();
        let width = |at: usize, head: &str| {
            let widest = cells.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
            widest.unwrap_or_default().max(head.len())
        };
        let widths: Vec<_> = L::HEADS.iter().enumerate().map(|(at, head)| width(at, head)).collect();
        let heads: Vec<_> = L::HEADS.iter().map(|head| (*head).to_owned()).collect();
        if self.is_first && !cells.is_empty() {
            self.columns(&heads, &widths);
            self.is_first = false;
        }
        for row in &cells {
            self.columns(row, &widths);
        }
    }

    fn columns(&mut self, cells: &[String], widths: &[usize]) {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        self.terminal.line(padded.collect::<Vec<_>>().join("  ").trim_end());
    }

    fn row(&mut self, row: String) {
        match self.held.replace(row) {
            Some(before) => self.terminal.line(format_args!("{before},")),
            None => self.terminal.line("["),
        }
    }

    /// The end; without it, the JSON of a listing that broke off can't be taken for a whole one.
    pub(in crate::cli) fn end(self) {
        if !self.json {
            return;
        }
        match self.held {
            Some(last) => self.terminal.line(format_args!("{last}\n]")),
            None => self.terminal.line("[]"),
        }
    }
}

/// Texts come from users; none may steer the terminal.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row(&'static str, u32);

    impl Line for Row {
        const HEADS: &'static [&'static str] = &["NAME", "N"];
        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    fn listed(json: bool, pages: &[&[Row]]) -> String {
        let (mut out, mut err, mut input) = (Vec::new(), Vec::new(), std::io::empty());
        let mut terminal = Terminal { out: &mut out, err: &mut err, input: &mut input, is_person: false };
        let mut listing = Listing::new(&mut terminal, json);
        for page in pages {
            listing.rows(page);
        }
        listing.end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_of_all_pages_are_one_listing() {
        let pages: &[&[Row]] = &[&[Row("ada", 1), Row("b\u{1b}[2J", 2)], &[], &[Row("eve", 3)]];
        let json: serde_json::Value = serde_json::from_str(&listed(true, pages)).unwrap();
        assert_eq!(json, json!([["ada", 1], ["b\u{1b}[2J", 2], ["eve", 3]]));
        assert_eq!(listed(true, &[&[]]), "[]\n");
        let columns = listed(false, pages);
        assert_eq!(columns, "NAME        N\nada         1\nb\\u{1b}[2J  2\neve   3\n");
        assert_eq!(listed(false, &[&[]]), "");
    }
}
