//! Networks of a command: those of the switch, as many as wanted, or one of another kind.

use vswitch_api::port::PortDetail;
use vswitch_api::publish::Publication;

use crate::client::{Client, Named};
use crate::endpoint::EndpointArgs;
use crate::error::{Failure, Outcome};
use crate::network_mode::{NetworkMode, OtherNetwork};

/// The networks of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// A network of the switch (none for its own one), and further ones.
    Attach { first: (Option<String>, EndpointArgs), others: Vec<(String, EndpointArgs)> },
    /// Another kind of network.
    Other(OtherNetwork),
}

/// Sorts the values of `--network`. The options beside them are of the first network.
pub(super) fn plan(modes: Vec<NetworkMode>, options: EndpointArgs) -> Outcome<Plan> {
    let mut modes = modes.into_iter();
    let first = match modes.next() {
        None => (None, options),
        Some(NetworkMode::Network(name, own)) if own.is_empty() => (Some(name), options),
        Some(NetworkMode::Network(name, own)) if options.is_empty() => (Some(name), own),
        Some(NetworkMode::Network(name, _)) => {
            return Err(Failure::usage(format!(
                "addresses and names on {name} are given twice: in --network and beside it"
            )));
        }
        Some(NetworkMode::Other(other)) if modes.len() > 0 => return Err(alone(&other)),
        Some(NetworkMode::Other(other)) if !options.is_empty() => {
            return Err(Failure::usage(format!(
                "addresses and names need a network of the switch, not {other}"
            )));
        }
        Some(NetworkMode::Other(other)) => return Ok(Plan::Other(other)),
    };
    let network = |mode| match mode {
        NetworkMode::Network(name, endpoint) => Ok((name, endpoint)),
        NetworkMode::Other(other) => Err(alone(&other)),
    };
    Ok(Plan::Attach { first, others: modes.map(network).collect::<Outcome<_>>()? })
}

fn alone(mode: &OtherNetwork) -> Failure {
    Failure::usage(format!("--network {mode} goes with no other network"))
}

/// Connects an attachment to further networks, and publishes its ports then: they belong to the network with the
/// default route. Gives its details, that network's first.
pub(super) fn connect(
    client: &Client,
    name: &str,
    others: Vec<(String, EndpointArgs)>,
    publish: &[Publication],
) -> Outcome<Vec<PortDetail>> {
    for (network, endpoint) in others {
        let request = endpoint.connect(name.to_owned());
        let connected = client.connect_endpoint(&network, &request);
        client.wait_for(Named::Network, &network, connected)?;
    }
    for publication in publish {
        client.wait(client.publish(name, publication))?;
    }
    let mut details = client.wait(client.port(name))?;
    details.sort_by_key(|detail| !detail.is_default_route);
    Ok(details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network_mode::network_mode;

    fn options(key: &str, text: &str) -> EndpointArgs {
        let mut options = EndpointArgs::default();
        assert!(options.set(key, text).unwrap());
        options
    }

    fn planned(modes: &[&str], options: EndpointArgs) -> Outcome<Plan> {
        plan(modes.iter().map(|mode| network_mode(mode).unwrap()).collect(), options)
    }

    #[test]
    fn options_are_of_the_first_network() {
        let alias = options("alias", "db");
        let Plan::Attach { first, others } = planned(&["blue", "green"], alias.clone()).unwrap()
        else {
            panic!("not attached")
        };
        assert_eq!(first, (Some("blue".into()), alias.clone()));
        assert_eq!(others, [("green".into(), EndpointArgs::default())]);
        let own = planned(&["name=blue,alias=db"], EndpointArgs::default()).unwrap();
        let first = (Some("blue".into()), alias.clone());
        assert_eq!(own, Plan::Attach { first, others: Vec::new() });
        let twice = planned(&["name=blue,alias=db"], alias.clone()).unwrap_err();
        assert!(twice.to_string().contains("blue are given twice"), "{twice}");
        let unnamed = planned(&[], alias.clone()).unwrap();
        assert_eq!(unnamed, Plan::Attach { first: (None, alias), others: Vec::new() });
    }

    #[test]
    fn other_kinds_stand_alone() {
        let none = planned(&["none"], EndpointArgs::default()).unwrap();
        assert_eq!(none, Plan::Other(OtherNetwork::None));
        for modes in [["host", "blue"], ["blue", "none"], ["container:web", "host"]] {
            let failure = planned(&modes, EndpointArgs::default()).unwrap_err();
            assert_eq!(failure.exit(), 2);
            assert!(failure.to_string().contains("no other network"), "{failure}");
        }
    }
}
