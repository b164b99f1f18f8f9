// What the programs share with the switch: src/layout.rs has the same structures.
#ifndef LAYOUT_H
#define LAYOUT_H

#define LAYOUT_VERSION 2
#define ALLOWED_BUCKETS 4096
#define ALLOWED_WAYS 4
#define BUSY (~0ULL)
#define CONNECTIONS_MAX 65536
#define EVENTS_BYTES (256 * 1024)

// One end of a connection as its socket sees it. Ports are in host byte order, addresses in network byte order.
struct tuple {
	u64 netns;
	u32 local[4];
	u32 remote[4];
	u16 local_port;
	u16 remote_port;
	u32 none;
};

// An end whose handshake the switch has seen. `id` is BUSY while the others are written.
struct allowed {
	u64 id;
	struct tuple tuple;
	u32 next_sent;
	u32 next_received;
	u64 side;
};

struct bucket {
	struct allowed ways[ALLOWED_WAYS];
};

// The thread that has used a socket last, and the descriptor by which it did.
struct user {
	u32 process;
	u32 thread;
	u32 descriptor;
	// Whether its calls wait.
	u32 is_blocking;
};

struct connection_end {
	struct tuple tuple;
	u64 cookie;
	// The `struct sock` of an end that reads in a way that the kernel serves for redirected bytes. 0: none.
	u64 reader;
	u64 bytes;
	struct user user;
};

// The first end is the client's.
struct connection {
	u64 id;
	struct connection_end ends[2];
	// What the switch was told: that the sockets can be joined, and that the connection has to leave.
	u32 is_ready;
	u32 is_leaving;
	u64 id_again;
};

// What a socket of such a connection knows of itself. The last five count modulo 2^32.
struct end {
	u64 id;
	u32 side;
	u32 reads;
	u32 is_urgent;
	u32 is_refused;
	u64 read_at;
	u64 passed_at;
	struct user user;
	// Sequence number before the first receive, and the bytes that receives have returned since.
	u32 start;
	u32 taken;
	// Bytes that it has sent past TCP.
	u32 sent;
	u32 none;
};

enum event_kind {
	// Both sockets can be joined.
	EVENT_READY,
	// The connection has to go back to TCP for good.
	EVENT_LEAVE,
	// A send went through TCP: the readers of joined sockets have to be watched.
	EVENT_HELD,
};

struct event {
	u64 id;
	u64 kind;
};

// A joined socket.
struct report {
	u64 cookie;
	u64 id;
	u64 read_at;
	struct user user;
	u32 side;
	// Bytes past TCP that it has sent, and that its program has read, modulo 2^32.
	u32 sent;
	u32 taken;
	// Whether bytes wait for its program: past TCP, and by TCP.
	u32 is_unread;
	u32 is_tcp_unread;
	// Whether bytes of its program are on their way by TCP.
	u32 is_tcp_sending;
};

enum held_back {
	HELD_ORDER,
	HELD_BOUND,
	HELD_READER,
	HELD_OPTION,
	HELD_STOPPED,
	HELD_CLOSED,
	HELD_REFRESH,
	HELD_REASONS,
};

struct counters {
	u64 sends;
	u64 bytes;
	u64 full;
	u64 refused;
	u64 held[HELD_REASONS];
};

// These three stay where they are in every version of the layout.
struct identity {
	u64 instance;
	u64 layout_version;
	// By the monotonic clock, in nanoseconds.
	u64 valid_until;
};

// Whether the switch watches the readers of joined sockets; it clears the word, programs set it.
struct watch {
	u64 is_on;
};

struct settings {
	u64 hash_seed;
	// A direction sends through TCP once in so many nanoseconds.
	u64 refresh;
	// Plain reads after which a socket becomes a reader.
	u32 reads_before;
	u32 guards_order;
	u32 guards_bound;
	u32 none;
};

#endif
