//! A question of the API, answered as for a container.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use fastpath::PortIndex;
use hickory_server::proto::op::Query;
use hickory_server::proto::rr::{Name, Record, RecordType};
use vswitch_api::dns::{DnsAnswer, DnsRecord};

use super::answer::{Answer, name_of};
use super::error::DnsError;
use super::service::Service;

/// A handle on a server for questions that come by the API.
#[derive(Debug, Clone)]
pub(crate) struct Resolver(pub(super) Arc<Service>);

impl Resolver {
    /// The answer that a port would get. Without a type an address asks for its name, a name for IPv4 addresses.
    pub(crate) async fn ask(
        &self,
        port: PortIndex,
        name: &str,
        record_type: Option<&str>,
    ) -> Result<DnsAnswer, DnsError> {
        let query = query(name, record_type)?;
        Ok(shown(&self.0.ask(port, query).await))
    }

    /// The upstream servers, in the order in which they are asked.
    pub(crate) fn upstreams(&self) -> Vec<SocketAddr> {
        self.0.upstreams().to_vec()
    }
}

fn query(text: &str, record_type: Option<&str>) -> Result<Query, DnsError> {
    let address = text.parse::<IpAddr>().ok();
    let name = match address {
        Some(address) => Name::from(address),
        None => {
            let bare = text.strip_suffix('.').unwrap_or(text);
            let is_whole = bare.split('.').all(|label| !label.is_empty());
            let name = name_of(bare).ok().filter(|_| is_whole);
            name.ok_or_else(|| DnsError::Name(text.to_owned()))?
        }
    };
    let record_type = match (record_type, address) {
        (Some(text), _) => known_type(text).ok_or_else(|| DnsError::Type(text.to_owned()))?,
        (None, Some(_)) => RecordType::PTR,
        (None, None) => RecordType::A,
    };
    Ok(Query::query(name, record_type))
}

fn known_type(text: &str) -> Option<RecordType> {
    let record_type = text.to_ascii_uppercase().parse().ok()?;
    let is_transfer = matches!(record_type, RecordType::AXFR | RecordType::IXFR | RecordType::OPT);
    (!is_transfer).then_some(record_type)
}

fn shown(answer: &Answer) -> DnsAnswer {
    let records = |records: &[Record]| records.iter().map(record).collect();
    DnsAnswer {
        code: format!("{:?}", answer.code).to_ascii_uppercase(),
        authoritative: answer.is_authoritative,
        answers: records(&answer.answers),
        authorities: records(&answer.authorities),
    }
}

fn record(record: &Record) -> DnsRecord {
    DnsRecord {
        name: record.name.to_ascii(),
        ttl_s: record.ttl,
        record_type: record.record_type().to_string(),
        data: record.data.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use hickory_server::proto::op::ResponseCode;

    use super::*;

    #[test]
    fn the_type_follows_from_the_name() {
        let text = |name: &str, record_type| {
            query(name, record_type).map(|query| format!("{} {}", query.name, query.query_type))
        };
        assert_eq!(text("web", None).unwrap(), "web. A");
        assert_eq!(text("Web.net.", Some("aaaa")).unwrap(), "Web.net. AAAA");
        assert_eq!(text("10.99.0.2", None).unwrap(), "2.0.99.10.in-addr.arpa. PTR");
        assert!(text("fd00::2", None).unwrap().ends_with(".0.0.d.f.ip6.arpa. PTR"));
        for name in ["", ".", "a..b", &"x".repeat(64), &"x.".repeat(200)] {
            let error = text(name, None).unwrap_err();
            assert!(matches!(error, DnsError::Name(refused) if refused == name));
        }
        for kind in ["", "address", "AXFR", "OPT"] {
            let error = text("web", Some(kind)).unwrap_err();
            assert!(matches!(error, DnsError::Type(refused) if refused == kind));
        }
    }

    #[test]
    fn codes_are_those_of_dig() {
        let code = |code| shown(&Answer::code(code)).code;
        assert_eq!(code(ResponseCode::NoError), "NOERROR");
        assert_eq!(code(ResponseCode::NXDomain), "NXDOMAIN");
        assert_eq!(code(ResponseCode::ServFail), "SERVFAIL");
        assert_eq!(code(ResponseCode::Refused), "REFUSED");
        let answer = shown(&Answer::addresses(&name_of("web").unwrap(), &[[10, 99, 0, 2].into()]));
        let record = &answer.answers[0];
        assert_eq!((record.name.as_str(), record.data.as_str()), ("web.", "10.99.0.2"));
        assert_eq!((record.record_type.as_str(), record.ttl_s), ("A", 5));
    }
}
