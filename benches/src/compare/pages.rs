//! The tables of docs/performance, made from the result files in docs/measured.
//!
//! A page marks a table by a comment before it and one after it; the lines between them are replaced:
//!
//! ```text
//! <!-- table KIND RUN [ROW...] [of CONTENDER...] -->
//! <!-- end of table -->
//! ```
//!
//! RUN is a result file without `.json`. Each ROW is a workload or a metric; without one, all are shown.
//! CONTENDER chooses columns, for ratios and targets among the switches of ours.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::result::{self, Metric, Outcome};
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
    let folder = docs.join("performance");
    let entries = std::fs::read_dir(&folder);
    for entry in entries.with_context(|| format!("folder {}", folder.display()))? {
        pages.push(entry?.path());
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    Ok(pages)
}

/// The page with its tables made from the runs in the folder `measured`.
fn render(text: &str, measured: &Path) -> Result<String> {
    let mut lines = Vec::new();
    let mut rest = text.lines();
    while let Some(line) = rest.next() {
        lines.push(line.to_owned());
        if let Some(words) = line.strip_prefix(BEGIN) {
            let words = words.strip_suffix("-->").context("a marker ends with -->")?;
            let made = table(words, measured).with_context(|| format!("table {words}"))?;
            lines.push(String::new());
            lines.extend(made);
            lines.push(String::new());
            if !rest.any(|line| line == END) {
                bail!("no {END} behind {line}");
            }
            lines.push(END.to_owned());
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn table(words: &str, measured: &Path) -> Result<Vec<String>> {
    let (words, of) = words.split_once(" of ").unwrap_or((words, ""));
    let mut words = words.split_whitespace();
    let (kind, run) = (words.next().context("no kind")?, words.next().context("no run")?);
    let mut outcome = Outcome::load(&measured.join(format!("{run}.json")))?;
    outcome.metrics = chosen(outcome.metrics, &words.collect::<Vec<_>>())?;
    let of: Vec<&str> = of.split_whitespace().collect();
    let known = |name: &&str| outcome.entry(name).is_some();
    if let Some(name) = of.iter().find(|name| !known(name)) {
        bail!("no contender {name}");
    }
    let is_column = |name: &str| of.is_empty() || of.contains(&name);
    if matches!(kind, "ratios" | "targets") {
        outcome.contenders.retain(|entry| !entry.is_own || is_column(&entry.name));
    } else {
        outcome.contenders.retain(|entry| is_column(&entry.name));
    }
    table::sheet(kind, &outcome).with_context(|| format!("no kind {kind}, or nothing measured"))
}

/// The metrics of the rows, in their order; an unknown row is an error.
fn chosen(metrics: Vec<Metric>, rows: &[&str]) -> Result<Vec<Metric>> {
    if rows.is_empty() {
        return Ok(metrics);
    }
    let mut chosen = Vec::new();
    for row in rows {
        let is_of = |key: &str| key == *row || key.split('.').next() == Some(row);
        let before = chosen.len();
        chosen.extend(metrics.iter().filter(|metric| is_of(&metric.key)).cloned());
        if chosen.len() == before {
            bail!("no row {row}");
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests;
