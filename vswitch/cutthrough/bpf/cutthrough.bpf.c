// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// Cut-through for TCP between two containers of one host: the data of an established connection goes from the sender's
// send call to the receiver's socket, past TCP and past the switch. docs/cut-through.md has the theory of operation.
//
// handshake.h  established: remembers the two sockets of a connection whose handshake the switch has allowed.
// use.h        receives, sends: watch how the programs behind them use the sockets. Once both can be joined, and their
//              users are known, the switch is told; it joins them.
// send.h       cut_through: decides about each send of a joined socket: straight into the receiver's queue, or through
//              TCP as ever. One reason to hold it back is enough, and TCP is always right.
// report.h     joined: reports the state of joined sockets, so that the switch sees which can be plain TCP sockets again,
//              and which readers miss what has come by TCP.
//
// Order. A receiver reads redirected bytes before those that TCP has queued. So a send is redirected only while
// `copied_seq` of the receiver equals `write_seq` of the sender: everything that was ever sent through TCP has been read.
// The sender's socket is locked while its program runs, so nothing can enter TCP meanwhile. The way back needs no
// condition: what goes through TCP after redirected bytes is read after them.
//
// Bound. Redirected bytes are charged to the receiver (`sk_rmem_alloc`). Beyond half the receiver's buffer a send goes
// through TCP, whose window stops the sender. The switch is told of it, and has the sender pause, so that it comes past TCP
// again (src/bulk.rs). Where a small buffer makes that necessary again and again, the connection leaves.
//
// End. Each send and each receive past TCP is counted by its bytes. Once a connection may redirect no more, and all that
// was sent past TCP has been read, no byte is on its way, and its sockets are taken out of the map.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "kernel.h"
#include "layout.h"
#include "maps.h"

char _license[] SEC("license") = "Dual MIT/GPL";

// The switch renews its lease every few seconds. When it is gone, so are the programs that watch the readers, and all
// goes through TCP until it is back.
static __always_inline bool is_stopped(void)
{
	u32 zero = 0;
	struct identity *it = bpf_map_lookup_elem(&identity, &zero);

	return !it || it->valid_until < bpf_ktime_get_coarse_ns();
}

#include "handshake.h"
#include "use.h"
#include "send.h"
#include "report.h"
