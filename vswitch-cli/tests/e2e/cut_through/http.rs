//! HTTP/1.1 with nginx, curl and wrk; HTTP/2 with nghttpd, curl and h2load; streams of iperf3.

use std::path::Path;

use serde_json::Value;
use testkit::{Netns, READY_MAX};

use super::{LOAD_LIMIT, assert_same, in_urls, pair, random_file, serve, text};

const PORT: u16 = 8080;

const NGINX: &str = "\
daemon off; user root; worker_processes 1; pid FOLDER/pid; error_log FOLDER/error;
events { worker_connections 256; }
http {
  access_log off; sendfile on; keepalive_requests 1000000;
  client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b; fastcgi_temp_path FOLDER/c;
  uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e;
  server { listen PORT; listen [::]:PORT; root FOLDER/files; }
}";

/// Sizes of bodies.
const SIZES: [u64; 9] = [0, 1, 100, 1460, 16_384, 65_535, 1_000_000, 5_000_000, 20_000_000];

/// Files of all sizes below `FOLDER/files`.
fn files(folder: &Path) {
    let files = folder.join("files");
    std::fs::create_dir(&files).expect("a folder");
    for size in SIZES {
        random_file(&files, &size.to_string(), size);
    }
}

/// Fetches files by one connection and compares them.
#[track_caller]
fn fetch(client: &Netns, url: &str, folder: &Path, sizes: &[u64], options: &[&str]) {
    let got: Vec<_> = sizes.iter().map(|size| folder.join(format!("got-{size}"))).collect();
    let urls: Vec<_> = sizes.iter().map(|size| format!("{url}/{size}")).collect();
    let mut args = vec!["curl", "--silent", "--show-error", "--fail", "--max-time", "50"];
    args.extend(["--write-out", "%{num_connects} "]);
    args.extend(options);
    for (url, got) in urls.iter().zip(&got) {
        args.extend(["--output", text(got), url]);
    }
    let connects = client.exec_within(&args, LOAD_LIMIT).ok();
    let opened: u32 = connects.split_whitespace().map(|n| n.parse::<u32>().expect("a count")).sum();
    assert_eq!(opened, 1, "connections by file: {connects}");
    for (size, got) in sizes.iter().zip(&got) {
        assert_same(&folder.join("files").join(size.to_string()), got);
        std::fs::remove_file(got).expect("remove a file");
    }
}

#[test]
fn nginx_with_curl_and_wrk() {
    let (_host, server, client) = pair(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    files(dir.path());
    let configuration =
        NGINX.replace("FOLDER", text(dir.path())).replace("PORT", &PORT.to_string());
    let file = dir.path().join("conf");
    std::fs::write(&file, configuration).expect("a configuration");
    let _nginx = serve(&server, &["nginx", "-p", text(dir.path()), "-c", text(&file)], PORT);
    for address in in_urls(&server) {
        let url = format!("http://{address}:{PORT}");
        fetch(&client, &url, dir.path(), &SIZES, &[]);
        for size in ["100", "65535"] {
            let url = format!("{url}/{size}");
            let said = client.exec_within(&["wrk", "-t2", "-c16", "-d1s", &url], LOAD_LIMIT).ok();
            let requests =
                said.split(" requests in").next().and_then(|it| it.split_whitespace().last());
            assert!(
                requests.is_some_and(|it| it.parse::<u32>().is_ok_and(|it| it > 100)),
                "{said}"
            );
            assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        }
    }
}

#[test]
fn http2_with_curl_and_h2load() {
    let (_host, server, client) = pair(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    files(dir.path());
    let root = dir.path().join("files");
    let port = PORT.to_string();
    let _nghttpd = serve(&server, &["nghttpd", "--no-tls", "-d", text(&root), &port], PORT);
    for address in in_urls(&server) {
        let url = format!("http://{address}:{PORT}");
        // The curl of Debian 12 fails with the second request of such a connection, over loopback, too.
        for size in SIZES {
            fetch(&client, &url, dir.path(), &[size], &["--http2-prior-knowledge"]);
        }
        let url = format!("{url}/16384");
        let args = ["h2load", "-n", "3000", "-c", "8", "-m", "10", &url];
        let said = client.exec_within(&args, LOAD_LIMIT).ok();
        assert!(said.contains("3000 succeeded, 0 failed, 0 errored"), "{said}");
        // Of the bodies.
        assert!(said.contains(&format!("({}) data", 3000 * 16_384)), "{said}");
    }
}

#[test]
fn iperf3_in_both_directions() {
    let (host, server, client) = pair(&[]);
    let mut all = 0;
    for address in [server.v4(), server.v6()] {
        for options in [&["-P", "1"][..], &["-P", "4"], &["-P", "2", "-R"], &["-P", "2", "--bidir"]]
        {
            let iperf = serve(&server, &["iperf3", "--server", "--one-off"], 5201);
            let address = address.to_string();
            let args = [&["iperf3", "-J", "-t", "1", "-c", &address][..], options].concat();
            let said = client.exec_within(&args, LOAD_LIMIT).ok();
            let said: Value = serde_json::from_str(&said).expect("JSON of iperf3");
            assert_eq!(said.get("error"), None, "{said}");
            let received = said["end"]["sum_received"]["bytes"].as_u64().unwrap_or_default();
            assert!(received > 1_000_000, "{options:?}: {said}");
            iperf.finish(READY_MAX).ok();
            all += received;
            eprintln!("{options:?}: {received} of {all}, {:?}", host.stats().cut_through);
        }
    }
    // Senders that never pause come past TCP, too, on a busy machine less often.
    let past_tcp = host.stats().cut_through.bytes;
    assert!(past_tcp > all / 10, "{past_tcp} of {all} bytes");
}
