use std::net::UdpSocket;

use super::*;

fn conf(local: &str) -> UdpConf<'static> {
    let local = local.parse().expect("an address");
    UdpConf { local, device: None, workers: 2, senders: 3, checksum: true }
}

#[test]
fn each_worker_has_a_receiving_socket_on_the_port_and_senders_of_its_own() {
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let tunnel = UdpTunnel::open(&conf(local)).expect("loopback");
        let mut ports = Vec::new();
        for UdpSockets { receive, send, segmentation } in tunnel.queues {
            let address = UdpSocket::from(receive).local_addr().expect("bound");
            assert_eq!((address, segmentation), (tunnel.local, true));
            for sender in send {
                let address = UdpSocket::from(sender).local_addr().expect("bound");
                assert_eq!(address.ip(), tunnel.local.ip());
                ports.push(address.port());
            }
        }
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6, "{ports:?}");
    }
}

#[test]
fn a_port_that_another_tunnel_has_is_refused() {
    for local in ["127.0.0.1:0", "[::1]:0"] {
        let first = UdpTunnel::open(&conf(local)).expect("loopback");
        let second = UdpTunnel::open(&UdpConf { local: first.local, ..conf(local) });
        assert!(matches!(second, Err(UdpError::Taken { local }) if local == first.local));
        drop(first);
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let open = |conf: &UdpConf<'_>| UdpTunnel::open(conf).expect_err("refused");
    assert!(matches!(open(&conf("192.0.2.77:0")), UdpError::NoAddress { .. }));
    let no_device = UdpConf { device: Some("nodevice0"), ..conf("127.0.0.1:0") };
    assert!(matches!(open(&no_device), UdpError::NoDevice { device } if device == "nodevice0"));
    for (workers, senders) in [(0, 1), (WORKERS_MAX + 1, 1), (1, 0), (1, SENDERS_MAX + 1)] {
        let count = UdpConf { workers, senders, ..conf("127.0.0.1:0") };
        assert!(matches!(open(&count), UdpError::Count { .. }), "{workers}, {senders}");
    }
}
