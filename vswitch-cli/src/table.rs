//! Tables for people: a header, aligned columns, no boxes.
//!
//! A cell that wants attention stands between two marks of no width until it is written
//! ([`crate::output`]): as colours on a terminal, or as nothing.

use comfy_table::{CellAlignment, ContentArrangement, Row, Table, presets};

/// Begins a cell in red. Invisible, and without width, as [`END`].
pub(crate) const ALERT: char = '\u{2061}';

/// Begins a cell in yellow.
pub(crate) const WARNING: char = '\u{2062}';

/// Ends a coloured cell.
pub(crate) const END: char = '\u{2063}';

/// A cell in red.
pub(crate) fn alert(cell: impl std::fmt::Display) -> String {
    format!("{ALERT}{cell}{END}")
}

/// A cell in yellow.
pub(crate) fn warning(cell: impl std::fmt::Display) -> String {
    format!("{WARNING}{cell}{END}")
}

/// How a column is aligned, with its heading.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column<'a> {
    /// Words.
    Text(&'a str),
    /// Numbers.
    Number(&'a str),
}

/// A table with its header; every line ends with `\n` and has no blanks at its end.
pub(crate) fn table<'a>(
    columns: impl AsRef<[Column<'a>]>,
    rows: impl IntoIterator<Item: IntoIterator<Item = String>>,
) -> String {
    let columns = columns.as_ref();
    let mut table = quiet();
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(heading) | Column::Number(heading) => *heading,
    }));
    table.add_rows(rows.into_iter().map(|row| Row::from(row.into_iter().map(clean))));
    for (index, column) in columns.iter().enumerate() {
        if let (Column::Number(_), Some(shown)) = (column, table.column_mut(index)) {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    finish(table)
}

/// Names and values, one pair a line.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = quiet();
    table.add_rows(
        pairs.into_iter().map(|(name, value)| Row::from([name.to_owned(), clean(value)])),
    );
    finish(table)
}

/// A list in one cell, or `-`.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

fn quiet() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}

/// A path may hold any byte: none of them shall reach the terminal as a command. The marks of colours are
/// no control characters.
fn clean(cell: String) -> String {
    if cell.chars().any(char::is_control) { cell.escape_default().to_string() } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let shown = table(
            [Column::Text("NAME"), Column::Number("RX"), Column::Text("NETNS")],
            [
                ["a".to_owned(), "5".to_owned(), "x".to_owned()],
                ["longer".to_owned(), "12.3k".to_owned(), "/run/netns/a".to_owned()],
            ],
        );
        assert_eq!(
            shown,
            "\
NAME       RX  NETNS
a           5  x
longer  12.3k  /run/netns/a
"
        );
    }

    #[test]
    fn an_empty_table_has_its_header() {
        assert_eq!(
            table([Column::Text("NAME"), Column::Number("RX")], Vec::<[String; 2]>::new()),
            "NAME  RX\n"
        );
    }

    #[test]
    fn pairs_line_up() {
        let shown = pairs([("version", "1".to_owned()), ("backend", "io_uring".to_owned())]);
        assert_eq!(shown, "version  1\nbackend  io_uring\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let shown = pairs([("netns", "/tmp/\x1b[2J\n".to_owned())]);
        assert_eq!(shown, "netns  /tmp/\\u{1b}[2J\\n\n");
    }

    #[test]
    fn colours_take_no_width() {
        let shown = table(
            [Column::Number("DROPS"), Column::Text("STATE")],
            [[alert(7), warning("pending")], ["12".to_owned(), "up".to_owned()]],
        );
        let plain: String =
            shown.chars().filter(|c| !matches!(*c, ALERT | WARNING | END)).collect();
        assert_eq!(plain, "DROPS  STATE\n    7  pending\n   12  up\n");
        assert!(shown.contains(&alert(7)), "{shown:?}");
    }

    #[test]
    fn lists() {
        assert_eq!(list(["a", "b"]), "a, b");
        assert_eq!(list::<&str>([]), "-");
    }
}
