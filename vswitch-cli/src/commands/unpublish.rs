//! `vswitch unpublish`: end a publication.

use clap::Args;
use clap_complete::ArgValueCompleter;
use vswitch_api::publish::{PortSpec, PublicationKey};

use crate::client::{Client, Named};
use crate::error::Outcome;
use crate::global::Global;
use crate::limits::SHOWN_MAX;
use crate::{complete, output, several, value};

/// End publications of a container
///
/// Deletes their connections and frees the host's ports.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UnpublishArgs {
    /// Name of the attachment
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::attachments))]
    name: String,
    /// The ports, as they were published or as `vswitch publish ls` shows them
    #[arg(value_name = "[ADDR:]HOST[-HOST]:CONT[-CONT][/tcp|udp|sctp]", required = true)]
    #[arg(add = ArgValueCompleter::new(complete::publications))]
    ports: Vec<PortSpec>,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch unpublish web 8080:80
  sudo vswitch unpublish web 8080:80 8443:443
  sudo vswitch unpublish web 80          whatever ports were picked for the container's port 80
  sudo vswitch unpublish dns 192.0.2.1:53:53/udp";

impl UnpublishArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let (client, name) = (global.client()?, &self.name);
        several::each(self.ports, |ports| {
            let key = PublicationKey { ports };
            let request = client.unpublish(name, &key);
            let ended = client.wait_for(Named::Attachment, name, request);
            let ended = ended.map_err(|failure| match hint(&client, name, &ports) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            })?;
            output::show(global.format, &ended, |ended| {
                ended
                    .iter()
                    .map(|one| format!("{name} no longer publishes {}\n", one.ports))
                    .collect()
            })
        })
    }
}

/// What an attachment publishes, if that is not among it.
fn hint(client: &Client, name: &str, wanted: &PortSpec) -> Option<String> {
    let details = client.wait(client.port(name)).ok()?;
    let published = details.iter().flat_map(|detail| &detail.port.publish);
    meant(&published.copied().collect::<Vec<_>>(), wanted)
}

/// The publication that was meant: one of that port of the host.
fn meant(published: &[PortSpec], wanted: &PortSpec) -> Option<String> {
    if published.contains(wanted) {
        return None;
    }
    let number = wanted.host().unwrap_or(wanted.container()).first();
    let has = |one: &&PortSpec| one.host().is_some_and(|host| host.first() == number);
    match (published.iter().find(has), published) {
        (Some(near), _) => Some(format!("did you mean {near}?")),
        (None, []) => Some("it publishes nothing".to_owned()),
        (None, all) => {
            let shown: Vec<String> = all.iter().take(SHOWN_MAX).map(PortSpec::to_string).collect();
            let more = if all.len() > SHOWN_MAX { ", ..." } else { "" };
            Some(format!("it publishes {}{more}", shown.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_host_is_understood() {
        let specs = |texts: &[&str]| -> Vec<PortSpec> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let hint =
            |published: &[&str], wanted: &str| meant(&specs(published), &specs(&[wanted])[0]);
        let web = ["8080:80", "9000-9010:90-100", "53:53/udp"];
        assert_eq!(hint(&web, "8080").unwrap(), "did you mean 8080:80/tcp?");
        assert_eq!(hint(&web, "53:5353").unwrap(), "did you mean 53:53/udp?");
        assert_eq!(hint(&web[..1], "1:1").unwrap(), "it publishes 8080:80/tcp");
        assert_eq!(
            hint(&["1:1", "2:2", "3:3", "4:4", "5:5"], "9").unwrap().matches(',').count(),
            4
        );
        assert_eq!(hint(&[], "80").unwrap(), "it publishes nothing");
        assert_eq!(hint(&web, "8080:80"), None);
    }
}
