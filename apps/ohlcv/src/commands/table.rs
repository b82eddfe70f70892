//! Tables for people, in aligned columns.

use std::fmt::Write;

use anstyle::Style;

/// Between two columns.
const GAP: &str = "  ";

/// Columns as wide as their widest cell: numbers to the right, the rest to the left, titles as the
/// column below them.
///
/// Rows may come in parts, so that nobody has to hold them all: then a column is as wide as its widest
/// cell so far.
#[derive(Clone, Debug)]
pub(super) struct Columns<const COLUMNS: usize> {
    widths: [usize; COLUMNS],
    titles: Option<[&'static str; COLUMNS]>,
}

impl<const COLUMNS: usize> Columns<COLUMNS> {
    /// Columns with these titles, which stand above the first rows.
    pub(super) fn titled(titles: [&'static str; COLUMNS]) -> Self {
        Self { widths: titles.map(width), titles: Some(titles) }
    }

    /// The next rows, a line each.
    pub(super) fn lines(&mut self, rows: &[[String; COLUMNS]]) -> String {
        self.styled(rows, |_, _| Style::new())
    }

    /// The next rows, a line each; `style` says how the cell of a row in a column is shown.
    pub(super) fn styled(
        &mut self,
        rows: &[[String; COLUMNS]],
        style: impl Fn(&[String; COLUMNS], usize) -> Style,
    ) -> String {
        for row in rows {
            for (widest, cell) in self.widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        let mut text = String::new();
        if let Some(titles) = self.titles.take() {
            let is_of_numbers = |column: usize| rows.first().is_some_and(|row| is_number(&row[column]));
            let cells = (0..).zip(titles);
            self.push(&mut text, cells.map(|(column, title)| (title, is_of_numbers(column), Style::new())));
        }
        for row in rows {
            let cells = (0..).zip(row);
            let cells = cells.map(|(column, cell)| (cell.as_str(), is_number(cell), style(row, column)));
            self.push(&mut text, cells);
        }
        text
    }

    /// One line; no blanks at its end.
    fn push<'c>(&self, text: &mut String, cells: impl Iterator<Item = (&'c str, bool, Style)>) {
        let mut blanks = 0;
        for ((cell, to_the_right, style), widest) in cells.zip(self.widths) {
            let fill = widest - width(cell);
            if to_the_right {
                blanks += fill;
            }
            if !cell.is_empty() {
                // Writing to a text cannot fail.
                let _ = write!(text, "{:blanks$}{style}{cell}{style:#}", "");
                blanks = 0;
            }
            blanks += GAP.len() + if to_the_right { 0 } else { fill };
        }
        text.push('\n');
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn is_number(cell: &str) -> bool {
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["BTC", "7", "clean"], ["LINK", "1460", "failed: away"], ["NEW", "", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            Columns::titled(["asset", "stored", "outcome"]).lines(&rows),
            "asset  stored  outcome\nBTC         7  clean\nLINK     1460  failed: away\nNEW\n"
        );
    }

    #[test]
    fn titles_of_numbers_stand_above_their_last_digit() {
        let rows = [["75427.19000000".to_owned(), "filled".to_owned()]];
        assert_eq!(
            Columns::titled(["open", "note"]).lines(&rows),
            "          open  note\n75427.19000000  filled\n"
        );
    }

    #[test]
    fn rows_that_come_in_parts_have_titles_once_and_columns_that_only_grow() {
        let mut columns = Columns::titled(["n", ""]);
        let row = |n: &str| [[n.to_owned(), "x".to_owned()]];
        assert_eq!(columns.lines(&row("10")), " n\n10  x\n");
        assert_eq!(columns.lines(&row("9")), " 9  x\n");
        assert_eq!(columns.lines(&row("100")), "100  x\n");
        assert_eq!(columns.lines(&row("9")), "  9  x\n");
    }

    #[test]
    fn a_style_takes_no_room() {
        let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
        let rows = [["a".to_owned(), "b".to_owned()], ["aa".to_owned(), String::new()]];
        let style = |_: &[String; 2], column| if column == 0 { green } else { Style::new() };
        assert_eq!(
            Columns::titled(["", ""]).styled(&rows, style),
            "\n\u{1b}[32ma\u{1b}[0m   b\n\u{1b}[32maa\u{1b}[0m\n"
        );
    }
}
