// The joined sockets, for the switch.
#ifndef REPORT_H
#define REPORT_H

SEC("iter/sockmap")
int joined(struct bpf_iter__sockmap *it)
{
	struct report report = {};
	struct sock *sk = it->sk;
	struct sk_psock *psock;
	struct tcp_sock *tcp;
	struct end *end;
	u64 user_data, done;
	u32 copied;

	if (!sk)
		return 0;
	end = bpf_sk_storage_get(&ends, sk, 0, 0);
	if (!end)
		return 0;
	report.cookie = sk->__sk_common.skc_cookie.counter;
	report.id = end->id, report.side = end->side;
	report.tries = end->tries, report.waits = end->waits, report.user = end->user;
	tcp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	// Receives move `copied_seq` before they are counted, so what was read past TCP is never overstated.
	report.taken = *(volatile u32 *)&end->taken;
	copied = *(volatile u32 *)&tcp->copied_seq;
	done = 1ULL << bpf_core_enum_value(enum sock_flags, SOCK_DONE);
	report.is_tcp_unread = *(volatile u32 *)&tcp->rcv_nxt != copied;
	// The FIN has a number, and is no byte.
	if (sk->__sk_common.skc_flags & done && !report.is_tcp_unread)
		copied--;
	if (end->reads)
		report.taken -= copied - end->start;
	report.is_tcp_sending = tcp->snd_una != tcp->write_seq;
	user_data = (u64)sk->sk_user_data & ~7ULL;
	psock = bpf_rdonly_cast((void *)user_data, bpf_core_type_id_kernel(struct sk_psock));
	report.is_unread = user_data && psock->ingress_msg.next != &((struct sk_psock *)user_data)->ingress_msg;
	bpf_seq_write(it->meta->seq, &report, sizeof(report));
	return 0;
}

#endif
