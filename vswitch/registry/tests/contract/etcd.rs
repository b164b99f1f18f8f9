//! etcd as a real server.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{COMMAND_TIMEOUT, Etcd, run};
use vswitch_registry::RegistryError;

use crate::server::{Server, connect_url};
use crate::suite;
use crate::watches::Mirror;

impl Server for Etcd {
    fn scheme(&self) -> &'static str {
        "etcd"
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(Etcd::address(self))
    }

    fn has_history(&self) -> bool {
        true
    }

    fn stop(&mut self) {
        Etcd::stop(self);
    }

    fn start(&mut self) {
        Etcd::start(self);
    }

    fn wipe(&mut self) {
        Etcd::wipe(self);
    }

    fn freeze(&self) {
        Etcd::freeze(self);
    }

    fn thaw(&self) {
        Etcd::thaw(self);
    }

    fn compact(&self) {
        Etcd::compact(self);
    }
}

#[test]
fn etcd_keeps_the_contract() {
    suite::run(async { suite::contract(&mut Etcd::new(Vec::new())).await });
}

/// A CA, and a certificate of 127.0.0.1 with its key.
fn certificates(folder: &Path) {
    let openssl = |args: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(args.split(' '));
        run(&mut command, b"", COMMAND_TIMEOUT).ok();
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=test-ca"));
    openssl(&format!(
        "req -x509 {key} -keyout server.key -out server.pem -days 30 -subj /CN=server \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
         -CA ca.pem -CAkey ca.key"
    ));
}

#[test]
fn etcd_with_tls_and_users() {
    let files = tempfile::tempdir().expect("folder");
    certificates(files.path());
    let path = |name: &str| files.path().join(name).display().to_string();
    let options = ["--cert-file", &path("server.pem"), "--key-file", &path("server.key")];
    let mut server = Etcd::new(options.map(str::to_owned).to_vec());
    let (address, ca) = (Etcd::address(&server), path("ca.pem"));
    std::fs::write(path("password"), "nodepass\n").expect("write");
    std::fs::write(path("wrong"), "other\n").expect("write");
    suite::run(async {
        // A user where there are none, over TLS.
        let user = format!("etcd://{address}?ca={ca}&user=node&password-file={}", path("password"));
        let early = connect_url(&user).expect("opens");
        early.create("v1/early", "1", None).await.expect("create");
        server.require_users();
        early.create("v1/later", "1", None).await.expect("create");
        let cases = [
            (format!("etcd://{address}?ca={ca}"), "user name is empty"),
            (format!("etcd://node:other@{address}?ca={ca}"), "invalid user ID or password"),
            (format!("etcd://nobody:x@{address}?ca={ca}"), "authentication failed"),
            (
                user.replace("/?", "/elsewhere?").replace("?ca", "/elsewhere?ca"),
                "permission denied",
            ),
            (user.replace(&path("password"), &path("wrong")), "invalid user ID or password"),
        ];
        for (url, expected) in cases {
            let registry = connect_url(&url).expect("opens");
            let results =
                [registry.status().await.err(), registry.create("v1/x", "1", None).await.err()];
            for error in results {
                let is_right = matches!(&error, Some(RegistryError::Denied { problem, .. })
                    if problem.contains(expected));
                assert!(is_right, "{url}: {error:?}");
                assert!(!format!("{error:?}").contains("nodepass"), "{error:?}");
            }
        }
        let registry = connect_url(&user).expect("opens");
        assert!(!format!("{registry:?}").contains("nodepass"), "{registry:?}");
        let mut mirror = Mirror::start(&*registry, "v1/").await;
        let lease = registry.grant(Duration::from_secs(5)).await.expect("grant");
        registry.create("v1/nodes/n1", "1", Some(lease.id())).await.expect("create");
        mirror.until_same("an entry", &*registry, "v1/").await;
        // The server forgets its tokens: new ones are asked for.
        server.stop();
        mirror.until("the interruption", |mirror| mirror.is_interrupted).await;
        server.start();
        mirror.until("the return", |mirror| !mirror.is_interrupted).await;
        registry.create("v1/after", "1", None).await.expect("create");
        mirror.until_same("an entry after it", &*registry, "v1/").await;
        trust(&server, &path("server.pem")).await;
    });
}

/// Who does not trust the server's certificate, or speaks without TLS, gets no answer.
async fn trust(server: &Etcd, other: &str) {
    let address = Etcd::address(server);
    for (url, expected) in [
        (format!("etcd://{address}"), "127.0.0.1"),
        (format!("etcd://{address}?ca={other}"), "TLS: "),
        (format!("etcd://{address}?tls=true"), "TLS: "),
    ] {
        let error = connect_url(&url).expect("opens").status().await.expect_err("no trust");
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
}
