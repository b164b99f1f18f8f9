//! Requests for one port of the host, at the same time.

use tokio::runtime::Builder;
use vswitch_api::error::ErrorCode;
use vswitch_api::publish::{Publication, PublicationKey};
use vswitch_client::{Client, ClientError};

use crate::harness::Host;

/// One container gives a port up while another asks for it: it gets it, or is told who has it.
#[test]
fn a_port_goes_from_one_to_the_other_or_stays() {
    let host = Host::with_switch_args(&["--uplink", "auto"]);
    let _both = ["a", "b"].map(|name| host.container(name));
    let client = Client::new(host.path("sock"));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ports = "8080:80".parse().expect("ports");
    let wanted = Publication { ports, allow_from: Vec::new() };
    let key = PublicationKey { ports };
    let (mut got, mut refused) = (0, 0);
    runtime.block_on(async {
        client.publish("a", &wanted).await.expect("a free port");
        let mut names = ["a", "b"];
        for _ in 0..60 {
            let [from, to] = names;
            let (ended, begun) =
                tokio::join!(client.unpublish(from, &key), client.publish(to, &wanted));
            ended.expect("the owner gives it up");
            match begun {
                Ok(_) => got += 1,
                Err(ClientError::Api(error)) => {
                    assert_eq!(error.code, ErrorCode::Conflict, "{error}");
                    refused += 1;
                    client.publish(to, &wanted).await.expect("it is free now");
                }
                Err(error) => panic!("{error}"),
            }
            names = [to, from];
        }
    });
    println!("got {got}, refused {refused}");
}
