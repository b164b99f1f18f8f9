// What the programs share with the switch: src/layout.rs has the same structures.
#ifndef LAYOUT_H
#define LAYOUT_H

#define LAYOUT_VERSION 5
#define ALLOWED_BUCKETS 4096
#define ALLOWED_WAYS 4
#define BUSY (~0ULL)
#define CONNECTIONS_MAX 65536
#define EVENTS_BYTES (256 * 1024)
// Sockets that the switch asks about at a time.
#define REPORTS 64
// Sends in a row that waited for the order, after which a sender is one that does not pause. The switch is told of it once
// in so many nanoseconds at most.
#define WAITS 16
#define TOLD_AGAIN (10 * 1000 * 1000ULL)
// A receiver's buffer that cannot grow and is full again so many times in a row, each time after fewer bytes past TCP and
// less time than this, is too small: the way back to TCP costs more than these bytes gain.
#define FULL_TIMES 64
#define FULL_AFTER (2 * 1024 * 1024)
#define FULL_WITHIN (1000 * 1000 * 1000ULL)
// `reader` of an end that can be one, and has not received since it was joined.
#define READER_SOON 1

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

// What a socket of such a connection knows of itself. The last ones count modulo 2^32.
struct end {
	u64 id;
	u32 side;
	u32 reads;
	u32 is_urgent;
	u32 is_refused;
	u32 is_closed;
	// Receives and sends until it is in the table of connections.
	u32 uses;
	u64 passed_at;
	struct user user;
	struct tuple tuple;
	// Sequence number before the first receive, and the bytes that receives have returned since.
	u32 start;
	u32 taken;
	// Receives, also those that returned nothing.
	u32 tries;
	// Sends that waited for room or for the order, since the last one past TCP, and when the switch was told of them.
	u32 waits;
	u64 told_at;
	// How many times in a row the receiver's buffer was full after few bytes past TCP; those bytes, modulo 2^32, and the
	// time, when it was the last time.
	u32 full_times;
	u32 full_bytes;
	u64 full_at;
};

// What a send buffer was before the switch has made it small. Only the switch uses it: the next one gives it back after a
// kill.
struct send_buffer {
	u32 bytes;
	u32 is_locked;
	struct user user;
};

enum event_kind {
	// Both sockets can be joined.
	EVENT_READY,
	// The connection has to go back to TCP for good.
	EVENT_LEAVE,
	// A send went through TCP: the readers of joined sockets have to be watched.
	EVENT_HELD,
	// An end sends without a pause, and does not come past TCP so.
	EVENT_BULK,
};

struct event {
	u64 id;
	u32 kind;
	u32 side;
};

// What the switch gives to the program that ends redirects.
struct leave {
	u64 id;
};

// A question about a socket, and its answer.
struct report {
	u64 cookie;
	u64 id;
	struct user user;
	u32 side;
	u32 tries;
	// Bytes past TCP that its program has read, modulo 2^32.
	u32 taken;
	// Whether bytes wait for its program: past TCP, and by TCP.
	u32 is_unread;
	u32 is_tcp_unread;
	// Whether bytes of its program are on their way by TCP.
	u32 is_tcp_sending;
	u32 waits;
	// Whether the socket is joined.
	u32 is_joined;
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
	// Set where the ring had no room for the end of a connection.
	u64 is_lost;
};

struct settings {
	u64 hash_seed;
	// A direction sends through TCP once in so many nanoseconds.
	u64 refresh;
	// Plain reads after which a socket becomes a reader, and uses after which it is in the table of connections.
	u32 reads_before;
	u32 guards_order;
	u32 guards_bound;
	u32 none;
};

#endif
