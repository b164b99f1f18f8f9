// What the programs remember.
#ifndef MAPS_H
#define MAPS_H

// What the switch fixes before the programs are loaded.
const volatile struct settings settings = {};

// The handshakes that the switch has seen and allowed. Only the switch writes, by shared memory.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ALLOWED_BUCKETS);
	__type(key, u32);
	__type(value, struct bucket);
} allowed SEC(".maps");

// Joined sockets by their cookie, which no other socket ever has. Only the switch joins.
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 2 * CONNECTIONS_MAX);
	__type(key, u64);
	__type(value, u64);
} sockets SEC(".maps");

// Connections whose handshake was allowed, and whose ends are used, by their id. Full is full: nothing is evicted. The
// switch takes out those that it was told of.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CONNECTIONS_MAX);
	__type(key, u64);
	__type(value, struct connection);
} connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct end);
} ends SEC(".maps");

// Sockets whose send buffer is small, by their cookie.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * CONNECTIONS_MAX);
	__type(key, u64);
	__type(value, struct send_buffer);
} buffers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counters SEC(".maps");

// Which switch these programs belong to, and until when it stands behind them.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct identity);
} identity SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct watch);
} watch SEC(".maps");

static __always_inline struct counters *own_counters(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

// The connection of a socket. An element that was deleted meanwhile may have become another connection's.
static __always_inline struct connection *connection_of(u64 id)
{
	struct connection *it = bpf_map_lookup_elem(&connections, &id);

	if (!it || *(volatile u64 *)&it->id != id || *(volatile u64 *)&it->id_again != id)
		return NULL;
	return it;
}

// `uses` of an end that is there, or was.
#define IN_TABLE (~0U)

static __always_inline bool is_in_table(struct end *end)
{
	return end->uses == IN_TABLE;
}

// Tells the switch. False where the ring has no room.
static __always_inline bool tell(enum event_kind kind, u64 id, u32 side)
{
	struct event event = {.id = id, .kind = kind, .side = side};

	return !bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

// Nothing is redirected from now on, but by programs that run. They count their bytes before they look at it.
static __always_inline bool end_redirects(struct connection *connection)
{
	return !__sync_lock_test_and_set(&connection->is_leaving, 1);
}

// The same, and the switch is told.
static __always_inline void let_leave(struct connection *connection, u64 id)
{
	u32 zero = 0;
	struct watch *it = bpf_map_lookup_elem(&watch, &zero);

	if (end_redirects(connection) && !tell(EVENT_LEAVE, id, 0) && it)
		*(volatile u64 *)&it->is_lost = 1;
}

// Ends redirects, for the switch.
SEC("syscall")
int leave(struct leave *of)
{
	struct connection *connection = connection_of(of->id);

	if (connection)
		end_redirects(connection);
	return 0;
}

#endif
