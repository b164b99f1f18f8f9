// Sockets whose handshake the switch has allowed.
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

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

// Remembers an end of an allowed connection.
static __always_inline void remember(struct bpf_sock_ops *ops, u32 is_server)
{
	struct tuple t = {};
	struct bpf_sock *sk = ops->sk;
	struct end *end;
	u32 side = 0;
	u64 id;

	if (!sk || is_stopped())
		return;
	own_tuple(ops, &t);
	id = allowed_id(ops, &t, &side);
	if (!id || side != is_server)
		return;
	end = bpf_sk_storage_get(&ends, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!end)
		return;
	// A socket that has had another connection may be joined still, and its user has to be known to let it leave.
	*end = (struct end){
		.id = id, .side = side, .passed_at = bpf_ktime_get_coarse_ns(), .tuple = t, .user = end->user};
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

// A closed socket stays joined until its program has read what came past TCP. The switch ends a connection that it was
// told of.
static __always_inline void closes(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct end *end = sk ? bpf_sk_storage_get(&ends, sk, 0, 0) : NULL;
	struct connection *connection;
	u64 id;

	if (!end || !end->id || end->is_closed)
		return;
	id = end->id;
	end->is_closed = 1;
	if (!is_in_table(end))
		return;
	connection = connection_of(id);
	if (connection && connection->is_ready)
		let_leave(connection, id);
	else if (connection)
		bpf_map_delete_elem(&connections, &id);
}

// A socket that has had another connection, and is joined for that still, begins anew: what waits in it is not read.
static __always_inline void connects(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct end *end = sk ? bpf_sk_storage_get(&ends, sk, 0, 0) : NULL;
	u64 cookie;

	if (!end || !end->id)
		return;
	cookie = bpf_get_socket_cookie(ops);
	bpf_map_delete_elem(&sockets, &cookie);
	end->id = 0;
}

// One end sends no more. Programs that ask FIONREAD or trust edges have to see the end as of plain TCP.
static __always_inline void half_close(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct end *end = sk ? bpf_sk_storage_get(&ends, sk, 0, 0) : NULL;
	struct connection *connection = end && end->id ? connection_of(end->id) : NULL;

	if (connection && connection->is_ready)
		let_leave(connection, end->id);
}

SEC("sockops")
int established(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		connects(ops);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		remember(ops, 0);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		remember(ops, 1);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == BPF_TCP_CLOSE)
			closes(ops);
		else if (ops->args[1] != BPF_TCP_ESTABLISHED)
			half_close(ops);
		break;
	}
	// 0 would make the kernel ignore the answers of other programs of the cgroup.
	return 1;
}

#endif
