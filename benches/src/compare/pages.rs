//! The tables of docs/performance, made from the result files in docs/measured.
//!
//! A page marks a table by two comments, and the lines between them are replaced:
//!
//! ```text
//! <!-- table KIND RUN [ROW...] [of CONTENDER...] -->
//! <!-- end of table -->
//! ```
//!
//! docs/benchmarks.md describes the words.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::result::{self, Entry, Outcome};
use crate::table;

const BEGIN: &str = "<!-- table ";
const END: &str = "<!-- end of table -->";

/// Makes all tables below `docs` again, and prints which pages changed.
pub(crate) fn update(docs: &Path) -> Result<()> {
    for page in pages(docs)? {
        let text = std::fs::read_to_string(&page)?;
        let made = render(&text, &docs.join("measured"));
        let made = made.with_context(|| format!("page {}", page.display()))?;
        if made != text {
            result::write(&page, &made)?;
            println!("{}", page.display());
        }
    }
    Ok(())
}

/// `performance.md` and the Markdown files of `performance/`.
fn pages(docs: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = vec![docs.join("performance.md")];
    for entry in std::fs::read_dir(docs.join("performance")).context("folder performance")? {
        pages.push(entry?.path());
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(pages)
}

/// The page with its tables made from the runs in the folder `measured`.
fn render(text: &str, measured: &Path) -> Result<String> {
    let mut made = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        made += &format!("{line}\n");
        if let Some(words) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) {
            let table = table(words, measured).with_context(|| format!("table {words}"))?;
            ensure!(lines.any(|line| line == END), "no {END} behind {line}");
            made += &format!("\n{}\n\n{END}\n", table.join("\n"));
        }
    }
    Ok(made)
}

fn table(words: &str, measured: &Path) -> Result<Vec<String>> {
    let (words, of) = words.split_once(" of ").unwrap_or((words, ""));
    let mut words = words.split(' ');
    let (kind, run) = (words.next().context("no kind")?, words.next().context("no run")?);
    let mut outcome = Outcome::load(&measured.join(format!("{run}.json")))?;
    let rows: Vec<&str> = words.collect();
    if !rows.is_empty() {
        let mut chosen = Vec::new();
        for row in rows {
            let is_of = |key: &str| key == row || key.split('.').next() == Some(row);
            ensure!(outcome.metrics.iter().any(|metric| is_of(&metric.key)), "no row {row}");
            chosen.extend(outcome.metrics.iter().filter(|metric| is_of(&metric.key)).cloned());
        }
        outcome.metrics = chosen;
    }
    for name in of.split_whitespace() {
        ensure!(outcome.entry(name).is_some(), "no contender {name}");
    }
    let is_shown = |entry: &Entry| of.is_empty() || of.split(' ').any(|name| name == entry.name);
    table::sheet(kind, &outcome, is_shown)
        .with_context(|| format!("no kind {kind}, or nothing measured"))
}

#[cfg(test)]
mod tests;
