//! Tries the rules on this kernel, in a network namespace of its own.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;

use fastpath::tap::{Tap, TapConfig};
use nix::sched::{CloneFlags, unshare};

use super::kernel::Tables;
use super::{
    Forward, Forwards, IngressRedirect, Nat, PortBlock, Protocol, Published, RedirectLink, Rules,
};

/// Loads one rule of each kind in a network namespace of a thread, which ends with it.
///
/// # Errors
/// One line: the kernel's refusal.
pub fn probe() -> Result<(), String> {
    let probed = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("no namespace: {error}"))?;
        let make = |name| Tap::create(&TapConfig { name, queues: 1 }).map_err(|e| e.to_string());
        let (_bridge, nic, tap) = (make("br0")?, make("nic0")?, make("up0")?);
        let mut tables = Tables::open("br0").map_err(|error| error.to_string())?;
        tables.load(rules(&nic, &tap)).map_err(|error| error.to_string())
    });
    probed.join().unwrap_or_else(|_| Err("the probe's thread ended unexpectedly".to_owned()))
}

fn rules(nic: &Tap, tap: &Tap) -> Rules {
    let forward = |protocol| Forward {
        published: Published { address: None, protocol, ports: 8080..=8090 },
        to4: Some(Ipv4Addr::new(10, 99, 0, 2)),
        to6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
        to_port: 8080,
        allow_from: Vec::new(),
    };
    let forwards: Forwards = [Protocol::Tcp, Protocol::Udp].into_iter().map(forward).collect();
    let redirect = IngressRedirect {
        portless: Default::default(),
        links: vec![RedirectLink {
            device: Some((nic.name.clone(), nic.ifindex)),
            tap: (tap.name.clone(), tap.ifindex),
        }],
        local4: vec![Ipv4Addr::new(192, 0, 2, 1)],
        local6: vec![Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)],
        subnets: vec![ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 99, 0, 0), 16).into()],
        snat_ports: 20_000..=29_999,
        snat_blocks: [PortBlock { protocol: Protocol::Tcp, first: 20_000, last: 20_063 }].into(),
        published: forwards.clone(),
    };
    let nat = Nat { forwards, ..Nat::default() };
    Rules {
        bridge: "br0".to_owned(),
        devices: vec!["br0".to_owned()],
        allowed: Vec::new(),
        redirect: Some(redirect),
        nat,
    }
}

#[cfg(test)]
mod tests {
    /// Needs root.
    #[test]
    fn the_kernel_of_this_test_takes_them() {
        super::probe().unwrap();
    }
}
