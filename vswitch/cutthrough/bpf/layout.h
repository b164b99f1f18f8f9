// What the programs share with the switch: src/layout.rs has the same structures.
#ifndef LAYOUT_H
#define LAYOUT_H

#define LAYOUT_VERSION 1
#define ALLOWED_BUCKETS 4096
#define ALLOWED_WAYS 4
#define BUSY (~0ULL)
#define CONNECTIONS_MAX 65536
#define PROGRAMS_MAX 1024
#define SERVICES_MAX 4096
#define SHORT_IN_A_ROW 32

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

struct connection_end {
	struct tuple tuple;
	u64 cookie;
	// The `struct sock` of an end that may be written to.
	u64 reader;
	u64 bytes;
};

// The first end is the client's.
struct connection {
	u64 id;
	struct connection_end ends[2];
	u64 id_again;
};

struct end {
	u64 id;
	u32 side;
	u32 reads;
	// Sequence number before the first receive, and the bytes that receives have returned since.
	u32 start;
	u32 taken;
	u32 is_urgent;
	u32 is_refused_reader;
};

struct program {
	u64 inode;
	u64 device;
};

struct service {
	u64 netns;
	u32 address[4];
	u64 port;
};

enum held_back {
	HELD_ORDER,
	HELD_BOUND,
	HELD_READER,
	HELD_OPTION,
	HELD_STOPPED,
	HELD_CLOSED,
	HELD_REASONS,
};

struct counters {
	u64 connections;
	u64 ended;
	u64 sends;
	u64 bytes;
	u64 left_alone;
	u64 full;
	u64 failed;
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

struct settings {
	u64 hash_seed;
	// Plain reads after which a socket becomes a reader.
	u32 reads_before;
	u32 guards_order;
	u32 guards_bound;
	u32 none;
};

#endif
