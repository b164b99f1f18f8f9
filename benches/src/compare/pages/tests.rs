use std::path::Path;

use super::{pages, render};
use crate::table::tests::with_cut_through;

#[test]
fn the_pages_are_made_from_the_runs() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let pages = pages(&docs).expect("pages");
    assert!(pages.len() > 3, "{pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        let made = render(&text, &docs.join("measured")).expect("tables");
        assert!(made == text, "{} is out of date: make pages", page.display());
    }
}

/// The lines of one table.
fn made(marker: &str) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().expect("folder");
    with_cut_through().save(&folder.path().join("run.json")).expect("saved");
    let page = format!("prose\n<!-- table {marker} -->\nold\n<!-- end of table -->\nmore prose\n");
    let text = render(&page, folder.path()).map_err(|error| format!("{error:#}"))?;
    assert!(text.starts_with("prose\n<!-- table ") && text.ends_with("-->\nmore prose\n"));
    assert!(!text.contains("old"), "{text}");
    Ok(text.lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect())
}

#[test]
fn a_table_has_the_rows_and_columns_that_were_asked_for() {
    let lines = made("medians run rtt-tcp tcp1.gbps of docker0 vswitch").expect("a table");
    assert_eq!(lines[0], "| median | docker0 | vswitch |");
    assert_eq!(
        lines[2..],
        ["| TCP round trip p50, us | 80.0 | 40.0 |", "| TCP 1 stream, Gb/s | 20.0 | 16.0 |"]
    );
}

#[test]
fn a_column_without_figures_is_left_out() {
    let lines = made("ratios run tcp1 of vswitch").expect("a table");
    assert_eq!(lines[0], "|  | vswitch | to docker0 | to best in user space |");
    assert_eq!(lines[2..], ["| TCP 1 stream, Gb/s | 16.0 | 0.80 MISSED | 2.00 met ovs-tso |"]);
}

#[test]
fn a_column_of_a_variant_has_ratios_to_the_switch_and_its_own_targets() {
    let lines = made("ratios run tcp1 connect of vswitch-cut-through").expect("a table");
    let header = "|  | vswitch-cut-through | to docker0 | to best in user space | to vswitch |";
    assert_eq!(lines[0], header);
    assert_eq!(lines[3], "| connections, 1/s | 94.0 | - | - | 0.94 MISSED |");
    let lines = made("targets run tcp1 connect of vswitch-cut-through").expect("a table");
    assert_eq!(
        lines[2..],
        [
            "| TCP 1 stream | ratio to docker0 | 1.1 | 1.05 MISSED |",
            "| connections | ratio to vswitch | 0.95 | 0.94 MISSED |",
        ]
    );
}

#[test]
fn what_is_not_known_is_an_error() {
    for (marker, word) in [
        ("medians other", "other.json"),
        ("medians run tcp9", "tcp9"),
        ("medians run of ovn", "ovn"),
        ("means run", "means"),
    ] {
        let error = made(marker).expect_err("an error");
        assert!(error.contains(word), "{error}");
    }
    let error = render("<!-- table medians run -->\n", Path::new("/")).expect_err("no end");
    assert!(!error.to_string().is_empty());
}
