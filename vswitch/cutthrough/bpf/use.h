// How programs use the sockets: which ones can be joined, and who has to be asked for them.
#ifndef USE_H
#define USE_H

static __always_inline struct pt_regs *own_registers(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

// Whether this send has flags that the kernel serves through TCP only: urgent data, and zero copy with its
// notifications. The program does not get them, so it reads the arguments of the system call.
static __always_inline bool is_urgent(void)
{
	struct pt_regs *regs = own_registers();
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

static __always_inline bool is_blocking(struct sock *sk)
{
	return !(sk->sk_socket->file->f_flags & O_NONBLOCK);
}

// The descriptor of the socket in a system call: the first argument of all that receive or send by one, but where `splice`
// sends.
static __always_inline u32 descriptor_of(struct pt_regs *regs)
{
	return SYSCALL_NUMBER(regs) == SYSCALL_SPLICE ? SYSCALL_ARGUMENT_3(regs) : SYSCALL_ARGUMENT_1(regs);
}

// Who uses the socket, and by which descriptor. The switch compares the socket's cookie before it believes that.
static __always_inline void note_user(struct connection *connection, struct end *end, struct sock *sk)
{
	u64 task = bpf_get_current_pid_tgid();
	struct user *user = &connection->ends[end->side & 1].user;
	u32 descriptor = descriptor_of(own_registers());
	u32 blocks = is_blocking(bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct sock)));

	if (end->user.thread == (u32)task && end->user.descriptor == descriptor && end->user.is_blocking == blocks)
		return;
	end->user.process = task >> 32;
	end->user.thread = task;
	end->user.descriptor = descriptor;
	end->user.is_blocking = blocks;
	*user = end->user;
}

// Tells the switch once that a connection can be joined: an end is a reader, and the users of both are known and do
// not block.
static __always_inline void tell_ready(struct connection *connection, u64 id)
{
	struct connection_end *ends = connection->ends;

	if (connection->is_ready || (!ends[0].reader && !ends[1].reader) || !ends[0].user.process ||
	    !ends[1].user.process || ends[0].user.is_blocking || ends[1].user.is_blocking)
		return;
	connection->is_ready = 1;
	if (!tell(EVENT_READY, id, 0))
		connection->is_ready = 0;
}

// The connection of a socket that is used so often that it may be worth to join it. Short connections are in no table.
static __always_inline struct connection *used(struct end *end, struct sock *sk)
{
	struct connection new = {.id = end->id, .id_again = end->id};
	struct connection *it;
	struct connection_end *me;
	struct counters *c;

	if (is_in_table(end))
		return connection_of(end->id);
	if (++end->uses < settings.reads_before || end->is_closed)
		return NULL;
	end->uses = IN_TABLE;
	// The other end may have been first.
	bpf_map_update_elem(&connections, &new.id, &new, BPF_NOEXIST);
	it = connection_of(end->id);
	if (!it) {
		c = own_counters();
		// Each end comes here.
		if (c && !end->side)
			c->full++;
		return NULL;
	}
	me = &it->ends[end->side & 1];
	me->tuple = end->tuple;
	me->user = end->user;
	me->cookie = bpf_get_socket_cookie(sk);
	// It may have been closed meanwhile, when it was not in the table yet.
	if (*(volatile u32 *)&end->is_closed && !it->is_ready)
		bpf_map_delete_elem(&connections, &new.id);
	return it;
}

// Nothing is redirected to this socket from now on.
static __always_inline void refuse(struct connection *connection, struct end *end)
{
	struct counters *c = own_counters();

	if (end->is_refused)
		return;
	end->is_refused = 1;
	connection->ends[end->side & 1].reader = 0;
	if (c)
		c->refused++;
	if (connection->is_ready)
		let_leave(connection, end->id);
}

// Each receive of the host, after it. A socket becomes a reader after a few plain ones that have taken all that TCP has
// brought. A program that takes bytes in another way (splice, TCP_ZEROCOPY_RECEIVE) gets all bytes through TCP.
SEC("tp_btf/sock_recv_length")
int BPF_PROG(receives, struct sock *sk, int ret, int flags)
{
	struct end *end = bpf_sk_storage_get(&ends, sk, 0, 0);
	struct connection *connection;
	struct connection_end *me;
	struct tcp_sock *tcp;

	if (!end || !end->id)
		return 0;
	tcp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	if (ret > 0 && !(flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))) {
		if (!end->reads)
			end->start = tcp->copied_seq - ret;
		__sync_fetch_and_add(&end->taken, ret);
		__sync_fetch_and_add(&end->reads, 1);
	}
	end->tries++;
	connection = used(end, sk);
	if (!connection || end->is_refused)
		return 0;
	if (flags & (MSG_WAITALL | MSG_OOB | MSG_TRUNC | MSG_ERRQUEUE)) {
		refuse(connection, end);
		return 0;
	}
	note_user(connection, end, sk);
	if (connection->is_ready && end->user.is_blocking)
		let_leave(connection, end->id);
	me = &connection->ends[end->side & 1];
	if (me->reader) {
		// The receive before may have begun before it was joined, and have taken bytes of TCP first.
		if (me->reader == READER_SOON && sk->sk_user_data)
			me->reader = (u64)sk;
		tell_ready(connection, end->id);
		return 0;
	}
	if (end->reads <= settings.reads_before)
		return 0;
	if (end->start + end->taken != *(volatile u32 *)&tcp->copied_seq) {
		refuse(connection, end);
		return 0;
	}
	me->reader = READER_SOON;
	tell_ready(connection, end->id);
	return 0;
}

// Each send of the host, after it.
SEC("tp_btf/sock_send_length")
int BPF_PROG(sends, struct sock *sk, int ret, int flags)
{
	struct end *end = bpf_sk_storage_get(&ends, sk, 0, 0);
	struct connection *connection;

	if (!end || !end->id || end->is_urgent)
		return 0;
	connection = used(end, sk);
	if (!connection || connection->is_ready)
		return 0;
	end->is_urgent = is_urgent();
	if (end->is_urgent)
		return 0;
	note_user(connection, end, sk);
	tell_ready(connection, end->id);
	return 0;
}

#endif
