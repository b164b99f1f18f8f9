//! The page for people who come from Docker, as a test reads it.
//!
//! Each section has one table, and before it a comment with its stage, a line for each step. In a row, the code
//! in the second column is run; a comment `<!-- shows TEXT -->` says a part of what it prints.

use std::path::Path;

/// A section of the page.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) heading: String,
    /// Steps before its rows.
    pub(super) stage: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A row of its table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    /// The command; none where the page says that there is none.
    pub(super) command: Option<String>,
    /// A part of its output.
    pub(super) shows: Option<String>,
}

/// Reads the page. A row of another form fails the test.
pub(super) fn sections() -> Vec<Section> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/coming-from-docker.md");
    let text = std::fs::read_to_string(path).expect("the page");
    let mut sections: Vec<Section> = Vec::new();
    let mut in_stage = false;
    for (line, text) in text.lines().enumerate().map(|(at, text)| (at + 1, text)) {
        if let Some(heading) = text.strip_prefix("## ") {
            let heading = heading.replace('`', "");
            sections.push(Section { heading, ..Section::default() });
        } else if text == "<!-- stage" {
            in_stage = true;
        } else if text == "-->" {
            in_stage = false;
        } else if let Some(section) = sections.last_mut() {
            if in_stage {
                section.stage.push(text.to_owned());
            } else if text.starts_with("| `") {
                section.rows.push(row(line, text));
            } else {
                let is_head = text == "| Docker | vswitch | |" || text == "|---|---|---|";
                assert!(is_head || !text.starts_with('|'), "line {line}: a row of another form");
            }
        }
    }
    sections
}

fn row(line: usize, text: &str) -> Row {
    const BAR: &str = "\u{1}";
    let text = text.replace("\\|", BAR);
    let cells: Vec<String> =
        text.split('|').map(|cell| cell.replace(BAR, "|").trim().to_owned()).collect();
    let [_, docker, ours, said, _] = &cells[..] else {
        panic!("line {line}: {} columns, not three", cells.len().saturating_sub(2))
    };
    assert!(docker.starts_with('`'), "line {line}: no form of Docker");
    let command = ours.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    let (reason, shows) = match said.split_once("<!-- shows ") {
        Some((reason, rest)) => (reason, rest.strip_suffix(" -->")),
        None => (said.as_str(), None),
    };
    match command {
        Some(command) => assert!(!command.contains('`'), "line {line}: two commands"),
        None => assert!(ours == "none" && !reason.is_empty(), "line {line}: no command, no reason"),
    }
    Row { line, command: command.map(str::to_owned), shows: shows.map(str::to_owned) }
}
