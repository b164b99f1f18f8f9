// The state of joined sockets, for the switch.
#ifndef REPORT_H
#define REPORT_H

// Cookies that the switch asks about, up to the first 0, and the answers.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, REPORTS);
	__type(key, u32);
	__type(value, struct report);
} reports SEC(".maps");

// Fills in what a socket knows; `id` is 0 where it knows nothing.
static __always_inline void describe(struct report *report, struct bpf_sock *socket)
{
	struct end *end = bpf_sk_storage_get(&ends, socket, 0, 0);
	struct sock *sk = bpf_rdonly_cast(socket, bpf_core_type_id_kernel(struct sock));
	struct tcp_sock *tcp = bpf_rdonly_cast(socket, bpf_core_type_id_kernel(struct tcp_sock));
	struct sk_psock *psock;
	u64 user_data, done;
	u32 taken, copied;

	report->id = end ? end->id : 0;
	if (!end)
		return;
	report->side = end->side;
	report->tries = end->tries, report->waits = end->waits, report->user = end->user;
	// Receives move `copied_seq` before they are counted, so what was read past TCP is never overstated.
	taken = *(volatile u32 *)&end->taken;
	copied = *(volatile u32 *)&tcp->copied_seq;
	done = 1ULL << bpf_core_enum_value(enum sock_flags, SOCK_DONE);
	report->is_tcp_unread = *(volatile u32 *)&tcp->rcv_nxt != copied;
	// The FIN has a number, and is no byte.
	if (sk->__sk_common.skc_flags & done && !report->is_tcp_unread)
		copied--;
	report->taken = end->reads ? taken - (copied - end->start) : taken;
	report->is_tcp_sending = tcp->snd_una != tcp->write_seq;
	user_data = (u64)sk->sk_user_data & ~7ULL;
	psock = bpf_rdonly_cast((void *)user_data, bpf_core_type_id_kernel(struct sk_psock));
	report->is_unread = user_data && psock->ingress_msg.next != &((struct sk_psock *)user_data)->ingress_msg;
}

static long answer(u32 index, void *none)
{
	struct report *report = bpf_map_lookup_elem(&reports, &index);
	struct bpf_sock *socket;

	if (!report || !report->cookie)
		return 1;
	socket = bpf_map_lookup_elem(&sockets, &report->cookie);
	report->is_joined = socket != NULL;
	if (!socket)
		return 0;
	describe(report, socket);
	bpf_sk_release(socket);
	return 0;
}

// A `tc` program may look a socket up and release it, and the switch can run it.
SEC("tc")
int joined(struct __sk_buff *none)
{
	bpf_loop(REPORTS, answer, NULL, 0);
	return 0;
}

#endif
