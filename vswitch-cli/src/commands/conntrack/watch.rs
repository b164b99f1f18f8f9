//! `vswitch conntrack watch`: polls the daemon, so connections shorter than the interval are not seen.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use vswitch_api::conntrack::{Connection, ConnectionFilter};

use super::{connections, translated, tuple};
use crate::client::Client;
use crate::error::Outcome;
use crate::human;
use crate::output::{self, Format};

/// Interval and count
#[derive(Debug, Args)]
pub(crate) struct PaceArgs {
    /// Seconds between two polls
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// End after this many polls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// A change of a connection; in JSON one a line.
#[derive(Debug, Serialize)]
struct Event<'a> {
    event: Kind,
    #[serde(flatten)]
    connection: &'a Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    New,
    Changed,
    Gone,
}

/// Protocol and tuples, which stay the same while a connection lives.
type Key = String;

/// Polls `count` times, or until interrupted.
pub(super) fn run(
    client: &Client,
    format: Format,
    filter: &ConnectionFilter,
    pace: &PaceArgs,
) -> Outcome<()> {
    let mut before = BTreeMap::new();
    for look in 0..pace.count.unwrap_or(u64::MAX) {
        if look > 0 {
            std::thread::sleep(Duration::from_secs(pace.interval));
        }
        let now: BTreeMap<Key, Connection> =
            connections(client, filter)?.into_iter().map(|row| (key(&row), row)).collect();
        let unix_s = fastpath::Clock.unix_s();
        if look == 0 && format == Format::Table {
            output::text(&heading())?;
        }
        for event in events(&before, &now) {
            match format {
                Format::Table => output::text(&line(&event, unix_s))?,
                Format::Json => output::json_line(&event)?,
            }
        }
        before = now;
    }
    Ok(())
}

fn key(row: &Connection) -> Key {
    format!("{} {} {}", row.protocol, tuple(&row.original), tuple(&row.translated))
}

/// Changes between two polls, `gone` first, since a new connection may have the ports of an old one.
fn events<'a>(
    before: &'a BTreeMap<Key, Connection>,
    now: &'a BTreeMap<Key, Connection>,
) -> Vec<Event<'a>> {
    let gone = before.iter().filter(|(key, _)| !now.contains_key(*key));
    let gone = gone.map(|(_, connection)| Event { event: Kind::Gone, connection });
    let rest = now.iter().filter_map(|(key, connection)| match before.get(key) {
        None => Some(Event { event: Kind::New, connection }),
        Some(former) if former.state != connection.state => {
            Some(Event { event: Kind::Changed, connection })
        }
        Some(_) => None,
    });
    gone.chain(rest).collect()
}

/// The heading of the lines. Columns have fixed widths, since lines come one by one.
fn heading() -> String {
    columns("TIME", "EVENT", ["PROTO", "CONTAINER", "STATE", "ORIGINAL", "TRANSLATED"])
}

fn line(event: &Event<'_>, unix_s: u64) -> String {
    let kind = match event.event {
        Kind::New => "+ new",
        Kind::Changed => "~ changed",
        Kind::Gone => "- gone",
    };
    let row = event.connection;
    let (original, translated) = (tuple(&row.original), translated(row));
    let cells = [row.protocol.name(), &row.container, row.state.name(), &original, &translated];
    columns(&human::time_of_day(unix_s), kind, cells)
}

fn columns(time: &str, event: &str, rest: [&str; 5]) -> String {
    let [protocol, container, state, original, translated] = rest;
    format!(
        "{time:<9}  {event:<9}  {protocol:<6}  {container:<12}  {state:<12}  {original:<38}  \
         {translated}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::connection;
    use super::*;

    #[test]
    fn new_changed_and_gone_connections_are_events() {
        let look = |rows: &[(&str, &str)]| -> BTreeMap<Key, Connection> {
            let rows = rows.iter().map(|(src, state)| connection("web", src, state));
            rows.map(|row| (key(&row), row)).collect()
        };
        let before = look(&[("10.99.0.2:1", "syn-sent"), ("10.99.0.2:2", "established")]);
        let now = look(&[("10.99.0.2:1", "established"), ("10.99.0.2:3", "syn-sent")]);
        let lines: String = events(&before, &now).iter().map(|event| line(event, 7_384)).collect();
        let shown = heading() + &lines;
        assert_eq!(
            shown,
            "\
TIME       EVENT      PROTO   CONTAINER     STATE         ORIGINAL                                TRANSLATED
02:03:04Z  - gone     tcp     web           established   10.99.0.2:2 -> 203.0.113.5:80           192.0.2.1:20000 -> 203.0.113.5:80
02:03:04Z  ~ changed  tcp     web           established   10.99.0.2:1 -> 203.0.113.5:80           192.0.2.1:20000 -> 203.0.113.5:80
02:03:04Z  + new      tcp     web           syn-sent      10.99.0.2:3 -> 203.0.113.5:80           192.0.2.1:20000 -> 203.0.113.5:80
"
        );
        assert!(events(&now, &now).is_empty());
        let json = serde_json::to_value(&events(&before, &now)[0]).unwrap();
        assert_eq!((&json["event"], &json["state"]), (&"gone".into(), &"established".into()));
    }
}
