//! From a URL to a registry.

use std::sync::Arc;

use crate::RegistryError;
use crate::api::Registry;
use crate::consul::Consul;
use crate::etcd::Etcd;
use crate::file::FileRegistry;
use crate::secret::Secret;
use crate::url::{RegistryUrl, Scheme};
use crate::zookeeper::ZooKeeper;

/// Opens a registry: reads the files that the URL names, and connects with the first request.
///
/// # Errors
/// [`RegistryError::File`] where a file is of no use.
pub fn open(url: &RegistryUrl) -> Result<Arc<dyn Registry>, RegistryError> {
    let file = url.secret_file.as_deref().map(Secret::read).transpose()?;
    let secret = file.or_else(|| url.password.clone());
    Ok(match url.scheme {
        Scheme::Etcd => Arc::new(Etcd::new(url, secret)?),
        Scheme::ZooKeeper => Arc::new(ZooKeeper::new(url, secret)?),
        Scheme::Consul => Arc::new(Consul::new(url, secret)?),
        Scheme::File => Arc::new(FileRegistry::new(url)),
    })
}
