// Each send of a joined socket: into the receiver's queue, or through TCP.
#ifndef SEND_H
#define SEND_H

// Through TCP. Bytes that come so to a joined socket may wait behind others or be missed by its program's questions, so
// the switch watches the readers for a while.
static __always_inline int held(struct end *end, enum held_back why)
{
	u32 zero = 0;
	struct counters *c = own_counters();
	struct watch *it = bpf_map_lookup_elem(&watch, &zero);

	if (c)
		c->held[why]++;
	if (end)
		end->passed_at = bpf_ktime_get_coarse_ns();
	if (it && !*(volatile u64 *)&it->is_on) {
		it->is_on = 1;
		if (!tell(EVENT_HELD, 0, 0))
			it->is_on = 0;
	}
	return SK_PASS;
}

// As above, and the connection goes back to TCP for good.
static __always_inline int held_for_good(struct connection *connection, struct end *end, enum held_back why)
{
	let_leave(connection, end->id);
	return held(end, why);
}

// Options of the two sockets that the kernel serves only for bytes that come through TCP, and receives that block: the
// kernel's receive function of joined sockets waits once, and then says EAGAIN.
static __always_inline bool has_options(struct tcp_sock *sender, struct tcp_sock *reader)
{
	struct sock *from = (struct sock *)sender, *to = (struct sock *)reader;
	u64 zerocopy = bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY);

	return from->__sk_common.skc_flags & (1ULL << zerocopy) || from->sk_tsflags || to->sk_tsflags || to->sk_rcvlowat > 1 ||
	       to->sk_peek_off >= 0 || ((struct inet_connection_sock *)sender)->icsk_ulp_ops ||
	       ((struct inet_connection_sock *)reader)->icsk_ulp_ops || BPF_CORE_READ_BITFIELD(reader, recvmsg_inq) ||
	       is_blocking(from) || is_blocking(to);
}

// A sender that fills its buffer whenever there is room in it always has bytes in TCP once it has some, and does not come
// past it again by itself. One that fills half the receiver's buffer is probably one.
static __always_inline int held_in_a_row(struct end *end, enum held_back why)
{
	bool is_first = !end->waits++, is_long = end->waits % WAITS == 0;
	u64 now;

	if (why == HELD_BOUND ? !is_first : !is_long)
		return held(end, why);
	now = bpf_ktime_get_coarse_ns();
	if (now - end->told_at >= TOLD_AGAIN) {
		end->told_at = now;
		tell(EVENT_BULK, end->id, end->side);
	}
	return held(end, why);
}

static __always_inline u32 unread_memory(struct sock *reader)
{
	return reader->sk_backlog.rmem_alloc.counter;
}

// Whether the receiver has room for more unread bytes: half its buffer. The other half is for what TCP brings, so that
// the way back to TCP loses no segment; a sender that went back with a full buffer before it would lose them, and its
// congestion window with them. TCP grows the buffer of a receiver that keeps up, and with it this bound.
static __always_inline bool has_room(struct sock *reader)
{
	return unread_memory(reader) <= (u32)reader->sk_rcvbuf / 2;
}

// Whether the kernel does not make the buffer larger: its size was set (SO_RCVBUF), or is the largest one.
static __always_inline bool is_fixed(struct sock *reader)
{
	return BPF_CORE_READ_BITFIELD(reader, sk_userlocks) & SOCK_RCVBUF_LOCK ||
	       reader->sk_rcvbuf >= reader->__sk_common.skc_net.net->ipv4.sysctl_tcp_rmem[2];
}

// Counts that the receiver's buffer is full, and says whether it is too small for this sender. Only the first send that
// waits for room counts, until one goes past TCP again.
static __always_inline bool count_full(struct end *end, struct sock *reader, u32 past)
{
	u64 now = bpf_ktime_get_coarse_ns();
	bool is_again;

	if (end->waits)
		return false;
	is_again = (u32)(past - end->full_bytes) < FULL_AFTER && now - end->full_at < FULL_WITHIN && is_fixed(reader);
	end->full_bytes = past;
	end->full_at = now;
	end->full_times = is_again ? end->full_times + 1 : 0;
	return end->full_times >= FULL_TIMES;
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
	u64 cookie, address;
	u32 side, size = msg->size;

	if (!end || !end->id || end->is_closed)
		return held(end, HELD_CLOSED);
	side = end->side & 1;
	connection = connection_of(end->id);
	if (!connection || connection->is_leaving)
		return held(end, HELD_CLOSED);
	me = &connection->ends[side], it = &connection->ends[!side];
	cookie = it->cookie, address = *(volatile u64 *)&it->reader;
	if (!connection_of(end->id))
		return held(end, HELD_CLOSED);
	if (end->is_urgent || is_urgent()) {
		end->is_urgent = 1;
		return held_for_good(connection, end, HELD_OPTION);
	}
	if (address <= READER_SOON)
		return held(end, HELD_READER);
	if (is_stopped())
		return held(end, HELD_STOPPED);
	sender = bpf_skc_to_tcp_sock(sk);
	if (!sender)
		return held(end, HELD_CLOSED);
	reader = bpf_rdonly_cast((void *)address, bpf_core_type_id_kernel(struct tcp_sock));
	// A socket's memory may become another's. Cookies are not given twice, so this one is the reader, and is so to
	// the end of the checks.
	if (((struct sock *)reader)->__sk_common.skc_cookie.counter != cookie)
		return held(end, HELD_CLOSED);
	if (settings.guards_order && *(volatile u32 *)&reader->copied_seq != sender->write_seq)
		return held_in_a_row(end, HELD_ORDER);
	if (has_options(sender, reader))
		return held_for_good(connection, end, HELD_OPTION);
	if (settings.guards_bound && !has_room((struct sock *)reader)) {
		if (count_full(end, (struct sock *)reader, me->bytes))
			return held_for_good(connection, end, HELD_BOUND);
		return held_in_a_row(end, HELD_BOUND);
	}
	if (bpf_ktime_get_coarse_ns() - end->passed_at > settings.refresh && !unread_memory((struct sock *)reader))
		return held(end, HELD_REFRESH);
	if (((struct sock *)reader)->sk_shutdown & RCV_SHUTDOWN ||
	    *(volatile s64 *)&((struct sock *)reader)->__sk_common.skc_cookie.counter != cookie)
		return held(end, HELD_CLOSED);
	// Before the last look, so that they are known to whoever has let it leave.
	__sync_fetch_and_add(&me->bytes, size);
	if (*(volatile u32 *)&connection->is_leaving ||
	    bpf_msg_redirect_hash(msg, &sockets, &cookie, BPF_F_INGRESS) != SK_PASS) {
		__sync_fetch_and_add(&me->bytes, -(u64)size);
		return held(end, HELD_CLOSED);
	}
	end->waits = 0;
	c = own_counters();
	if (c)
		c->sends++, c->bytes += size;
	return SK_PASS;
}

#endif
