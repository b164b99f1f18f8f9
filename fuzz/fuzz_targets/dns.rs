//! A query of a container: any bytes, by UDP or by TCP.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../vswitch/src/datapath/network_index.rs"]
mod network_index;

mod datapath {
    pub(crate) use crate::network_index::NetworkIndex;
}

// The part without sockets, built here without the rest of the switch.
#[path = "../../vswitch/src/dns"]
#[allow(dead_code, unused_imports, unreachable_pub)]
mod dns {
    mod answer;
    mod clients;
    mod counters;
    mod direct;
    mod limits;
    mod names;
    mod resolv_conf;
    mod service;
    mod upstream;

    use std::net::IpAddr;
    use std::sync::{Arc, LazyLock};

    use fastpath::PortIndex;
    use hickory_server::net::xfer::Protocol;
    use hickory_server::proto::op::Message;

    use crate::network_index::NetworkIndex;
    use counters::Counters;
    use names::{EndpointNames, Names, NetworkNames};
    use service::{Outcome, Service};
    use upstream::{Forwarder, Upstreams};

    static SERVICE: LazyLock<Service> = LazyLock::new(|| {
        let names = Arc::<Names>::default();
        let network = NetworkNames {
            name: "net".to_owned(),
            subnets: vec!["10.99.0.0/24".parse().unwrap()],
            gateways: vec![[10, 99, 0, 1].into()],
            is_internal: false,
            reachable_from: Vec::new(),
            has_host_port: true,
        };
        names.set_network(NetworkIndex(0), network);
        for n in 0..60_u8 {
            let endpoint = EndpointNames {
                network: NetworkIndex(0),
                container: format!("c{n}"),
                names: vec![format!("c{n}"), "many".to_owned()],
                addresses: vec![[10, 99, 0, n].into()],
            };
            names.set_endpoint(PortIndex(n.into()), endpoint);
        }
        let counters = Arc::<Counters>::default();
        let upstreams = Upstreams::Servers(Vec::new());
        let forwarder = Forwarder::new(Arc::clone(&names), Arc::clone(&counters), upstreams);
        let client_of = |_: IpAddr| Some(PortIndex(1));
        Service::new(names, Arc::new(forwarder), counters, Arc::new(client_of))
    });

    /// What a worker answers itself means the same as the server's answer, but for the order of its records.
    fn check_direct(query: &[u8]) {
        let mut answer = [0; limits::UDP_ANSWER_MAX as usize];
        let Some(len) = SERVICE.names.answer(PortIndex(1), query, &mut answer) else { return };
        let from = ([198, 18, 0, 1], 40_000).into();
        let Outcome::Answer(served) = SERVICE.handle(query, from, Protocol::Udp) else {
            panic!("the server does not answer");
        };
        let [direct, served] = [&answer[..len], &served].map(|bytes| {
            let mut message = Message::from_vec(bytes).expect("a message");
            message.answers.sort_by_key(|record| record.data.to_string());
            message
        });
        assert_eq!(direct, served);
    }

    pub(crate) fn check(query: &[u8]) {
        check_direct(query);
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let from = ([198, 18, 0, 1], 40_000).into();
            let Outcome::Answer(answer) = SERVICE.handle(query, from, protocol) else { continue };
            assert!(answer.len() >= 12 && answer[..2] == query[..2]);
            assert!(answer[2] & 0x80 != 0 && query[2] & 0x80 == 0);
            assert!(protocol == Protocol::Tcp || answer.len() <= 1232);
        }
    }
}

fuzz_target!(|query: &[u8]| dns::check(query));
