//! More entries than a page of a listing and than requests in flight.

use futures_util::StreamExt;
use futures_util::stream::iter;
use tokio::time::Instant;
use vswitch_registry::Operation;

use crate::server::Server;
use crate::watches::Mirror;

/// Transactions at once.
const WRITERS: usize = 8;

/// Entries of an ordinary run.
const ENTRIES: usize = 4_500;

/// `make soak` asks for the entries of a thousand nodes. The double of Consul copies all of them in each transaction.
fn count(server: &dyn Server) -> usize {
    match std::env::var("SOAK_ENTRIES") {
        Ok(text) if server.scheme() != "consul" => text.parse().expect("a number"),
        _ => ENTRIES,
    }
}

pub(crate) async fn many_entries(server: &dyn Server) {
    let registry = server.client("many");
    let count = count(server);
    let create = |n: usize| Operation::Create {
        key: format!("v1/endpoints/blue/{}/{n}", n / 64),
        value: format!(r#"{{"node":"n{}","mac":"02:00:00:00:00:01","name":"c{n}"}}"#, n / 100)
            .into(),
        lease: None,
    };
    let all: Vec<_> = (0..count).map(create).collect();
    let transactions = iter(all.chunks(registry.operations_max()));
    let began = Instant::now();
    let transactions = transactions.map(|operations| registry.transact(operations));
    let results: Vec<_> = transactions.buffer_unordered(WRITERS).collect().await;
    let failed = results.into_iter().find_map(Result::err);
    assert_eq!(failed, None);
    let written = began.elapsed();
    let began = Instant::now();
    let listing = registry.list("v1/").await.expect("list");
    eprintln!(
        "{}: {} entries written in {} ms, listed in {} ms",
        server.scheme(),
        count,
        written.as_millis(),
        began.elapsed().as_millis()
    );
    assert_eq!(listing.entries.len(), count);
    assert!(listing.entries.is_sorted_by(|a, b| a.key < b.key));
    let mut mirror = Mirror::of(&*registry, &listing);
    registry.create("v1/vnis/1", "1", None).await.expect("create");
    mirror.until("a change", |mirror| mirror.entries.contains_key("v1/vnis/1")).await;
    assert_eq!(mirror.entries.len(), count + 1);
}
