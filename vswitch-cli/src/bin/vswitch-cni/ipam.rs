//! Addresses of another plugin, which `ipam.type` names: a program of one of the folders of `CNI_PATH` that
//! gets our own parameters and configuration.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ipnet::IpNet;
use serde_json::Value;

use crate::config::{Config, Dns};
use crate::environment::Read;
use crate::error::{CniError, Code, Outcome};
use crate::result::CniResult;

/// An IPAM plugin.
pub(crate) struct Ipam<'a> {
    name: &'a str,
    program: PathBuf,
    config: &'a str,
}

/// Addresses that a plugin gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) further: Vec<IpAddr>,
    /// Gateways that it named.
    pub(crate) gateways: Vec<IpAddr>,
    /// For the container's `resolv.conf`.
    pub(crate) dns: Dns,
}

impl<'a> Ipam<'a> {
    /// The plugin of a configuration; none if the switch gives the addresses.
    pub(crate) fn of(config: &'a Config, read: Read<'_>) -> Outcome<Option<Self>> {
        let Some(name) = config.ipam.as_deref() else { return Ok(None) };
        let folders = read("CNI_PATH").unwrap_or_default();
        let mut found =
            folders.split(':').filter(|it| !it.is_empty()).map(|it| PathBuf::from(it).join(name));
        let program = found.find(|path| path.is_file()).ok_or_else(|| {
            let fault =
                format!("ipam.type: there is no {name} in the folders of CNI_PATH, {folders:?}");
            CniError::new(Code::InvalidConfig, fault)
                .with_remedy("install it there, or leave ipam out: then the switch gives addresses")
        })?;
        Ok(Some(Self { name, program, config: &config.text }))
    }

    /// ADD.
    pub(crate) fn add(&self) -> Outcome<Given> {
        let given = self.run("ADD").and_then(|output| self.given(&self.read(&output)?));
        given.map_err(|error| self.release_after(error))
    }

    fn read(&self, output: &[u8]) -> Outcome<CniResult> {
        let whose = format!("the answer of {}", self.name);
        let value: Value = serde_json::from_slice(output).map_err(|error| {
            CniError::new(Code::Decoding, format!("{whose} is no JSON: {error}"))
        })?;
        CniResult::read(value, &whose)
    }

    /// Any other operation.
    pub(crate) fn call(&self, operation: &str) -> Outcome {
        self.run(operation).map(drop)
    }

    /// Gives the addresses back after a failure. If that fails, too, the error says both.
    pub(crate) fn release_after(&self, error: CniError) -> CniError {
        match self.call("DEL") {
            Ok(()) => error,
            Err(second) => {
                let message =
                    format!("{}; and addresses may stay reserved: {second}", error.message);
                CniError { message, ..error }
            }
        }
    }

    fn run(&self, operation: &str) -> Outcome<Vec<u8>> {
        let failed = |problem: std::io::Error| {
            CniError::new(Code::Io, format!("cannot run {}: {problem}", self.program.display()))
        };
        let mut command = Command::new(&self.program);
        command.env("CNI_COMMAND", operation).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it ends by itself.
            let _ = stdin.write_all(self.config.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let told = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        let code = told.get("code").and_then(Value::as_u64).unwrap_or(Code::Refused.number());
        let text =
            |key: &str| told.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let message = text("msg").map_or_else(|| output.status.to_string(), str::to_owned);
        let message = format!("{} {operation}: {message}", self.name);
        let error = CniError::new(Code::Delegate(code), message);
        Err(match text("details") {
            Some(details) => error.with_remedy(details),
            None => error,
        })
    }

    fn given(&self, result: &CniResult) -> Outcome<Given> {
        let mut given = Given { dns: result.dns.clone(), ..Given::default() };
        for ip in &result.ips {
            match ip.address.addr() {
                IpAddr::V4(address) if given.ipv4.is_none() => given.ipv4 = Some(address),
                IpAddr::V6(address) if given.ipv6.is_none() => given.ipv6 = Some(address),
                address => given.further.push(address),
            }
            given.gateways.extend(ip.gateway);
        }
        if given.ipv4.is_none() && given.ipv6.is_none() {
            return Err(CniError::new(
                Code::InvalidConfig,
                format!("{} gave no address", self.name),
            ));
        }
        // All that is not in the subnet goes to the network's gateway, by the default route.
        let other =
            result.routes.iter().find(|it| it.gw.is_some_and(|gw| !given.gateways.contains(&gw)));
        match other {
            None => Ok(given),
            Some(route) => Err(self.foreign_gateway(route.gw, Some(route.dst))),
        }
    }

    /// Refuses gateways that are not the network's.
    pub(crate) fn check_gateways(&self, given: &Given, gateways: &[IpAddr]) -> Outcome {
        match given.gateways.iter().find(|it| !gateways.contains(it)) {
            None => Ok(()),
            Some(other) => Err(self.foreign_gateway(Some(*other), None)),
        }
    }

    fn foreign_gateway(&self, gateway: Option<IpAddr>, to: Option<IpNet>) -> CniError {
        let gateway = gateway.map_or_else(|| "none".to_owned(), |gateway| gateway.to_string());
        let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
        let fault =
            format!("{} names the gateway {gateway}{to}, which is not the network's", self.name);
        CniError::new(Code::InvalidConfig, fault)
            .with_remedy("give ipam the subnet and gateway of the network: vswitch network ls")
    }
}
