//! Redis with its benchmark and large values; PostgreSQL with pgbench and large rows.

use std::path::PathBuf;

use testkit::{Netns, READY_MAX, run, wait_for};

use super::{LOAD_LIMIT, assert_same, pair, serve, text};
use crate::harness::Container;

const REDIS: &str = "6379";

#[test]
fn redis_with_its_benchmark_and_values_of_a_megabyte() {
    let (_host, server, client) = pair(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let mut args = vec!["redis-server", "--dir", text(dir.path()), "--port", REDIS];
    args.extend(["--protected-mode", "no", "--save", "", "--appendonly", "no"]);
    args.extend(["--bind", "0.0.0.0", "::"]);
    let _redis = serve(&server, &args, 6379);
    for address in [server.v4(), server.v6()] {
        let address = address.to_string();
        let benchmark = |options: &str| {
            let mut args = vec!["redis-benchmark", "-h", &address, "-p", REDIS, "--csv"];
            args.extend(options.split_whitespace());
            let said = client.exec_within(&args, LOAD_LIMIT).ok();
            let mut rates = said.lines().skip(1).filter_map(|line| line.split('"').nth(3));
            let is_rate = |rate: &str| rate.parse::<f64>().is_ok_and(|rate| rate > 1.0);
            assert!(said.lines().count() > 1 && rates.all(is_rate), "{options}: {said}");
            assert!(!said.contains("rror"), "{options}: {said}");
        };
        benchmark("-t set,get,lpush,lrange_100 -n 4000 -c 50");
        benchmark("-t set,get -n 20000 -c 20 -P 16 -d 1000");
        benchmark("-t set,get -n 200 -c 5 -d 1000000");
        value_comes_back(&client, &address);
    }
}

/// A value of 1 MB, other than any that the benchmark has written.
#[track_caller]
fn value_comes_back(client: &Netns, address: &str) {
    let value: String =
        (0..131_072).map(|n: u32| format!("{:08x}", n.wrapping_mul(0x9e37_79b1))).collect();
    let cli = |args: &[&str], input: &[u8]| {
        let args = [&["redis-cli", "--raw", "-h", address, "-p", REDIS][..], args].concat();
        run(&mut client.command(&args), input, LOAD_LIMIT).ok()
    };
    assert_eq!(cli(&["-x", "set", "value"], value.as_bytes()), "OK\n");
    let got = cli(&["get", "value"], b"");
    assert!(got.trim_end() == value, "{} bytes come back of {}", got.len(), value.len());
    assert_eq!(cli(&["strlen", "value"], b""), "1048576\n");
}

/// A folder of somebody without privilege, in which a PostgreSQL server keeps its data.
struct Postgres {
    bin: PathBuf,
    dir: tempfile::TempDir,
}

impl Postgres {
    const USER: &str = "nobody";

    #[track_caller]
    fn new(server: &Netns) -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("package postgresql");
        let bins = versions.flatten().map(|version| version.path().join("bin"));
        let bin = bins.max().expect("a version of PostgreSQL");
        let dir = tempfile::tempdir().expect("a directory");
        server.ok(&["chown", Self::USER, text(dir.path())]);
        let this = Self { bin, dir };
        let (initdb, data) = (this.bin.join("initdb"), this.data());
        let mut args = this.as_user(text(&initdb));
        args.extend(["-D", text(&data), "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust"]);
        server.exec_within(&args, LOAD_LIMIT).ok();
        let rules = "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n";
        std::fs::write(data.join("pg_hba.conf"), rules).expect("rules of access");
        this
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn as_user<'a>(&self, program: &'a str) -> Vec<&'a str> {
        vec!["runuser", "-u", Self::USER, "--", program]
    }

    /// Runs one of its programs, connected to the server.
    #[track_caller]
    fn ok(&self, client: &Netns, address: &str, program: &str, args: &[&str]) -> String {
        let program = self.bin.join(program);
        let own = [text(&program), "-h", address, "-U", Self::USER];
        client.exec_within(&[&own[..], args, &["postgres"]].concat(), LOAD_LIMIT).ok()
    }
}

#[test]
fn postgres_with_pgbench_and_large_rows() {
    let (_host, server, client) = pair(&[]);
    let postgres = Postgres::new(&server);
    let (program, data) = (postgres.bin.join("postgres"), postgres.data());
    let mut args = postgres.as_user(text(&program));
    args.extend(["-D", text(&data), "-k", text(postgres.dir.path()), "-h", "*", "-F"]);
    let _server = serve(&server, &args, 5432);
    // It listens before it is ready.
    let ready = postgres.bin.join("pg_isready");
    wait_for("PostgreSQL is ready", READY_MAX, || {
        server.exec(&[text(&ready), "-q", "-h", "127.0.0.1"]).status.success()
    });
    for (n, address) in [server.v4(), server.v6()].iter().enumerate() {
        transactions(&postgres, &client, &address.to_string(), n);
        rows(&postgres, &client, &address.to_string());
    }
}

/// After transfers all balances have the sum of the transfers.
#[track_caller]
fn transactions(postgres: &Postgres, client: &Container, address: &str, n: usize) {
    postgres.ok(client, address, "pgbench", &["-i", "-q"]);
    let protocol = ["extended", "simple"][n];
    let args = ["-c", "8", "-j", "2", "-t", "100", "--protocol", protocol];
    let said = postgres.ok(client, address, "pgbench", &args);
    assert!(said.contains("actually processed: 800/800"), "{said}");
    let sums = "select (select sum(abalance) from pgbench_accounts) = sum(delta), \
        (select sum(bbalance) from pgbench_branches) = sum(delta), \
        (select sum(tbalance) from pgbench_tellers) = sum(delta), count(*) from pgbench_history";
    assert_eq!(postgres.ok(client, address, "psql", &["-Atc", sums]), "t|t|t|800\n");
}

/// Some megabytes by `COPY` to the client, and back, are the same.
#[track_caller]
fn rows(postgres: &Postgres, client: &Container, address: &str) {
    let [first, second] = ["first", "second"].map(|name| postgres.dir.path().join(name));
    let psql = |command: &str| postgres.ok(client, address, "psql", &["-qc", command]);
    psql("drop table if exists a, b");
    psql(
        "create table a as select n, repeat(md5(n::text), 3 + n % 200) t from generate_series(1, 3000) n",
    );
    psql(&format!("\\copy (select * from a order by n) to '{}'", first.display()));
    psql("create table b (n int, t text)");
    psql(&format!("\\copy b from '{}'", first.display()));
    psql(&format!("\\copy (select * from b order by n) to '{}'", second.display()));
    assert!(std::fs::metadata(&first).expect("a file").len() > 5_000_000);
    assert_same(&first, &second);
    let differ = "select count(*) from a join b using (n) where a.t = b.t";
    assert_eq!(postgres.ok(client, address, "psql", &["-Atc", differ]), "3000\n");
}
