//! A column of a list: its heading, its cells, and how it sorts.

use std::cmp::Ordering;

use super::natural::natural;
use crate::table::Column;

/// A column of rows of type `T`.
pub(crate) struct Field<T> {
    head: &'static str,
    is_wide: bool,
    value: Value<T>,
    narrow: Option<fn(&T) -> String>,
}

/// The values of a column.
enum Value<T> {
    /// Text, in natural order.
    Text(fn(&T) -> String),
    /// A number, and how it is shown.
    Number(fn(&T) -> u64, fn(u64) -> String),
}

impl<T> std::fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.head)
    }
}

impl<T> Field<T> {
    /// A column of text.
    pub(crate) const fn text(head: &'static str, cell: fn(&T) -> String) -> Self {
        Self { head, is_wide: false, value: Value::Text(cell), narrow: None }
    }

    /// A column of numbers.
    pub(crate) const fn number(
        head: &'static str,
        value: fn(&T) -> u64,
        shown: fn(u64) -> String,
    ) -> Self {
        Self { head, is_wide: false, value: Value::Number(value, shown), narrow: None }
    }

    /// The same, shown only by `-o wide` or by its name.
    pub(crate) const fn wide(mut self) -> Self {
        self.is_wide = true;
        self
    }

    /// The same with a shorter cell in the default table.
    pub(crate) const fn short(mut self, cell: fn(&T) -> String) -> Self {
        self.narrow = Some(cell);
        self
    }

    /// Whether the default table leaves it out.
    pub(super) const fn is_wide(&self) -> bool {
        self.is_wide
    }

    /// The heading as people type it: `rx-frames` for `RX FRAMES`.
    pub(crate) fn word(&self) -> String {
        self.head.to_ascii_lowercase().replace(' ', "-")
    }

    pub(super) fn column(&self) -> Column<'static> {
        match self.value {
            Value::Text(_) => Column::Text(self.head),
            Value::Number(..) => Column::Number(self.head),
        }
    }

    pub(super) fn cell(&self, row: &T, is_narrow: bool) -> String {
        match (&self.value, self.narrow) {
            (_, Some(narrow)) if is_narrow => narrow(row),
            (Value::Text(cell), _) => cell(row),
            (Value::Number(value, shown), _) => shown(value(row)),
        }
    }

    pub(super) fn compare(&self, a: &T, b: &T) -> Ordering {
        match &self.value {
            Value::Text(cell) => natural(&cell(a), &cell(b)),
            Value::Number(value, _) => value(a).cmp(&value(b)),
        }
    }
}
