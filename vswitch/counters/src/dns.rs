//! Counters of the DNS service.

use crate::macros::counters;

counters! {
    /// Counters of the DNS service: one for each query that ends, and those of limits.
    DnsCounters {
        queries: Counter "vswitch_dns_queries_total" "Queries that came, of any kind.";
        answered: Counter "vswitch_dns_answers_total" "Queries answered with addresses or names of containers and gateways.";
        no_data: Counter "vswitch_dns_no_data_answers_total" "Queries for a type of record that a name of ours does not have.";
        no_name: Counter "vswitch_dns_no_name_answers_total" "Queries for a name that does not exist, answered without upstream servers.";
        direct: Counter "vswitch_dns_direct_answers_total" "Queries that a worker answered itself, without the server: a part of the answers with addresses and without data.";
        forwarded: Counter "vswitch_dns_forwarded_queries_total" "Queries answered by an upstream server, or by the cache.";
        cached: Counter "vswitch_dns_cached_answers_total" "Queries answered by the cache.";
        upstream_queries: Counter "vswitch_dns_upstream_queries_total" "Queries sent to upstream servers.";
        upstream_failed: Counter "vswitch_dns_upstream_failures_total" "Queries answered SERVFAIL: no upstream server answered in time, or too many queries waited.";
        unserved: Counter "vswitch_dns_unserved_queries_total" "Queries that are malformed, too long, or of a kind that is not served.";
        unknown_clients: Counter "vswitch_dns_unknown_clients_total" "Queries and connections refused: they came from no port of the switch.";
        loops: Counter "vswitch_dns_loops_total" "Queries refused: an upstream server sent them back.";
        queries_limited: Counter "vswitch_dns_query_limit_total" "Queries refused: as many of their container waited as may.";
        forwards_limited: Counter "vswitch_dns_forward_limit_total" "Questions that failed at once: as many of all containers waited for upstream servers as may.";
        connections_limited: Counter "vswitch_dns_connection_limit_total" "TCP connections closed: their container had as many as it may.";
        all_connections_limited: Counter "vswitch_dns_all_connections_limit_total" "TCP connections closed: all containers together had as many as they may.";
        connections_slow: Counter "vswitch_dns_slow_connections_total" "TCP connections closed: their client was silent or slow.";
        truncated: Counter "vswitch_dns_truncated_answers_total" "Answers that were too long for UDP; the client asks again by TCP.";
    }
}
