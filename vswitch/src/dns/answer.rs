//! An answer, and its bytes.

use std::net::IpAddr;
use std::sync::LazyLock;

use hickory_server::net::xfer::Protocol;
use hickory_server::proto::ProtoError;
use hickory_server::proto::op::{Edns, HeaderCounts, Message, Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::{A, AAAA, PTR, SOA};
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::proto::serialize::binary::BinEncoder;
use hickory_server::server::Request;
use hickory_server::zone_handler::MessageResponseBuilder;

use super::limits::{
    NAME_TTL_S, NEGATIVE_TTL_S, PLAIN_UDP_ANSWER_MAX, SECONDARY_S, UDP_ANSWER_MAX,
};
use super::names::SERVICE_ZONE;

/// The zone of the service, and the one who answers for it.
static ZONE: LazyLock<[Name; 2]> = LazyLock::new(|| {
    let contact = format!("hostmaster.{SERVICE_ZONE}");
    [SERVICE_ZONE, &contact].map(|name| name_of(name).unwrap_or_default())
});

/// The sections and the code of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// Whether the names are ours.
    pub(crate) is_authoritative: bool,
    /// Whether an upstream server vouches for it (RFC 4035, 3.2.3).
    pub(crate) is_authentic: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl Answer {
    /// An answer without records.
    pub(crate) fn code(code: ResponseCode) -> Self {
        Self { code, ..Self::default() }
    }

    /// Addresses of a name of ours.
    pub(super) fn addresses(name: &Name, addresses: &[IpAddr]) -> Self {
        let data = addresses.iter().map(|address| match address {
            IpAddr::V4(ipv4) => RData::A(A(*ipv4)),
            IpAddr::V6(ipv6) => RData::AAAA(AAAA(*ipv6)),
        });
        Self::records(name, data)
    }

    /// The name of an address of ours. A name that does not fit DNS is no data.
    pub(super) fn pointer(name: &Name, target: &str) -> Self {
        match name_of(target) {
            Ok(target) => Self::records(name, std::iter::once(RData::PTR(PTR(target)))),
            Err(_) => Self::negative(name, ResponseCode::NoError),
        }
    }

    fn records(name: &Name, data: impl Iterator<Item = RData>) -> Self {
        let record = |data| Record::from_rdata(name.clone(), NAME_TTL_S, data);
        Self { is_authoritative: true, answers: data.map(record).collect(), ..Self::default() }
    }

    /// No such name, or no such type at it, with the SOA record that limits how long clients keep it
    /// (RFC 2308, 5).
    pub(super) fn negative(name: &Name, code: ResponseCode) -> Self {
        let [zone, contact] = &*ZONE;
        let ttl = NEGATIVE_TTL_S;
        let periods = SECONDARY_S.cast_signed();
        let soa = SOA::new(zone.clone(), contact.clone(), 1, periods, periods, periods, ttl);
        let owner = match code {
            _ if zone.zone_of(name) => zone.clone(),
            ResponseCode::NXDomain => name.base_name(),
            _ => name.clone(),
        };
        let authority = Record::from_rdata(owner, ttl, RData::SOA(soa));
        Self { code, is_authoritative: true, authorities: vec![authority], ..Self::default() }
    }

    /// The bytes for a request, and whether records are missing since they do not fit.
    pub(super) fn encode(&self, request: &Request) -> (Vec<u8>, bool) {
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_ANSWER_MAX);
            edns.set_dnssec_ok(asked.flags().dnssec_ok);
            edns
        });
        let limit = match request.protocol() {
            Protocol::Udp => request.max_payload().clamp(PLAIN_UDP_ANSWER_MAX, UDP_ANSWER_MAX),
            _ => u16::MAX,
        };
        let form = Form { request, edns: edns.as_ref(), metadata: self.metadata(request), limit };
        match form.encode(self) {
            Ok((bytes, metadata, _)) if !metadata.truncation => (bytes, false),
            // One record less than what fits leaves room for EDNS.
            Ok((_, _, counts)) => (form.encode_first(self, counts), true),
            Err(_) => (form.encode_failure(), false),
        }
    }

    fn metadata(&self, request: &Request) -> Metadata {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        metadata.authoritative = self.is_authoritative;
        metadata.authentic_data = self.is_authentic;
        metadata.response_code = match self.code.high() {
            // The upper half of a code is in the EDNS record.
            1.. if request.edns.is_none() => ResponseCode::ServFail,
            _ => self.code,
        };
        metadata
    }
}

/// Everything of an answer's bytes but its records.
struct Form<'a> {
    request: &'a Request,
    edns: Option<&'a Edns>,
    metadata: Metadata,
    limit: u16,
}

impl Form<'_> {
    fn encode(&self, answer: &Answer) -> Result<(Vec<u8>, Metadata, HeaderCounts), ProtoError> {
        let Answer { answers, authorities, additionals, .. } = answer;
        let response = MessageResponseBuilder::new(&self.request.queries, self.edns).build(
            self.metadata,
            answers.iter(),
            authorities.iter(),
            std::iter::empty(),
            additionals.iter(),
        );
        let mut bytes = Vec::with_capacity(usize::from(PLAIN_UDP_ANSWER_MAX));
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(self.limit);
        let info = response.destructive_emit(&mut encoder)?;
        Ok((bytes, *info, info.counts()))
    }

    /// The first records only, marked as truncated. Some resolvers (musl before 1.2.4) use them.
    fn encode_first(mut self, answer: &Answer, counts: HeaderCounts) -> Vec<u8> {
        self.metadata.truncation = true;
        let first = usize::from(counts.answers).saturating_sub(1);
        let answers = answer.answers.iter().take(first).cloned().collect();
        let first = self.encode(&Answer { answers, ..Answer::default() });
        first.map_or_else(|_| self.encode_failure(), |(bytes, ..)| bytes)
    }

    /// An answer that cannot be encoded.
    fn encode_failure(&self) -> Vec<u8> {
        let metadata = &self.request.metadata;
        let code = ResponseCode::ServFail;
        Message::error_msg(metadata.id, metadata.op_code, code).to_vec().unwrap_or_default()
    }
}

/// A name from labels with dots between them, letter by letter.
pub(crate) fn name_of(text: &str) -> Result<Name, ProtoError> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    Name::from_labels(labels.map(str::as_bytes))
}
