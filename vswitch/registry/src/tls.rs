//! Connections to a server, with or without TLS.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::RegistryError;
use crate::limits::CONNECT_TIMEOUT;
use crate::url::{Endpoint, TlsFiles};

/// Certificates of the system, as Debian, Fedora and SUSE name them.
const SYSTEM_CA: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// A byte stream to a server.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector(Option<TlsConnector>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "TLS" } else { "TCP" })
    }
}

impl Connector {
    /// Reads the files of TLS, where it is used.
    pub(crate) fn new(files: Option<&TlsFiles>) -> Result<Self, RegistryError> {
        files.map(connector).transpose().map(Self)
    }

    /// Connects within [`CONNECT_TIMEOUT`].
    pub(crate) async fn connect(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, String> {
        let connected = timeout(CONNECT_TIMEOUT, self.open(endpoint)).await;
        let late = || format!("no connection within {} s", CONNECT_TIMEOUT.as_secs());
        let result = connected.unwrap_or_else(|_| Err(late()));
        result.map_err(|problem| format!("{endpoint}: {problem}"))
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Box<dyn Stream>, String> {
        let address = (endpoint.host.as_str(), endpoint.port);
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let Some(tls) = &self.0 else { return Ok(Box::new(stream)) };
        let name =
            ServerName::try_from(endpoint.host.clone()).map_err(|error| error.to_string())?;
        let stream = tls.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
        Ok(Box::new(stream))
    }
}

fn connector(files: &TlsFiles) -> Result<TlsConnector, RegistryError> {
    let mut roots = RootCertStore::empty();
    let system = || SYSTEM_CA.iter().map(Path::new).find(|path| path.exists());
    let ca = files.ca.as_deref().or_else(system).ok_or_else(|| RegistryError::File {
        path: SYSTEM_CA[0].into(),
        problem: "not there; name a file by ?ca=PATH".to_owned(),
    })?;
    for certificate in certificates(ca)? {
        let added = roots.add(certificate);
        // The system's file may have certificates that rustls does not take.
        if files.ca.is_some() {
            added.map_err(|error| fail(ca, &error))?;
        }
    }
    // A provider of its own, so that no other user of rustls in this process matters.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(ca, &error))?
        .with_root_certificates(roots);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| fail(key, &error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| fail(cert, &error))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| fail(path, &error))?;
    let read: Result<Vec<_>, _> = read.collect();
    let read = read.map_err(|error| fail(path, &error))?;
    if read.is_empty() {
        return Err(fail(path, &"no certificate in PEM form"));
    }
    Ok(read)
}

fn fail(path: &Path, problem: &dyn fmt::Display) -> RegistryError {
    RegistryError::File { path: path.to_owned(), problem: problem.to_string() }
}
