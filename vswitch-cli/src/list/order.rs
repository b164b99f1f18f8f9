//! The order of a list: `--sort`, and natural order by default.

use std::cmp::Ordering;

use super::natural::natural;
use super::{Field, Row, form};
use crate::error::Outcome;

/// The order of a list: by a column, and then by name.
#[derive(Debug)]
pub(super) struct Order<T: 'static> {
    by: Option<&'static Field<T>>,
    is_descending: bool,
}

impl<T: Row> Order<T> {
    pub(super) fn new(sort: Option<&str>) -> Outcome<Self> {
        let Some(sort) = sort else { return Ok(Self { by: None, is_descending: false }) };
        let (name, is_descending) = match sort.strip_prefix('-') {
            Some(name) => (name, true),
            None => (sort, false),
        };
        Ok(Self { by: Some(form::field(name)?), is_descending })
    }

    pub(super) fn sort(&self, rows: &mut [T]) {
        rows.sort_by(|a, b| {
            let by = self.by.map_or(Ordering::Equal, |field| field.compare(a, b));
            let by = if self.is_descending { by.reverse() } else { by };
            let by = by.then_with(|| a.rank().cmp(&b.rank()));
            by.then_with(|| natural(&a.sort_key(), &b.sort_key()))
        });
    }
}
