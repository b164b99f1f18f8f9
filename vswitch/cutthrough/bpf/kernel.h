// The fields of the kernel's structures that the programs read. Their places are found in the running kernel's BTF when
// the programs are loaded (CO-RE), so nothing here fixes a version.
#ifndef KERNEL_H
#define KERNEL_H

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef unsigned long size_t;
typedef _Bool bool;

#define NULL ((void *)0)
#define true 1
#define false 0
#define AF_INET6 10
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_WAITALL 0x100
#define MSG_ERRQUEUE 0x2000
#define MSG_ZEROCOPY 0x4000000
#define RCV_SHUTDOWN 1
#define O_NONBLOCK 04000
#define SOCK_RCVBUF_LOCK 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

enum sock_flags { SOCK_DONE = 1, SOCK_ZEROCOPY = 2 };

struct netns_ipv4 {
	int sysctl_tcp_rmem[3];
};

struct net {
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	unsigned long skc_flags;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
};

struct file {
	unsigned int f_flags;
};

struct socket {
	struct file *file;
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	int sk_rcvbuf;
	int sk_rcvlowat;
	int sk_peek_off;
	u32 sk_tsflags;
	u8 sk_shutdown;
	u8 sk_userlocks : 4;
	void *sk_user_data;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
};

struct inet_connection_sock {
	const void *icsk_ulp_ops;
};

struct tcp_sock {
	u32 rcv_nxt;
	u32 copied_seq;
	u32 write_seq;
	u32 snd_una;
	u8 recvmsg_inq : 1;
};

struct list_head {
	struct list_head *next;
};

struct sk_psock {
	u32 msg_tot_len;
	struct list_head ingress_msg;
};

struct task_struct;

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r10, dx, di, orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	u64 regs[31];
	u64 orig_x0;
	int syscallno;
};
#endif

#pragma clang attribute pop

#if defined(__TARGET_ARCH_x86)
#define SYSCALL_NUMBER(it) ((it)->orig_ax)
#define SYSCALL_ARGUMENT_1(it) ((it)->di)
#define SYSCALL_ARGUMENT_3(it) ((it)->dx)
#define SYSCALL_ARGUMENT_4(it) ((it)->r10)
#define SYSCALL_SENDTO 44
#define SYSCALL_SENDMSG 46
#define SYSCALL_SENDMMSG 307
#define SYSCALL_SPLICE 275
#elif defined(__TARGET_ARCH_arm64)
#define SYSCALL_NUMBER(it) ((it)->syscallno)
#define SYSCALL_ARGUMENT_1(it) ((it)->orig_x0)
#define SYSCALL_ARGUMENT_3(it) ((it)->regs[2])
#define SYSCALL_ARGUMENT_4(it) ((it)->regs[3])
#define SYSCALL_SENDTO 206
#define SYSCALL_SENDMSG 211
#define SYSCALL_SENDMMSG 269
#define SYSCALL_SPLICE 76
#endif

extern void *bpf_rdonly_cast(const void *obj, u32 btf_id) __ksym;

#endif
