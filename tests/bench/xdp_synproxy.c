/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The first half of a SYN proxy in XDP: SYNs are answered with the kernel's own cookies before there
 * is an skb, and of other segments those pass that conntrack knows, or whose ACK proves a cookie.
 * The second half is the kernel's SYNPROXY behind it, which has the same cookies.
 *
 * What passes unlooked at: all but IPv4 without options or tags to PORT.  MSS and WSCALE are what the
 * SYNPROXY behind it announces.  The kernel lets its helpers be called under the GPL alone.
 *
 * Reading list: bpf-helpers(7), bpf_tcp_raw_gen_syncookie_ipv4 and bpf_tcp_raw_check_syncookie_ipv4;
 * net/netfilter/nf_conntrack_bpf.c, bpf_xdp_ct_lookup; net/netfilter/nf_synproxy_core.c,
 * synproxy_init_timestamp_cookie: what a timestamp remembers; RFC 9293 §3.1-3.2, RFC 7323 §2-3.
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
    NS_PER_MS = 1000000,
    HOP_LIMIT = 64,
    DONT_FRAGMENT = 0x4000,
    FRAGMENT = 0x3fff,          /* more of them, or not the first */
    TCP_AT = sizeof(struct ethhdr) + sizeof(struct iphdr),
    TCP_BYTES = sizeof(struct tcphdr),
    TCP_BYTES_MAX = 60,
    OPTIONS_MAX = 12,           /* that are looked at; stacks send six at most */
    SUM_RIGHT = 0xffff,
};

/* TCP options: IANA's kinds, and their lengths. */
enum { END, NOP, MSS_KIND, WSCALE_KIND, SACK_PERMITTED_KIND, TIMESTAMPS_KIND = 8 };
enum { MSS_BYTES = 4, WSCALE_BYTES = 3, SACK_PERMITTED_BYTES = 2, TIMESTAMPS_BYTES = 10 };

/* In the last bits of a timestamp. */
enum { REMEMBERED = 0x3f, SACK_PERMITTED = 1 << 4, WSCALE_ABSENT = 0xf, WSCALE_MAX = 14 };

struct frame {
    struct ethhdr *eth;
    struct iphdr *ip;
    struct tcphdr *tcp;
};

/* What a client asks for: its TCP header, and its options as far as they are read. */
struct syn {
    __u8 segment[80];           /* of TCP_BYTES_MAX, and room for an option that begins at 63 */
    __u32 bytes;
    __u32 read;
    __be32 tsval;
    __u8 wscale;
    bool timestamps;
    bool sack_permitted;
};

struct synack {
    struct tcphdr tcp;
    __be32 options[5];
};

/* The kernel's, as far as they are needed. */
struct nf_conn {
    unsigned long status;
} __attribute__((preserve_access_index));

struct bpf_ct_opts {
    __s32 netns_id;
    __s32 error;
    __u8 l4proto;
    __u8 dir;
    __u8 reserved[2];
};

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *, struct bpf_sock_tuple *, __u32,
                                         struct bpf_ct_opts *, __u32) __ksym;
extern void bpf_ct_release(struct nf_conn *) __ksym;

/* False where it is too short. */
static __always_inline bool frame_view(struct xdp_md *ctx, struct frame *frame)
{
    frame->eth = (void *)(long)ctx->data;
    frame->ip = (void *)(frame->eth + 1);
    frame->tcp = (void *)(frame->ip + 1);
    return (void *)(frame->tcp + 1) <= (void *)(long)ctx->data_end;
}

static __always_inline bool is_protected(const struct frame *frame)
{
    return frame->eth->h_proto == bpf_htons(ETH_P_IP) && frame->ip->ihl == 5
        && frame->ip->protocol == IPPROTO_TCP && !(frame->ip->frag_off & bpf_htons(FRAGMENT))
        && frame->tcp->dest == bpf_htons(PORT);
}

static __always_inline bool is_known(struct xdp_md *ctx, const struct frame *frame)
{
    struct bpf_sock_tuple ends = {.ipv4 = {frame->ip->saddr, frame->ip->daddr, frame->tcp->source,
                                           frame->tcp->dest}};
    struct bpf_ct_opts asked = {.netns_id = BPF_F_CURRENT_NETNS, .l4proto = IPPROTO_TCP};
    struct nf_conn *known =
        bpf_xdp_ct_lookup(ctx, &ends, sizeof(ends.ipv4), &asked, sizeof(asked));
    bool confirmed;

    if (!known)
        return false;
    confirmed = known->status & IPS_CONFIRMED;
    bpf_ct_release(known);
    return confirmed;
}

/* One's complement, of 16-bit words: RFC 1071 §1. */
static __always_inline __u16 fold(__u64 sum)
{
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u16 sum_of(void *words, __u32 bytes, __u32 seed)
{
    return fold((__u32)bpf_csum_diff(0, 0, words, bytes, seed));
}

static __always_inline __u16 pseudo_sum(const struct iphdr *ip, __u32 tcp_bytes)
{
    return fold((__u64)ip->saddr + ip->daddr + bpf_htons(IPPROTO_TCP) + bpf_htons(tcp_bytes));
}

/* A step of bpf_loop(): 0 to go on, 1 where the options end. */
static long option_read(__u32 _step, struct syn *syn)
{
    const __u8 *option;
    __u32 at = syn->read;

    if (at + 1 >= syn->bytes)
        return 1;
    /* The verifier is to see that it stays within the room; the compiler knows that it does. */
    asm volatile("%0 &= 63" : "+r"(at));
    option = syn->segment + at;
    if (option[0] == NOP) {
        syn->read = at + 1;
        return 0;
    }
    if (option[0] == END || option[1] < 2 || at + option[1] > syn->bytes)
        return 1;
    if (option[0] == WSCALE_KIND && option[1] == WSCALE_BYTES) {
        syn->wscale = option[2] > WSCALE_MAX ? WSCALE_MAX : option[2];
    } else if (option[0] == SACK_PERMITTED_KIND && option[1] == SACK_PERMITTED_BYTES) {
        syn->sack_permitted = true;
    } else if (option[0] == TIMESTAMPS_KIND && option[1] == TIMESTAMPS_BYTES) {
        syn->timestamps = true;
        __builtin_memcpy(&syn->tsval, option + 2, sizeof(syn->tsval));
    }
    syn->read = at + option[1];
    return 0;
}

static __always_inline __u32 tsval_remembering(const struct syn *syn)
{
    __u32 now_ms = bpf_ktime_get_ns() / NS_PER_MS;

    return (now_ms & ~REMEMBERED) | syn->wscale | (syn->sack_permitted ? SACK_PERMITTED : 0);
}

/* Its options; returns its length.  What no timestamp remembers isn't announced. */
static __always_inline __u32 options_write(struct synack *synack, const struct syn *syn)
{
    synack->options[0] = bpf_htonl(MSS_KIND << 24 | MSS_BYTES << 16 | MSS);
    if (!syn->timestamps)
        return TCP_BYTES + 4;
    synack->options[1] = bpf_htonl(
        (syn->sack_permitted ? SACK_PERMITTED_KIND << 24 | SACK_PERMITTED_BYTES << 16
                               : NOP << 24 | NOP << 16)
        | TIMESTAMPS_KIND << 8 | TIMESTAMPS_BYTES);
    synack->options[2] = bpf_htonl(tsval_remembering(syn));
    synack->options[3] = syn->tsval;
    if (syn->wscale == WSCALE_ABSENT)
        return TCP_BYTES + 16;
    synack->options[4] = bpf_htonl(NOP << 24 | WSCALE_KIND << 16 | WSCALE_BYTES << 8 | WSCALE);
    return TCP_BYTES + 20;
}

/* The way back, in the frame that came. */
static __always_inline void turn_round(const struct frame *frame, __u32 tcp_bytes)
{
    __u8 mac[ETH_ALEN];
    __be32 client = frame->ip->saddr;

    __builtin_memcpy(mac, frame->eth->h_source, ETH_ALEN);
    __builtin_memcpy(frame->eth->h_source, frame->eth->h_dest, ETH_ALEN);
    __builtin_memcpy(frame->eth->h_dest, mac, ETH_ALEN);
    frame->ip->tos = 0;
    frame->ip->tot_len = bpf_htons(sizeof(struct iphdr) + tcp_bytes);
    frame->ip->id = 0;
    frame->ip->frag_off = bpf_htons(DONT_FRAGMENT);
    frame->ip->ttl = HOP_LIMIT;
    frame->ip->saddr = frame->ip->daddr;
    frame->ip->daddr = client;
    frame->ip->check = 0;
    frame->ip->check = ~sum_of(frame->ip, sizeof(struct iphdr), 0);
}

/* False where its sums are wrong, which the kernel hasn't looked at yet. */
static __always_inline bool syn_take(struct xdp_md *ctx, const struct frame *frame,
                                     struct syn *syn)
{
    return !bpf_xdp_load_bytes(ctx, TCP_AT, syn->segment, syn->bytes)
        && sum_of(frame->ip, sizeof(struct iphdr), 0) == SUM_RIGHT
        && sum_of(syn->segment, syn->bytes, pseudo_sum(frame->ip, syn->bytes)) == SUM_RIGHT;
}

static __always_inline int answer(struct xdp_md *ctx, struct frame *frame)
{
    struct syn syn = {.bytes = frame->tcp->doff * 4, .read = TCP_BYTES, .wscale = WSCALE_ABSENT};
    struct synack synack = {};
    __u32 bytes;
    __s64 cookie;

    if (syn.bytes < TCP_BYTES || syn.bytes > TCP_BYTES_MAX
            || frame->ip->tot_len != bpf_htons(sizeof(struct iphdr) + syn.bytes))
        return XDP_PASS;
    if (!syn_take(ctx, frame, &syn))
        return XDP_DROP;
    cookie = bpf_tcp_raw_gen_syncookie_ipv4(frame->ip, (struct tcphdr *)syn.segment, syn.bytes);
    if (cookie < 0)
        return XDP_DROP;
    bpf_loop(OPTIONS_MAX, option_read, &syn, 0);
    bytes = options_write(&synack, &syn);
    synack.tcp.source = frame->tcp->dest;
    synack.tcp.dest = frame->tcp->source;
    synack.tcp.seq = bpf_htonl((__u32)cookie);
    synack.tcp.ack_seq = bpf_htonl(bpf_ntohl(frame->tcp->seq) + 1);
    synack.tcp.doff = bytes / 4;
    synack.tcp.syn = synack.tcp.ack = 1;
    synack.tcp.check = ~sum_of(&synack, bytes, pseudo_sum(frame->ip, bytes));
    if ((bytes != syn.bytes && bpf_xdp_adjust_tail(ctx, (int)bytes - (int)syn.bytes))
            || bpf_xdp_store_bytes(ctx, TCP_AT, &synack, bytes) || !frame_view(ctx, frame))
        return XDP_DROP;
    turn_round(frame, bytes);
    return XDP_TX;
}

SEC("xdp")
int synproxy(struct xdp_md *ctx)
{
    struct frame frame;

    if (!frame_view(ctx, &frame) || !is_protected(&frame) || is_known(ctx, &frame))
        return XDP_PASS;
    if (frame.tcp->rst || frame.tcp->fin || frame.tcp->syn == frame.tcp->ack)
        return XDP_DROP;
    if (frame.tcp->syn)
        return answer(ctx, &frame);
    return bpf_tcp_raw_check_syncookie_ipv4(frame.ip, frame.tcp) ? XDP_DROP : XDP_PASS;
}

/* For the other end of the cable. */
SEC("xdp")
int receives(struct xdp_md *_ctx)
{
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
