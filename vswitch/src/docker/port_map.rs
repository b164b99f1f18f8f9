//! Docker's port map as publications.
//!
//! Docker expands ranges one port at a time. Consecutive ones become one publication again, so that a range of
//! thousands is one rule. A port of the container for which a range of the host's ports is given has a choice.

use vswitch_api::publish::Publication;

use super::protocol::PortBinding;

/// IP protocol numbers.
const PROTOCOLS: [(u8, &str); 3] = [(6, "tcp"), (17, "udp"), (132, "sctp")];

/// For each publication its choices, of which one is to be open.
pub(super) fn publications(
    mut bindings: Vec<PortBinding>,
) -> Result<Vec<Vec<Publication>>, String> {
    // Docker's order is that of a hash table.
    bindings.sort_by(|a, b| {
        let key = |it: &PortBinding| (it.protocol, it.host_port, it.port);
        (&a.host_ip, key(a)).cmp(&(&b.host_ip, key(b)))
    });
    let mut ranges: Vec<Range> = Vec::new();
    for binding in bindings {
        let known = PROTOCOLS.iter().find(|(number, _)| *number == binding.protocol);
        let (_, protocol) = known.ok_or_else(|| {
            format!("protocol {} cannot be published: tcp, udp and sctp can", binding.protocol)
        })?;
        match ranges.last_mut().filter(|range| range.is_followed_by(&binding)) {
            Some(range) => range.length += 1,
            None => ranges.push(Range { first: binding, length: 1, protocol }),
        }
    }
    ranges.iter().map(Range::choices).collect()
}

/// Consecutive ports of the host that lead to consecutive ones of the container.
struct Range {
    first: PortBinding,
    length: u16,
    protocol: &'static str,
}

impl Range {
    fn is_followed_by(&self, next: &PortBinding) -> bool {
        let has_choice = |it: &PortBinding| it.host_port == 0 || it.host_port_end > it.host_port;
        let after = |port: u16| port.checked_add(self.length);
        !has_choice(&self.first)
            && !has_choice(next)
            && (self.first.protocol, &self.first.host_ip) == (next.protocol, &next.host_ip)
            && after(self.first.port) == Some(next.port)
            && after(self.first.host_port) == Some(next.host_port)
    }

    fn choices(&self) -> Result<Vec<Publication>, String> {
        let PortBinding { host_ip, port, host_port, host_port_end, .. } = &self.first;
        let range = |first: u16| match self.length {
            1 => first.to_string(),
            length => format!("{first}-{}", first.saturating_add(length - 1)),
        };
        let address = match host_ip.as_str() {
            "" => String::new(),
            ipv6 if ipv6.contains(':') => format!("[{ipv6}]:"),
            ipv4 => format!("{ipv4}:"),
        };
        let hosts = *host_port..=(*host_port_end).max(*host_port);
        let choice = |host: u16| {
            let text = format!("{address}{}:{}/{}", range(host), range(*port), self.protocol);
            let ports = text.parse().map_err(|error| format!("{error}"))?;
            Ok(Publication { ports, allow_from: Vec::new() })
        };
        hosts.map(choice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(text: &str) -> PortBinding {
        let [protocol, port, host_port, host_port_end] =
            <[u16; 4]>::try_from(text.split(' ').map(|it| it.parse().unwrap()).collect::<Vec<_>>())
                .unwrap();
        let protocol = u8::try_from(protocol).unwrap();
        PortBinding { protocol, port, host_ip: String::new(), host_port, host_port_end }
    }

    fn texts(bindings: &[PortBinding]) -> Vec<Vec<String>> {
        let all = publications(bindings.to_vec()).unwrap();
        all.iter().map(|one| one.iter().map(|it| it.ports.to_string()).collect()).collect()
    }

    #[test]
    fn consecutive_ports_are_one_range() {
        let tcp = |port: u16| binding(&format!("6 {} {port} {port}", port - 8000));
        let mut all: Vec<_> = (8080..8090).map(tcp).collect();
        all.reverse();
        all.push(binding("6 90 9000 9000"));
        all.push(binding("17 91 9001 9001"));
        let published = [["8080-8089:80-89/tcp"], ["9000:90/tcp"], ["9001:91/udp"]]
            .map(|it| it.map(str::to_owned).to_vec());
        assert_eq!(texts(&all), published);
    }

    #[test]
    fn a_range_for_one_port_is_a_choice() {
        let choices = texts(&[binding("6 80 8000 8002"), binding("6 81 0 0")]);
        assert_eq!(choices[0], ["0:81/tcp"]);
        assert_eq!(choices[1], ["8000:80/tcp", "8001:80/tcp", "8002:80/tcp"]);
    }

    #[test]
    fn addresses_stay_and_other_protocols_are_refused() {
        for (address, text) in
            [("127.0.0.1", "127.0.0.1:8080:80/tcp"), ("::1", "[::1]:8080:80/tcp")]
        {
            let one = PortBinding { host_ip: address.into(), ..binding("6 80 8080 8080") };
            assert_eq!(texts(&[one])[0], [text]);
        }
        assert!(publications(vec![binding("1 1 1 1")]).unwrap_err().contains("protocol 1"));
        let one = PortBinding { host_ip: "here".into(), ..binding("6 80 8080 8080") };
        assert!(publications(vec![one]).unwrap_err().contains("here"));
    }
}
