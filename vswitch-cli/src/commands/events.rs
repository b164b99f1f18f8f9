//! `vswitch events`: what happens to the switch, as it happens.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::event::{Event, EventKind};

use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::human;
use crate::output::{self, Format};
use crate::table;

/// Show what happens: attach, detach, publish, uplink, block
///
/// From now on, until the switch ends or the command is interrupted. A reader that falls behind by more than
/// 1,024 events is disconnected.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EventsArgs {
    /// Show events of these kinds only
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(EventKind::WORDS))]
    kind: Vec<String>,
    /// End after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

const EXAMPLES: &str = "\
With --format json each line is one JSON object. Times are in UTC.

Examples:
  sudo vswitch events
  sudo vswitch events --kind attach,detach
  sudo vswitch events --format json | jq -r '.event + \" \" + .name'";

impl EventsArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let mut events = client.wait(client.events())?;
        if global.format == Format::Table {
            output::text(&columns("TIME", "EVENT", "NAME", "NETWORK", "DETAIL"))?;
        }
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let Some(event) = client.wait(events.next())? else {
                return Err(Failure::new("the switch has ended, or this reader was too slow")
                    .with_hint("`vswitch status --limits` counts readers that were disconnected"));
            };
            if !self.kind.is_empty() && !self.kind.iter().any(|kind| kind == event.event.name()) {
                continue;
            }
            match global.format {
                Format::Table => output::text(&line(&event))?,
                Format::Json => output::json_line(&event)?,
            }
            left -= 1;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(event: &Event) -> String {
    let time = human::time_of_day(event.unix_ms / 1000);
    let network = event.network.as_deref().unwrap_or("-");
    let line = columns(&time, event.event.name(), &event.name, network, &event.detail);
    match event.event {
        EventKind::Block => table::alert(line.trim_end()) + "\n",
        _ => line,
    }
}

/// Characters of the longest word of an event.
const EVENT_WIDTH: usize = 14;

/// Fixed widths, since lines come one by one.
fn columns(time: &str, event: &str, name: &str, network: &str, detail: &str) -> String {
    let line = format!("{time:<9}  {event:<EVENT_WIDTH$}  {name:<16}  {network:<8}  {detail}");
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_an_event() {
        let event = Event {
            unix_ms: 7_384_000,
            event: EventKind::Publish,
            name: "web".into(),
            network: Some("br0".into()),
            detail: "8080:80/tcp".into(),
        };
        assert_eq!(
            columns("TIME", "EVENT", "NAME", "NETWORK", "DETAIL") + &line(&event),
            "\
TIME       EVENT           NAME              NETWORK   DETAIL
02:03:04Z  publish         web               br0       8080:80/tcp
"
        );
        let longest = EventKind::WORDS.iter().map(|word| word.len()).max();
        assert_eq!(longest, Some(EVENT_WIDTH));
        let uplink = Event { event: EventKind::Uplink, network: None, ..event };
        assert!(line(&uplink).contains("  -         8080"), "{}", line(&uplink));
    }
}
