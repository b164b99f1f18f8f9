//! URLs of registries: `etcd://192.0.2.9:2379,192.0.2.10/blue?ca=/etc/vswitch/ca.pem`.
//!
//! ```text
//! SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/PREFIX][?OPTION=VALUE&...]
//! file:///PATH
//! ```

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::key::check_key;
use crate::secret::Secret;

mod shown;

/// Kind of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// etcd 3.4 or later, by its JSON gateway.
    Etcd,
    /// ZooKeeper 3.6 or later.
    ZooKeeper,
    /// Consul, by its HTTP API.
    Consul,
    /// A TOML file of peers and endpoints.
    File,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Etcd, Self::ZooKeeper, Self::Consul, Self::File];

    fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ZooKeeper => "zookeeper",
            Self::Consul => "consul",
            Self::File => "file",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Etcd => 2379,
            Self::ZooKeeper => 2181,
            Self::Consul => 8500,
            Self::File => 0,
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Etcd => &["ca", "cert", "key", "tls", "user", "password-file"],
            Self::ZooKeeper => &["ca", "cert", "key", "tls", "user", "password-file"],
            Self::Consul => &["ca", "cert", "key", "tls", "token-file"],
            Self::File => &[],
        }
    }
}

/// One server of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Files of TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFiles {
    /// Certificates that are trusted, in PEM; none: those of the system.
    pub ca: Option<PathBuf>,
    /// The client's own certificate, in PEM.
    pub cert: Option<PathBuf>,
    /// Its key, in PEM.
    pub key: Option<PathBuf>,
}

/// A parsed URL. `Display` and `Debug` leave the password out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryUrl {
    /// Kind of registry.
    pub scheme: Scheme,
    /// Servers, in the order in which they are tried; none for a file.
    pub endpoints: Vec<Endpoint>,
    /// Prefix of all keys, without slashes at its ends; the path of a file.
    pub prefix: String,
    /// TLS, where it is used.
    pub tls: Option<TlsFiles>,
    /// User of etcd and ZooKeeper.
    pub user: Option<String>,
    /// Password in the URL itself.
    pub password: Option<Secret>,
    /// File of the password or token.
    pub secret_file: Option<PathBuf>,
}

/// Why a text is not the URL of a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad registry URL {url:?}: {problem}")]
pub struct UrlError {
    url: String,
    problem: String,
}

/// Prefix of a URL without one.
const PREFIX: &str = "vswitch";

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        for (n, endpoint) in self.endpoints.iter().enumerate() {
            write!(f, "{}{endpoint}", if n > 0 { "," } else { "" })?;
        }
        write!(f, "{}{}", if self.scheme == Scheme::File { "" } else { "/" }, self.prefix)
    }
}

impl FromStr for RegistryUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        parse(text).map_err(|problem| shown::error(text, problem))
    }
}

fn parse(text: &str) -> Result<RegistryUrl, String> {
    let known = || Scheme::ALL.map(|scheme| format!("{}://", scheme.name())).join(", ");
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("it has no scheme; use one of {}", known()))?;
    let scheme = Scheme::ALL
        .into_iter()
        .find(|known| known.name() == scheme)
        .ok_or_else(|| format!("unknown scheme {scheme}; use one of {}", known()))?;
    let (rest, options) =
        rest.split_once('?').map_or((rest, ""), |(rest, options)| (rest, options));
    let mut url = RegistryUrl {
        scheme,
        endpoints: Vec::new(),
        prefix: String::new(),
        tls: None,
        user: None,
        password: None,
        secret_file: None,
    };
    if scheme == Scheme::File {
        if !rest.starts_with('/') {
            return Err("the path must be absolute: file:///etc/vswitch/overlay.toml".to_owned());
        }
        url.prefix = decode(rest)?;
    } else {
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        parse_authority(&mut url, authority)?;
        let prefix = decode(prefix.trim_matches('/'))?;
        url.prefix = if prefix.is_empty() { PREFIX.to_owned() } else { prefix };
        check_key(&url.prefix).map_err(|error| format!("prefix: {error}"))?;
    }
    parse_options(&mut url, options)?;
    check(&url)?;
    Ok(url)
}

fn parse_authority(url: &mut RegistryUrl, authority: &str) -> Result<(), String> {
    let mut hosts = authority;
    if let Some((user, rest)) = authority.rsplit_once('@') {
        if url.scheme == Scheme::Consul {
            return Err("Consul knows no users; use ?token-file=PATH".to_owned());
        }
        let (user, password) = user.split_once(':').map_or((user, None), |(u, p)| (u, Some(p)));
        // The error has no part of the text, which may be a secret.
        let decode = |text| decode(text).map_err(|_| "user or password: not UTF-8".to_owned());
        url.user = Some(decode(user)?);
        url.password = password.map(decode).transpose()?.map(Secret::new);
        hosts = rest;
    }
    for host in hosts.split(',') {
        url.endpoints.push(parse_endpoint(host, url.scheme.default_port())?);
    }
    Ok(())
}

fn parse_endpoint(text: &str, default_port: u16) -> Result<Endpoint, String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| format!("{text} lacks a ]"))?;
            host.parse::<Ipv6Addr>().map_err(|_| format!("{host} is no IPv6 address"))?;
            let port = match port.strip_prefix(':') {
                None if port.is_empty() => None,
                None => return Err(format!("{text}: a port follows ] by a colon")),
                Some(port) => Some(port),
            };
            (host, port)
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if port.is_some_and(|port| port.contains(':')) {
        return Err(format!("write an IPv6 address in brackets: [{text}]:{default_port}"));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(format!("{text:?} is no HOST:PORT"));
    }
    let port = match port {
        None => default_port,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("{port:?} is no port (1 to 65535)"))?,
    };
    Ok(Endpoint { host: host.to_owned(), port })
}

fn parse_options(url: &mut RegistryUrl, options: &str) -> Result<(), String> {
    let known = url.scheme.options();
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if !known.contains(&name) {
            let of = url.scheme.name();
            return Err(match known {
                [] => format!("{of}:// takes no options"),
                _ => format!("unknown option {name}; {of}:// takes {}", known.join(", ")),
            });
        }
        let value = decode(value)?;
        if value.is_empty() {
            return Err(format!("option {name} has no value"));
        }
        let tls = |url: &mut RegistryUrl| url.tls.take().unwrap_or_default();
        match name {
            "tls" if value == "true" => url.tls = Some(tls(url)),
            "tls" => return Err(format!("tls={value}: the value is true, or leave it out")),
            "ca" => url.tls = Some(TlsFiles { ca: Some(value.into()), ..tls(url) }),
            "cert" => url.tls = Some(TlsFiles { cert: Some(value.into()), ..tls(url) }),
            "key" => url.tls = Some(TlsFiles { key: Some(value.into()), ..tls(url) }),
            "user" => url.user = Some(value),
            _ => url.secret_file = Some(value.into()),
        }
    }
    Ok(())
}

fn check(url: &RegistryUrl) -> Result<(), String> {
    if let Some(tls) = &url.tls
        && tls.cert.is_some() != tls.key.is_some()
    {
        return Err("cert and key go together".to_owned());
    }
    let has_secret = url.password.is_some() || url.secret_file.is_some();
    if url.password.is_some() && url.secret_file.is_some() {
        return Err("a password and password-file exclude each other".to_owned());
    }
    if url.scheme != Scheme::Consul && url.user.is_some() != has_secret {
        return Err("a user and a password go together: ?user=NAME&password-file=PATH".to_owned());
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| format!("{text:?} is not UTF-8"))
}

#[cfg(test)]
mod tests;
