//! Tables on a plain terminal: columns as wide as their widest cell, numbers to the right, each cell fit to be shown.

use bantam_core::text;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// A table in the making: columns first, then rows.
#[derive(Default)]
pub struct Table {
    heads: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a table without columns.
    pub fn new() -> Table {
        Table::default()
    }

    /// Adds a column of words.
    pub fn text(mut self, head: &str) -> Table {
        self.heads.push((head.into(), false));
        self
    }

    /// Adds a column of numbers.
    pub fn number(mut self, head: &str) -> Table {
        self.heads.push((head.into(), true));
        self
    }

    /// Adds a row, a cell for every column.
    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heads.len(), "a cell for every column");
        self.rows.push(cells.into_iter().map(|cell| text::plain(&cell).into_owned()).collect());
    }

    /// Prints the heads and all rows.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let heads: Vec<&str> = self.heads.iter().map(|(h, _)| h.as_str()).collect();
        let widths: Vec<usize> = (0..heads.len())
            .map(|c| self.rows.iter().map(|r| r[c].width()).chain([heads[c].width()]).max().unwrap_or(0))
            .collect();
        self.line(&heads, &widths, out)?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            self.line(&cells, &widths, out)?;
        }
        Ok(())
    }

    fn line(&self, cells: &[&str], widths: &[usize], out: &mut dyn Write) -> io::Result<()> {
        let mut line = String::new();
        for ((cell, &width), (_, right)) in cells.iter().zip(widths).zip(&self.heads) {
            let gap = " ".repeat(width - cell.width());
            if *right {
                line += &format!("{gap}{cell}  ");
            } else {
                line += &format!("{cell}{gap}  ");
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_line_and_steers_no_terminal() {
        let mut table = Table::new().text("model").text("licence");
        table.row(vec!["acme/a\nb".into(), "mit\u{1b}]0;x\u{7}".into()]);
        let mut out = Vec::new();
        table.print(&mut out).expect("memory takes it");
        assert_eq!(String::from_utf8(out).expect("text"), "model     licence\nacme/a�b  mit�]0;x�\n");
    }

    #[test]
    fn numbers_stand_to_the_right_and_wide_signs_count() {
        let mut table = Table::new().text("variant").number("decode");
        table.row(vec!["bantam-l · Q4_K_M".into(), "9 tok/s".into()]);
        table.row(vec!["s".into(), "12,000 tok/s".into()]);
        let mut out = Vec::new();
        table.print(&mut out).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        let expected =
            "variant                  decode\nbantam-l · Q4_K_M       9 tok/s\ns                  12,000 tok/s\n";
        assert_eq!(text, expected);
    }
}
