//! `CNI_ARGS`: `KEY=VALUE` pairs with `;` between them.

use std::net::IpAddr;

use vswitch_api::MacAddr;

use crate::error::{CniError, Code, Outcome};

/// What `CNI_ARGS` may hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// `IP`: a fixed address.
    pub(crate) ip: Option<IpAddr>,
    /// `MAC`: a fixed MAC address.
    pub(crate) mac: Option<MacAddr>,
    /// `K8S_POD_NAME`: a pod of Kubernetes, or a container of podman.
    pub(crate) pod: Option<String>,
    /// `K8S_POD_NAMESPACE`
    pub(crate) pod_namespace: Option<String>,
    /// `K8S_POD_UID`
    pub(crate) pod_uid: Option<String>,
}

impl Arguments {
    /// Reads the variable. An unknown key is refused unless `IgnoreUnknown` says otherwise.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let mut arguments = Self::default();
        let mut unknown = Vec::new();
        let mut ignores_unknown = false;
        for pair in text.split(';').filter(|pair| !pair.trim().is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(invalid(format!("{pair:?} has no `=`")));
            };
            let wrong = |what: &str| invalid(format!("{key}={value} is no {what}"));
            let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
            match key {
                // As in Go, an empty address is none.
                "IP" | "MAC" if value.is_empty() => {}
                "IP" => arguments.ip = Some(address(value).ok_or_else(|| wrong("address"))?),
                "MAC" => {
                    arguments.mac = Some(value.parse().map_err(|_| wrong("MAC address"))?);
                }
                "K8S_POD_NAME" => arguments.pod = text(),
                "K8S_POD_NAMESPACE" => arguments.pod_namespace = text(),
                "K8S_POD_UID" => arguments.pod_uid = text(),
                "K8S_POD_INFRA_CONTAINER_ID" => {}
                "IgnoreUnknown" => {
                    ignores_unknown = matches!(value.to_ascii_lowercase().as_str(), "1" | "true")
                }
                _ => unknown.push(pair),
            }
        }
        if ignores_unknown || unknown.is_empty() {
            return Ok(arguments);
        }
        Err(invalid(format!("{} is unknown", unknown.join(";")))
            .with_remedy("known are IP, MAC and K8S_POD_...; IgnoreUnknown=1 lets others pass"))
    }
}

/// An address; a prefix length behind it is left out.
fn address(text: &str) -> Option<IpAddr> {
    text.split_once('/').map_or(text, |(address, _)| address).parse().ok()
}

fn invalid(fault: String) -> CniError {
    CniError::new(Code::InvalidEnvironment, format!("CNI_ARGS: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_write_it_in_these_ways() {
        let podman = "IgnoreUnknown=1;K8S_POD_NAME=web;MAC=02:00:00:00:00:01;IP=10.99.0.7";
        let arguments = Arguments::parse(podman).unwrap();
        assert_eq!(arguments.pod.as_deref(), Some("web"));
        assert_eq!(arguments.ip, Some("10.99.0.7".parse().unwrap()));
        assert_eq!(arguments.mac.unwrap().to_string(), "02:00:00:00:00:01");
        let kubernetes = "K8S_POD_INFRA_CONTAINER_ID=ab;K8S_POD_UID=u;IgnoreUnknown=true;\
                          K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;X=1";
        let arguments = Arguments::parse(kubernetes).unwrap();
        assert_eq!(arguments.pod_namespace.as_deref(), Some("shop"));
        assert_eq!(Arguments::parse("").unwrap(), Arguments::default());
        assert_eq!(Arguments::parse("IP=;IgnoreUnknown=TRUE;X=1").unwrap(), Arguments::default());
    }

    #[test]
    fn what_is_wrong_is_refused_by_its_name() {
        for (text, value) in
            [("X=1", "X=1"), ("IP=web", "IP=web"), ("MAC=1", "MAC=1"), ("IP", "\"IP\"")]
        {
            let error = Arguments::parse(text).unwrap_err();
            assert_eq!(error.code.number(), 4);
            assert!(error.message.contains(value), "{error}");
        }
    }
}
