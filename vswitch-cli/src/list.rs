//! Lists: which rows, in which order, in which form. All commands that list something share these switches.
//!
//! A command names its columns and filters once, as a [`Row`], and hands its rows to a [`Plan`], which is
//! checked before the daemon is asked.
//!
//! | file | content |
//! |---|---|
//! | [`field`] | a column |
//! | [`filter`] | `--filter KEY=VALUE` |
//! | [`form`] | `-o json`, `name`, `wide`, `columns=...` |
//! | [`order`], [`natural`] | `--sort`, natural order |

mod field;
mod filter;
mod form;
mod natural;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use clap::Args;
use clap_complete::ArgValueCompleter;
use serde::Serialize;

use crate::complete;
use crate::error::{Failure, Outcome};
use crate::output::{self, Format};
use crate::table;
pub(crate) use field::Field;
pub(crate) use filter::{Filter, FilterKey, Filters, contains};
use form::Form;
pub(crate) use natural::natural;
use order::Order;

/// A row of a list.
pub(crate) trait Row: Serialize + Sized + 'static {
    /// The columns; those that are not wide are shown by default.
    const FIELDS: &'static [Field<Self>];

    /// The keys of `--filter`.
    const FILTERS: &'static [FilterKey<Self>];

    /// The name, for `-q`.
    fn name(&self) -> String;

    /// The name that tells this row from others of the same name, as `NAME@NETWORK`. The first column of the default
    /// table has it where names alone do not do.
    fn full_name(&self) -> Option<String> {
        None
    }

    /// The default order: by this number, and then by `sort_key`.
    fn rank(&self) -> u8 {
        0
    }

    /// The text by which rows are in natural order.
    fn sort_key(&self) -> String {
        self.name()
    }
}

/// Which rows, and how
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "List options")]
pub(crate) struct ListArgs {
    /// Print names only, one a line, as `-o name` does
    #[arg(short, long)]
    quiet: bool,
    /// Show only rows that match; values of one key are alternatives, different keys must all match
    #[arg(short, long, value_name = "KEY=VALUE", add = ArgValueCompleter::new(complete::filters))]
    filter: Vec<Filter>,
    /// Sort by a column, as the table names it; with a minus from the highest down
    #[arg(long, value_name = "[-]COLUMN", allow_hyphen_values = true)]
    #[arg(add = ArgValueCompleter::new(complete::columns))]
    sort: Option<String>,
    /// Form of the output: json, name, wide, or columns=NAME,NAME
    #[arg(short, long, value_name = "FORM", add = ArgValueCompleter::new(complete::forms))]
    output: Option<Form>,
}

/// Refuses options of a list before the word of a subcommand, which has its own.
pub(crate) fn behind<T: Default + PartialEq>(own: &T, command: &str) -> Outcome<()> {
    if *own == T::default() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "options of `{command}` go behind its last word, such as `{command} ls -q`"
    )))
}

/// A checked request for a list of `T`.
#[derive(Debug)]
pub(crate) struct Plan<T: 'static> {
    filters: Filters<T>,
    order: Order<T>,
    form: Form,
    fields: Vec<&'static Field<T>>,
}

impl ListArgs {
    /// Checks the names of filters and columns.
    pub(crate) fn plan<T: Row>(self, format: Format) -> Outcome<Plan<T>> {
        let form = match (self.quiet, self.output, format) {
            (true, ..) => Form::Name,
            (false, Some(form), _) => form,
            (false, None, Format::Json) => Form::Json,
            (false, None, Format::Table) => Form::Narrow,
        };
        Ok(Plan {
            filters: Filters::new(self.filter, T::FILTERS)?,
            order: Order::new(self.sort.as_deref())?,
            fields: form.fields()?,
            form,
        })
    }
}

impl<T: Row> Plan<T> {
    /// The rows that match, in order.
    pub(crate) fn select(&self, mut rows: Vec<T>) -> Vec<T> {
        rows.retain(|row| self.filters.match_all(row));
        self.order.sort(&mut rows);
        rows
    }

    /// Whether the output is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Whether the output is what a command shows by default.
    pub(crate) fn is_default(&self) -> bool {
        self.form == Form::Narrow
    }

    /// Selected rows as text: a table, or names.
    pub(crate) fn render(&self, rows: &[T]) -> String {
        if self.form == Form::Name {
            let mut seen = HashSet::new();
            let names = rows.iter().map(Row::name).filter(|name| seen.insert(name.clone()));
            return names.map(|name| name + "\n").collect();
        }
        let columns: Vec<_> = self.fields.iter().map(|field| field.column()).collect();
        let is_narrow = self.form == Form::Narrow;
        let full = if is_narrow { full_names(rows) } else { Vec::new() };
        let cells = rows.iter().enumerate().map(|(at, row)| {
            let full = full.get(at).cloned().flatten();
            self.fields.iter().enumerate().map(move |(column, field)| match (&full, column) {
                (Some(name), 0) => name.clone(),
                _ => field.cell(row, is_narrow),
            })
        });
        table::table(columns, cells)
    }

    /// Shows the rows that match.
    pub(crate) fn show(&self, rows: Vec<T>) -> Outcome<()> {
        let rows = self.select(rows);
        if self.is_json() { output::json(&rows) } else { output::text(&self.render(&rows)) }
    }
}

/// The full names of rows whose name others have, too.
pub(crate) fn full_names<T: Row>(rows: &[T]) -> Vec<Option<String>> {
    let mut count: HashMap<String, usize> = HashMap::new();
    for row in rows {
        *count.entry(row.name()).or_default() += 1;
    }
    rows.iter().map(|row| row.full_name().filter(|_| count[&row.name()] > 1)).collect()
}
