//! The outcome for people: as tables in the terminal, and as Markdown.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::contender::{DOCKER0, KERNEL_BRIDGE, VSWITCH};
use crate::metric::Metric;
use crate::result::{Entry, Failure, Outcome};
use crate::stats::Spread;
use crate::targets::{self, Against, Target, ratio};
use crate::turns;

/// Where nothing was measured.
const NONE: &str = "-";

/// Corner of a table whose cells are so.
const SPREAD: &str = "median (smallest-largest)";

/// One table.
#[derive(Debug)]
struct Sheet {
    title: String,
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Below it.
    note: Option<String>,
}

/// For the terminal.
pub(crate) fn text(outcome: &Outcome) -> String {
    let shown = sheets(outcome).into_iter().map(|sheet| {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(sheet.headers);
        // The spread goes below the median: the table would be too wide else.
        let fold = |cell: String| cell.replacen(" (", "\n(", 1);
        let rows = sheet.rows.into_iter().map(|row| {
            row.into_iter().enumerate().map(move |(n, cell)| if n == 0 { cell } else { fold(cell) })
        });
        table.add_rows(rows);
        let note = sheet.note.map_or_else(String::new, |note| format!("{note}\n"));
        format!("{}\n{table}\n{note}", sheet.title)
    });
    let machine = about(outcome).into_iter().map(|(key, value)| format!("{key}: {value}"));
    machine.chain([String::new()]).chain(shown).collect::<Vec<_>>().join("\n")
}

/// For a document.
pub(crate) fn markdown(outcome: &Outcome) -> String {
    let mut lines = vec!["# Comparison".to_owned(), String::new()];
    lines.extend(about(outcome).into_iter().map(|(key, value)| format!("- {key}: {value}")));
    for sheet in sheets(outcome) {
        lines.extend([String::new(), format!("## {}", sheet.title), String::new()]);
        lines.extend(sheet.lines());
        lines.extend(sheet.note.into_iter().flat_map(|note| [String::new(), note]));
    }
    lines.join("\n") + "\n"
}

impl Sheet {
    fn without_empty_columns(mut self) -> Self {
        for n in (1..self.headers.len()).rev() {
            if self.rows.iter().all(|row| row[n] == NONE) {
                self.headers.remove(n);
                self.rows.iter_mut().for_each(|row| drop(row.remove(n)));
            }
        }
        self
    }

    /// In Markdown.
    fn lines(&self) -> Vec<String> {
        let escaped = |cell: &String| cell.replace('|', "\\|").replace('\n', " ");
        let line = |cells: &[String]| {
            format!("| {} |", cells.iter().map(escaped).collect::<Vec<_>>().join(" | "))
        };
        let rules = vec!["--:".to_owned(); self.headers.len().saturating_sub(1)];
        let rules = line(&[vec!["---".to_owned()], rules].concat());
        let rows = self.rows.iter().map(|row| line(row));
        [line(&self.headers), rules].into_iter().chain(rows).collect()
    }
}

/// One table of a page, by its kind and with the contenders that are shown; none where nothing was measured.
pub(crate) fn sheet(
    kind: &str,
    outcome: &Outcome,
    is_shown: impl Fn(&Entry) -> bool,
) -> Option<Vec<String>> {
    let shown: Vec<&Entry> = outcome.contenders.iter().filter(|entry| is_shown(entry)).collect();
    let own: Vec<&Entry> = shown.iter().copied().filter(|entry| entry.is_own).collect();
    let sheet = match kind {
        "measured" => by_contender(outcome, &shown, SPREAD, cell),
        "medians" => by_contender(outcome, &shown, "median", |spread| number(spread.median)),
        "ratios" => ratios(outcome, own.first()?),
        "targets" => against_targets(outcome, &own),
        _ => return None,
    };
    (!sheet.rows.is_empty()).then(|| sheet.without_empty_columns().lines())
}

fn sheets(outcome: &Outcome) -> Vec<Sheet> {
    let mut sheets = vec![measured(outcome)];
    let own: Vec<&Entry> = outcome.contenders.iter().filter(|entry| entry.is_own).collect();
    sheets.extend(own.iter().map(|own| ratios(outcome, own)));
    sheets.push(against_targets(outcome, &own));
    sheets.extend(not_run(outcome));
    sheets.retain(|sheet| !sheet.rows.is_empty());
    sheets
}

/// Machine, settings, versions, contenders: one line each.
fn about(outcome: &Outcome) -> Vec<(String, String)> {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let words = map.iter().map(|(key, value)| {
                format!("{key} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            });
            words.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    };
    let maps = outcome.machine.iter().chain(&outcome.settings);
    let mut lines: Vec<_> = maps.map(|(key, value)| (key.clone(), plain(value))).collect();
    for entry in &outcome.contenders {
        if !entry.about.is_empty() {
            lines.push((entry.name.clone(), plain(&Value::Object(entry.about.clone()))));
        }
    }
    lines
}

fn measured(outcome: &Outcome) -> Sheet {
    let entries: Vec<&Entry> = outcome.contenders.iter().collect();
    let turns = entries.iter().flat_map(|entry| entry.turns.iter().map(|t| (&entry.name[..], t)));
    Sheet { note: turns::sentence(turns), ..by_contender(outcome, &entries, SPREAD, cell) }
}

fn by_contender(
    outcome: &Outcome,
    shown: &[&Entry],
    corner: &str,
    cell: impl Fn(Spread) -> String,
) -> Sheet {
    let names = shown.iter().map(|entry| match &entry.cannot_run {
        Some(_) => format!("{} (cannot run)", entry.name),
        None => entry.name.clone(),
    });
    let mut headers = vec![corner.to_owned()];
    headers.extend(names);
    let rows = outcome.metrics.iter().filter_map(|metric| {
        let of = |entry: &&Entry| entry.spread(&metric.key).map_or(NONE.to_owned(), &cell);
        let cells: Vec<String> = shown.iter().map(of).collect();
        let any = cells.iter().any(|cell| cell != NONE);
        any.then(|| [vec![named(metric)], cells].concat())
    });
    Sheet { title: "Measured".to_owned(), headers, rows: rows.collect(), note: None }
}

/// Of a contender of ours to the others, with a verdict where there is a target. A variant of the switch is
/// put beside the switch itself, too.
fn ratios(outcome: &Outcome, own: &Entry) -> Sheet {
    let is_variant = own.name != VSWITCH && outcome.entry(VSWITCH).is_some();
    let rows = outcome.metrics.iter().filter_map(|metric| {
        let value = own.spread(&metric.key)?.median;
        let judged = |against, other| {
            let ratio = ratio(value, other)?;
            let is_it = |t: &&Target| {
                (t.metric, t.against) == (&metric.key, against) && t.is_for(&own.name)
            };
            let target = targets::ALL.iter().find(is_it);
            let verdict = target.map_or("", |target| target.verdict(metric.better, ratio).word());
            Some(format!("{ratio:.2} {verdict}"))
        };
        let to = |name| {
            let other = outcome.entry(name)?.spread(&metric.key)?.median;
            judged(Against::Contender(name), other)
        };
        let best = outcome.best_user_space(metric).and_then(|(entry, other)| {
            Some(format!("{} {}", judged(Against::BestUserSpace, other)?.trim(), entry.name))
        });
        let mut cells = vec![to(DOCKER0), to(KERNEL_BRIDGE), best];
        cells.extend(is_variant.then(|| to(VSWITCH)));
        let trimmed = |cell: Option<String>| cell.map_or(NONE.to_owned(), |c| c.trim().to_owned());
        let cells: Vec<String> = cells.into_iter().map(trimmed).collect();
        let any = cells.iter().any(|cell| cell != NONE);
        any.then(|| [vec![named(metric), number(value)], cells].concat())
    });
    let mut headers =
        vec!["", own.name.as_str(), "to docker0", "to kernel-bridge", "to best in user space"];
    headers.extend(is_variant.then_some("to vswitch"));
    Sheet {
        title: format!("Ratios of {}", own.name),
        headers: headers.into_iter().map(str::to_owned).collect(),
        rows: rows.collect(),
        note: None,
    }
}

fn against_targets(outcome: &Outcome, own: &[&Entry]) -> Sheet {
    let mut headers =
        ["target", "measured as", "at least or most", "reach for"].map(str::to_owned).to_vec();
    headers.extend(own.iter().map(|entry| entry.name.clone()));
    let is_shown = |target: &&Target| own.iter().any(|entry| target.is_for(&entry.name));
    let rows = targets::ALL.iter().filter(is_shown).filter_map(|target| {
        let metric = target.described(outcome)?;
        let reach = target.reach.map_or(NONE.to_owned(), |reach| format!("{reach}"));
        let mut row =
            vec![metric.title.clone(), target.against(), format!("{}", target.least), reach];
        row.extend(own.iter().map(|entry| match target.value(outcome, &entry.name) {
            _ if !target.is_for(&entry.name) => NONE.to_owned(),
            None => "not measured".to_owned(),
            Some(value) => {
                format!("{} {}", number(value), target.verdict(metric.better, value).word())
            }
        }));
        Some(row)
    });
    Sheet { title: "Targets".to_owned(), headers, rows: rows.collect(), note: None }
}

/// Who could not run, and what failed: nothing is dropped silently.
fn not_run(outcome: &Outcome) -> Option<Sheet> {
    let cannot = outcome.contenders.iter().filter_map(|entry| {
        let reason = entry.cannot_run.clone()?;
        Some(vec![entry.name.clone(), "all".to_owned(), "all".to_owned(), reason])
    });
    let failed = outcome.failures.iter().map(|failure| {
        let Failure { contender, workload, round, reason } = failure;
        vec![contender.clone(), workload.clone(), round.to_string(), reason.clone()]
    });
    let rows: Vec<_> = cannot.chain(failed).collect();
    let headers = ["contender", "workload", "round", "reason"].map(str::to_owned).to_vec();
    (!rows.is_empty()).then(|| Sheet { title: "Did not run".to_owned(), headers, rows, note: None })
}

fn named(metric: &Metric) -> String {
    if metric.unit.is_empty() {
        metric.title.clone()
    } else {
        format!("{}, {}", metric.title, metric.unit)
    }
}

fn cell(Spread { median, min, max }: Spread) -> String {
    if min == max {
        return number(median);
    }
    format!("{} ({}-{})", number(median), number(min), number(max))
}

/// Three digits, as far as they mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
