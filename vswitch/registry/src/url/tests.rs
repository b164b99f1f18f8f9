use super::{RegistryUrl, Scheme};

fn parse(text: &str) -> RegistryUrl {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn endpoints_prefix_and_options() {
    let url =
        parse("etcd://192.0.2.9:2379,b.example,[2001:db8::1]:2380/blue/one?ca=%2Fetc%2Fca.pem");
    assert_eq!(url.scheme, Scheme::Etcd);
    let endpoints: Vec<_> = url.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["192.0.2.9:2379", "b.example:2379", "[2001:db8::1]:2380"]);
    assert_eq!(url.prefix, "blue/one");
    assert_eq!(url.tls.expect("TLS").ca.expect("a CA").to_str(), Some("/etc/ca.pem"));
    assert_eq!(parse("zookeeper://[::1]").endpoints[0].port, 2181);
    assert_eq!(parse("consul://a/").prefix, "vswitch");
    assert_eq!(parse("consul://a?token-file=/t").secret_file.expect("file").to_str(), Some("/t"));
    assert_eq!(
        parse("file:///etc/vswitch/peers.toml").to_string(),
        "file:///etc/vswitch/peers.toml"
    );
    assert!(parse("etcd://a?tls=true").tls.is_some_and(|tls| tls.ca.is_none()));
}

#[test]
fn passwords_are_not_shown() {
    let url = parse("etcd://node:pass%40word@a:1/x");
    assert_eq!(url.user.as_deref(), Some("node"));
    assert_eq!(url.password.as_ref().map(|password| password.reveal()), Some("pass@word"));
    assert_eq!(url.to_string(), "etcd://a:1/x");
    assert!(!format!("{url:?}").contains("pass@"), "{url:?}");
    for bad in [
        "etcd://node:secret@a:0",
        "etc://node:secret@a",
        "node:secret@a",
        "etcd://n:secret@a?x=1",
        "etcd://n:x/secret@a",
        "etcd://n:secret/x@a",
        "etcd://n:1?secret@a",
        "etcd://n:secret%ff@a",
        "etcd://n@x:secret@a:0",
        "etcd://a?password=secret",
        "etcd://a?user=n&token=secret",
        "consul://a?token=secret",
        "consul://secret@a",
        "consul://secret:x@a",
    ] {
        let error = bad.parse::<RegistryUrl>().expect_err(bad).to_string();
        assert!(!error.contains("secret") && error.contains("***"), "{bad}: {error}");
    }
    let error = "etcd://n:x/y@a".parse::<RegistryUrl>().expect_err("a slash").to_string();
    assert!(error.contains("%2F"), "{error}");
    let error = "etcd://a?password-file=/etc/x".parse::<RegistryUrl>().expect_err("no user");
    assert!(error.to_string().contains("/etc/x"), "a path is no secret: {error}");
}

#[test]
fn errors_name_the_part() {
    for (text, part) in [
        ("192.0.2.9:2379", "no scheme"),
        ("redis://a", "unknown scheme redis; use one of etcd://, zookeeper://, consul://, file://"),
        ("etcd://", "no HOST:PORT"),
        ("etcd://a,", "no HOST:PORT"),
        ("etcd://a b", "no HOST:PORT"),
        ("etcd://a:70000", "no port"),
        ("etcd://a:0", "no port"),
        ("etcd://::1", "in brackets"),
        ("etcd://[::1", "lacks a ]"),
        ("etcd://[a]:1", "no IPv6 address"),
        ("etcd://[::1]x", "by a colon"),
        ("etcd://a/b//c", "prefix"),
        ("etcd://a/../b", "prefix"),
        ("etcd://a?token-file=/x", "unknown option token-file; etcd:// takes ca,"),
        ("etcd://a?ca=", "no value"),
        ("etcd://a?tls=yes", "the value is true"),
        ("etcd://a?cert=/x", "cert and key"),
        ("etcd://a?user=n", "user and a password"),
        ("etcd://a?password-file=/x", "user and a password"),
        ("etcd://n:p@a?password-file=/x", "exclude each other"),
        ("consul://n:p@a", "no users"),
        ("file://etc/peers.toml", "absolute"),
        ("file:///etc/peers.toml?x=1", "no options"),
    ] {
        let error = text.parse::<RegistryUrl>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}
