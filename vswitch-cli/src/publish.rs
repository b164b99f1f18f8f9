//! Options for published ports: the same for `attach` and `run`.

use clap::Args;
use vswitch_api::publish::{PortSpec, Prefix, Publication};

/// Published ports
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Published ports")]
pub(crate) struct PublishArgs {
    /// Publish a port or a range; without a host port a free one is picked
    #[arg(short, long, value_name = "[ADDR:]HOST:CONT[/PROTO]")]
    publish: Vec<PortSpec>,
    /// Sources that may connect to these ports [default: all]
    #[arg(long, value_name = "ADDRESS|SUBNET", requires = "publish", value_delimiter = ',')]
    allow_from: Vec<Prefix>,
}

impl PublishArgs {
    /// True if no port is to be published.
    pub(crate) fn is_empty(&self) -> bool {
        self.publish.is_empty()
    }

    /// The publications that the options ask for.
    pub(crate) fn publications(self) -> Vec<Publication> {
        let allow_from = self.allow_from;
        let publication = |ports| Publication { ports, allow_from: allow_from.clone() };
        self.publish.into_iter().map(publication).collect()
    }
}

/// A publication in one line.
pub(crate) fn line(publication: &Publication) -> String {
    let ports = publication.ports.to_string();
    match publication.allow_from.as_slice() {
        [] => ports,
        prefixes => {
            let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            format!("{ports} from {}", prefixes.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        publish: PublishArgs,
    }

    fn lines(words: &[&str]) -> Result<Vec<String>, String> {
        let words = std::iter::once(&"run").chain(words);
        let command = Command::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(command.publish.publications().iter().map(line).collect())
    }

    #[test]
    fn publications_are_written_as_with_docker() {
        assert_eq!(lines(&[]).unwrap(), [""; 0]);
        let said = lines(&["-p", "8080:80", "--publish", "53:53/udp", "-p80"]).unwrap();
        assert_eq!(said, ["8080:80/tcp", "53:53/udp", "0:80/tcp"]);
        let said = lines(&["-p", "8080:80", "--allow-from", "10.0.0.0/8,192.0.2.7"]).unwrap();
        assert_eq!(said, ["8080:80/tcp from 10.0.0.0/8 192.0.2.7/32"]);
    }

    #[test]
    fn errors_name_the_value() {
        let error = lines(&["-p", "8000-8010:80"]).unwrap_err();
        assert!(error.contains("--publish") && error.contains("8000-8010:80"), "{error}");
        let error = lines(&["-p", "80", "--allow-from", "10.0.0.1/8"]).unwrap_err();
        assert!(error.contains("10.0.0.0/8"), "{error}");
        assert!(lines(&["--allow-from", "10.0.0.0/8"]).is_err());
    }
}
