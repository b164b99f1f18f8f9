use clap::Parser;
use serde::Serialize;

use super::*;

#[derive(Debug, Serialize)]
struct Animal {
    name: &'static str,
    legs: u64,
    home: &'static str,
}

impl Row for Animal {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NAME", |row| row.name.to_owned()),
        Field::number("LEGS", |row| row.legs, |legs| legs.to_string()),
        Field::text("LIVES IN", |row: &Self| row.home.to_owned()).wide(),
    ];
    const FILTERS: &'static [FilterKey<Self>] = &[
        ("name", |row, value| contains(row.name, value)),
        ("home", |row, value| row.home == value),
    ];

    fn name(&self) -> String {
        self.name.to_owned()
    }
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    list: ListArgs,
}

fn animals() -> Vec<Animal> {
    let animal = |name, legs, home| Animal { name, legs, home };
    vec![animal("c10", 4, "house"), animal("c2", 4, "wood"), animal("Bird", 2, "wood")]
}

fn plan(words: &[&str]) -> Outcome<Plan<Animal>> {
    let words = std::iter::once(&"ls").chain(words);
    let args = Command::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    args.list.plan(Format::Table)
}

fn listed(words: &[&str]) -> String {
    let plan = plan(words).unwrap();
    plan.render(&plan.select(animals()))
}

#[test]
fn natural_order_counts_numbers() {
    let mut names =
        ["c10", "c2", "c1", "b", "c", "c02x", "10.9.0.10", "10.9.0.2", "c99999999999999999999"];
    names.sort_by(|a, b| natural(a, b));
    let sorted =
        ["10.9.0.2", "10.9.0.10", "b", "c", "c1", "c2", "c02x", "c10", "c99999999999999999999"];
    assert_eq!(names, sorted);
    assert_eq!(natural("a", "a"), std::cmp::Ordering::Equal);
}

#[test]
fn by_default_narrow_and_in_natural_order() {
    assert_eq!(listed(&[]), "NAME  LEGS\nBird     2\nc2       4\nc10      4\n");
}

#[test]
fn forms() {
    assert_eq!(listed(&["-q"]), "Bird\nc2\nc10\n");
    assert_eq!(listed(&["-o", "name"]), "Bird\nc2\nc10\n");
    assert!(listed(&["-o", "wide"]).starts_with("NAME  LEGS  LIVES IN\nBird     2  wood\n"));
    assert!(listed(&["-o", "columns=lives-in,name"]).starts_with("LIVES IN  NAME\nwood      Bird"));
    assert!(plan(&["-o", "json"]).unwrap().is_json());
    assert!(Command::try_parse_from(["ls", "-o", "yaml"]).is_err());
}

#[test]
fn sorts_up_and_down() {
    assert_eq!(listed(&["-q", "--sort", "legs"]), "Bird\nc2\nc10\n");
    assert_eq!(listed(&["-q", "--sort", "-legs"]), "c2\nc10\nBird\n");
    assert_eq!(listed(&["-q", "--sort=-name"]), "c10\nc2\nBird\n");
}

#[test]
fn filters_of_one_key_are_alternatives_and_keys_must_all_match() {
    assert_eq!(listed(&["-q", "--filter", "name=C"]), "c2\nc10\n");
    assert_eq!(listed(&["-q", "-f", "name=c2", "-f", "name=bird"]), "Bird\nc2\n");
    assert_eq!(listed(&["-q", "-f", "name=c", "-f", "home=wood"]), "c2\n");
    assert_eq!(listed(&["-q", "-f", "home=woo"]), "");
}

#[test]
fn unknown_keys_and_columns_are_refused_with_the_nearest() {
    let report = |words: &[&str]| plan(words).unwrap_err().report().unwrap();
    let filter = report(&["-f", "nmae=x"]);
    assert!(filter.contains("knows no nmae") && filter.contains("did you mean name?"), "{filter}");
    let column = report(&["--sort", "leg"]);
    assert!(column.contains("no column \"leg\"") && column.contains("mean legs?"), "{column}");
    let columns = report(&["-o", "columns=name,zzz"]);
    assert!(columns.contains("columns are name, legs, lives-in"), "{columns}");
    assert_eq!(plan(&["-f", "x=y"]).unwrap_err().exit(), 2);
}
