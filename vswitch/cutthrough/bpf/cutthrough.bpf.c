// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Cut-through for TCP between two containers of one host: the data of an established connection goes from the sender's
// send call to the receiver's socket, past TCP and past the switch. docs/cut-through.md has the theory of operation.
//
// established  joins the two sockets of a connection whose handshake the switch has allowed, and ends the connection
//              when one of them closes.
// cut_through  decides about each send: straight into the receiver's queue, or through TCP as ever. One reason to hold
//              it back is enough, and TCP is always right.
// reads        watches how the program behind a joined socket reads: what the kernel does not do for redirected data is
//              not asked of it.
// unread       lists the sockets whose redirected bytes nobody has read.
//
// Order. A receiver reads redirected bytes before those that TCP has queued. So a send is redirected only while
// `copied_seq` of the receiver equals `write_seq` of the sender: everything that was ever sent through TCP has been read.
// The sender's socket is locked while its program runs, so nothing can enter TCP meanwhile. The way back needs no
// condition: what goes through TCP after redirected bytes is read after them.
//
// Bound. Redirected bytes are charged to the receiver (`sk_rmem_alloc`). Beyond half the receiver's buffer a send goes
// through TCP, whose window stops the sender.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "layout.h"

char _license[] SEC("license") = "Dual MIT/GPL";

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

// Joined sockets by their cookie, which no other socket ever has.
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 2 * CONNECTIONS_MAX);
	__type(key, u64);
	__type(value, u64);
} sockets SEC(".maps");

// Connections whose two ends are joined, or the first of them. Full is full: nothing is evicted.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CONNECTIONS_MAX);
	__type(key, u64);
	__type(value, struct connection);
} connections SEC(".maps");

// What a joined socket knows of itself.
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct end);
} ends SEC(".maps");

// Programs that read in ways that the kernel does not serve: their later sockets are left alone.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PROGRAMS_MAX);
	__type(key, struct program);
	__type(value, u32);
} refused_programs SEC(".maps");

// Services by the address that their clients use, and how many connections in a row were too short to gain.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SERVICES_MAX);
	__type(key, struct service);
	__type(value, u32);
} services SEC(".maps");

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

static __always_inline struct counters *own_counters(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

static __always_inline int held(enum held_back why)
{
	struct counters *c = own_counters();

	if (c)
		c->held[why]++;
	return SK_PASS;
}

// The switch renews its word every few seconds. When it is gone, so are the programs that watch the readers, and all
// goes through TCP until it is back.
static __always_inline bool is_stopped(void)
{
	u32 zero = 0;
	struct identity *it = bpf_map_lookup_elem(&identity, &zero);

	return !it || it->valid_until < bpf_ktime_get_coarse_ns();
}

// ---- joining ----

// Addresses as 16 bytes; an IPv4 address is mapped (RFC 4291, 2.5.5.2).
static __always_inline void own_tuple(struct bpf_sock_ops *ops, struct tuple *t)
{
	t->netns = bpf_get_netns_cookie(ops);
	if (ops->family == AF_INET6) {
		// One word at a time: the context has no wider ones.
		for (int i = 0; i < 4; i++) {
			t->local[i] = ((volatile struct bpf_sock_ops *)ops)->local_ip6[i];
			t->remote[i] = ((volatile struct bpf_sock_ops *)ops)->remote_ip6[i];
		}
	} else {
		t->local[2] = t->remote[2] = bpf_htonl(0xffff);
		t->local[3] = ops->local_ip4, t->remote[3] = ops->remote_ip4;
	}
	t->local_port = ops->local_port;
	t->remote_port = bpf_ntohl(ops->remote_port);
}

static __always_inline u32 bucket_of(const struct tuple *t)
{
	const u64 *words = (const u64 *)t;
	u64 hash = settings.hash_seed;

	for (int i = 0; i < sizeof(*t) / sizeof(*words); i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return hash & (ALLOWED_BUCKETS - 1);
}

static __always_inline bool is_same(const struct tuple *a, const struct tuple *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4] && x[5] == y[5];
}

// The connection of this end, if the switch has allowed it: the same addresses, and the same sequence numbers, so that
// no other connection of the same addresses is meant. 0: none.
static __always_inline u64 allowed_id(struct bpf_sock_ops *ops, const struct tuple *t, u32 *side)
{
	u32 index = bucket_of(t);
	struct bucket *bucket = bpf_map_lookup_elem(&allowed, &index);

	if (!bucket)
		return 0;
	for (int i = 0; i < ALLOWED_WAYS; i++) {
		struct allowed *it = &bucket->ways[i];
		u64 id = *(volatile u64 *)&it->id;

		if (!id || id == BUSY || !is_same(&it->tuple, t) || it->next_sent != ops->snd_nxt ||
		    it->next_received != ops->rcv_nxt)
			continue;
		*side = it->side & 1;
		// The switch marks an entry before it writes another one over it.
		return *(volatile u64 *)&it->id == id ? id : 0;
	}
	return 0;
}

// Connections to services whose last ones were all too short are left alone, but for one of 64.
static __always_inline bool is_worth_it(const struct tuple *client)
{
	struct service key = {.netns = client->netns, .port = client->remote_port};
	u32 *in_a_row;

	__builtin_memcpy(key.address, client->remote, sizeof(key.address));
	in_a_row = bpf_map_lookup_elem(&services, &key);
	return !in_a_row || *in_a_row < SHORT_IN_A_ROW || !(bpf_get_prandom_u32() & 63);
}

static __always_inline void note_length(const struct connection *connection)
{
	const struct tuple *client = &connection->ends[0].tuple;
	struct service key = {.netns = client->netns, .port = client->remote_port};
	bool is_short = !connection->ends[0].bytes && !connection->ends[1].bytes;
	u32 one = 1, *in_a_row;

	__builtin_memcpy(key.address, client->remote, sizeof(key.address));
	in_a_row = bpf_map_lookup_elem(&services, &key);
	if (in_a_row)
		*in_a_row = is_short ? *in_a_row + 1 : 0;
	else if (is_short)
		bpf_map_update_elem(&services, &key, &one, BPF_NOEXIST);
}

static __always_inline void join(struct bpf_sock_ops *ops, u32 is_server)
{
	struct tuple t = {};
	struct bpf_sock *sk = ops->sk;
	struct connection *connection;
	struct counters *c = own_counters();
	struct end *end;
	u32 side = 0;
	u64 id, cookie;

	if (!sk || !c || is_stopped())
		return;
	own_tuple(ops, &t);
	id = allowed_id(ops, &t, &side);
	if (!id || side != is_server)
		return;
	if (!is_server) {
		struct connection new = {.id = id, .id_again = id};

		if (!is_worth_it(&t)) {
			c->left_alone++;
			return;
		}
		if (bpf_map_update_elem(&connections, &id, &new, BPF_NOEXIST)) {
			c->full++;
			return;
		}
	}
	// The client comes first: the server's end follows it or stays alone.
	connection = bpf_map_lookup_elem(&connections, &id);
	if (!connection)
		return;
	end = bpf_sk_storage_get(&ends, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!end)
		goto failed;
	cookie = bpf_get_socket_cookie(ops);
	*end = (struct end){.id = id, .side = side};
	connection->ends[side].tuple = t;
	if (bpf_sock_hash_update(ops, &sockets, &cookie, BPF_ANY)) {
		end->id = 0;
		goto failed;
	}
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	connection->ends[side].cookie = cookie;
	if (is_server)
		c->connections++;
	return;
failed:
	c->failed++;
	bpf_map_delete_elem(&connections, &id);
}

static __always_inline void leave(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct connection *connection;
	struct counters *c = own_counters();
	struct end *end;
	u64 id;

	end = sk ? bpf_sk_storage_get(&ends, sk, 0, 0) : NULL;
	if (!end || !end->id)
		return;
	id = end->id;
	end->id = 0;
	connection = bpf_map_lookup_elem(&connections, &id);
	if (!connection)
		return;
	if (c)
		c->ended++;
	note_length(connection);
	bpf_map_delete_elem(&connections, &id);
}

SEC("sockops")
int established(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		join(ops, 0);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		join(ops, 1);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == BPF_TCP_CLOSE)
			leave(ops);
		break;
	}
	// 0 would make the kernel ignore the answers of other programs of the cgroup.
	return 1;
}

// ---- each send ----

// Options of the two sockets that the kernel serves only for bytes that come through TCP.
static __always_inline bool has_options(struct tcp_sock *sender, struct tcp_sock *reader)
{
	struct sock *from = (struct sock *)sender, *to = (struct sock *)reader;
	u64 zerocopy = bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY);

	return from->__sk_common.skc_flags & (1ULL << zerocopy) || from->sk_tsflags || to->sk_tsflags || to->sk_rcvlowat > 1 ||
	       to->sk_peek_off >= 0 || ((struct inet_connection_sock *)sender)->icsk_ulp_ops ||
	       ((struct inet_connection_sock *)reader)->icsk_ulp_ops || BPF_CORE_READ_BITFIELD(reader, recvmsg_inq);
}

// Whether the receiver has room for more unread bytes: half its buffer. The other half is for what TCP brings, so that
// the way back to TCP loses no segment; a sender that went back with a full buffer before it would lose them, and its
// congestion window with them. TCP grows the buffer of a receiver that keeps up, and with it this bound.
static __always_inline bool has_room(struct sock *reader)
{
	return reader->sk_backlog.rmem_alloc.counter <= (u32)reader->sk_rcvbuf / 2;
}

// Whether this send has flags that the kernel serves through TCP only: urgent data, and zero copy with its
// notifications. The program does not get them, so it reads the arguments of the system call.
static __always_inline bool is_urgent(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	u64 flags;

	switch (SYSCALL_NUMBER(regs)) {
	case SYSCALL_SENDTO:
	case SYSCALL_SENDMMSG:
		flags = SYSCALL_ARGUMENT_4(regs);
		break;
	case SYSCALL_SENDMSG:
		flags = SYSCALL_ARGUMENT_3(regs);
		break;
	default:
		return false;
	}
	return flags & (MSG_OOB | MSG_ZEROCOPY);
}

SEC("sk_msg")
int cut_through(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct end *end = sk ? bpf_sk_storage_get(&ends, sk, 0, 0) : NULL;
	struct connection *connection;
	struct connection_end *me, *it;
	struct tcp_sock *sender, *reader;
	struct counters *c;
	u64 id, cookie, address;
	u32 side, size = msg->size;

	if (!end || !end->id)
		return held(HELD_CLOSED);
	id = end->id, side = end->side & 1;
	connection = bpf_map_lookup_elem(&connections, &id);
	if (!connection)
		return held(HELD_CLOSED);
	me = &connection->ends[side], it = &connection->ends[!side];
	cookie = it->cookie, address = *(volatile u64 *)&it->reader;
	// An element that was deleted meanwhile may have become another connection's.
	if (*(volatile u64 *)&connection->id != id || *(volatile u64 *)&connection->id_again != id)
		return held(HELD_CLOSED);
	if (!address)
		return held(HELD_READER);
	if (is_stopped())
		return held(HELD_STOPPED);
	if (end->is_urgent || is_urgent()) {
		end->is_urgent = 1;
		return held(HELD_OPTION);
	}
	sender = bpf_skc_to_tcp_sock(sk);
	if (!sender)
		return held(HELD_CLOSED);
	reader = bpf_rdonly_cast((void *)address, bpf_core_type_id_kernel(struct tcp_sock));
	// A socket's memory may become another's. Cookies are not given twice, so this one is the reader, and is so to
	// the end of the checks.
	if (((struct sock *)reader)->__sk_common.skc_cookie.counter != cookie)
		return held(HELD_CLOSED);
	if (settings.guards_order && *(volatile u32 *)&reader->copied_seq != sender->write_seq)
		return held(HELD_ORDER);
	if (has_options(sender, reader))
		return held(HELD_OPTION);
	if (settings.guards_bound && !has_room((struct sock *)reader))
		return held(HELD_BOUND);
	if (((struct sock *)reader)->sk_shutdown & RCV_SHUTDOWN ||
	    *(volatile s64 *)&((struct sock *)reader)->__sk_common.skc_cookie.counter != cookie)
		return held(HELD_CLOSED);
	if (bpf_msg_redirect_hash(msg, &sockets, &cookie, BPF_F_INGRESS) != SK_PASS)
		return held(HELD_CLOSED);
	me->bytes += size;
	c = own_counters();
	if (c)
		c->sends++, c->bytes += size;
	return SK_PASS;
}

// ---- how a program uses its socket ----

static __always_inline void own_program(struct program *it)
{
	struct task_struct *task = bpf_get_current_task_btf();

	it->inode = BPF_CORE_READ(task, mm, exe_file, f_inode, i_ino);
	it->device = BPF_CORE_READ(task, mm, exe_file, f_inode, i_sb, s_dev);
}

// Nothing is redirected to this socket from now on, nor to later ones of its program.
static __always_inline void refuse_reader(struct end *end)
{
	u64 id = end->id;
	struct connection *connection = bpf_map_lookup_elem(&connections, &id);
	struct counters *c = own_counters();
	struct program program = {};
	u32 one = 1;

	if (end->is_refused_reader)
		return;
	end->is_refused_reader = 1;
	if (connection)
		connection->ends[end->side & 1].reader = 0;
	if (c)
		c->refused++;
	own_program(&program);
	bpf_map_update_elem(&refused_programs, &program, &one, BPF_ANY);
}

// Each receive of the host, after it. A socket becomes a reader after a few plain ones that have taken all that TCP has
// brought. So a thread that has waited in TCP's own receive since before the join, and a program that takes bytes in
// another way (splice, TCP_ZEROCOPY_RECEIVE), get all bytes through TCP.
SEC("tp_btf/sock_recv_length")
int BPF_PROG(reads, struct sock *sk, int ret, int flags)
{
	struct end *end = bpf_sk_storage_get(&ends, sk, 0, 0);
	struct connection *connection;
	struct program program = {};
	struct tcp_sock *tcp;
	u64 id;

	if (!end || !end->id || end->is_refused_reader)
		return 0;
	if (flags & (MSG_WAITALL | MSG_OOB | MSG_TRUNC | MSG_ERRQUEUE)) {
		refuse_reader(end);
		return 0;
	}
	if (end->reads > settings.reads_before || ret <= 0 || flags & MSG_PEEK)
		return 0;
	tcp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	if (!end->reads)
		end->start = tcp->copied_seq - ret;
	end->taken += ret;
	if (end->start + end->taken != tcp->copied_seq) {
		refuse_reader(end);
		return 0;
	}
	if (++end->reads <= settings.reads_before)
		return 0;
	own_program(&program);
	if (bpf_map_lookup_elem(&refused_programs, &program)) {
		end->is_refused_reader = 1;
		return 0;
	}
	id = end->id;
	connection = bpf_map_lookup_elem(&connections, &id);
	if (connection && connection->id == id)
		connection->ends[end->side & 1].reader = (u64)sk;
	return 0;
}

// ---- who has unread bytes ----

SEC("iter/sockmap")
int unread(struct bpf_iter__sockmap *it)
{
	struct sock *sk = it->sk;
	struct sk_psock *psock;
	u64 user_data, cookie;

	if (!sk)
		return 0;
	cookie = sk->__sk_common.skc_cookie.counter;
	user_data = (u64)sk->sk_user_data & ~7ULL;
	psock = bpf_rdonly_cast((void *)user_data, bpf_core_type_id_kernel(struct sk_psock));
	if (user_data && psock->ingress_msg.next != &((struct sk_psock *)user_data)->ingress_msg)
		bpf_seq_write(it->meta->seq, &cookie, sizeof(cookie));
	return 0;
}
