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

// Joined sockets by their cookie, which no other socket ever has. Only the switch writes.
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 2 * CONNECTIONS_MAX);
	__type(key, u64);
	__type(value, u64);
} sockets SEC(".maps");

// Connections whose handshake was allowed, by their id. Full is full: nothing is evicted. The switch takes out those that
// have to leave.
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

// Tells the switch. False where the ring has no room.
static __always_inline bool tell(enum event_kind kind, u64 id)
{
	struct event event = {.id = id, .kind = kind};

	return !bpf_ringbuf_output(&events, &event, sizeof(event), 0);
}

static __always_inline void let_leave(struct connection *connection, u64 id)
{
	if (!connection->is_leaving && tell(EVENT_LEAVE, id))
		connection->is_leaving = 1;
}

#endif
