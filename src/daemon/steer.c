/* The steering of a TAP's frames: nst_spread_of(), for what is most of them, in the kernel's words.
 *
 * The program has no loop and no memory: it reads the ends of the connection into registers and
 * computes SipHash-2-4 of them, round by round. A load beyond the frame's end makes the kernel
 * return 0, which is the first stack's number, and so does all that is not TCP. What the program
 * does not know, as fragments and ICMP errors, nst_spread_of() finds its way for afterwards; so
 * nothing but speed depends on it. */
#include "daemon/steer.h"

#include <bpf/bpf.h>
#include <netstack/device.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/siphash.h"
#include "core/wire/eth.h"
#include "core/wire/ipv4.h"

#define FRAGMENT 0x3fff /* of the flags and the offset: MF, and any offset */
#define ENDS_LEN 36     /* bytes that nst_tcp_spread_of() hashes */
#define SWAP     (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? BPF_TO_BE : BPF_TO_LE)

/* What registers hold. The kernel's loads want the frame in R6, and spoil R1 to R5. */
enum {
    RESULT = BPF_REG_0, /* of loads, and of the program */
    V0 = BPF_REG_1,     /* the state of SipHash */
    V1,
    V2,
    V3,
    SCRATCH,
    FRAME,
    PORTS, /* before that, the length of the IP header */
    PEER,
    LOCAL,
};

struct writer {
    struct bpf_insn *next;
};

/* ---- Instructions ---------------------------------------------------------------------------- */

static void put(struct writer *w, unsigned code, unsigned dst, unsigned src, int off, uint32_t imm)
{
    *w->next++ = (struct bpf_insn){.code = (uint8_t)code,
                                   .dst_reg = (uint8_t)(dst & 15),
                                   .src_reg = (uint8_t)(src & 15),
                                   .off = (int16_t)off,
                                   .imm = (int32_t)imm};
}

static void put_number(struct writer *w, unsigned op, unsigned dst, uint32_t number)
{
    put(w, BPF_ALU64 | op | BPF_K, dst, 0, 0, number);
}

static void put_registers(struct writer *w, unsigned op, unsigned dst, unsigned src)
{
    put(w, BPF_ALU64 | op | BPF_X, dst, src, 0, 0);
}

static void put_constant(struct writer *w, unsigned dst, uint64_t value)
{
    put(w, BPF_LD | BPF_DW | BPF_IMM, dst, 0, 0, (uint32_t)value);
    put(w, 0, 0, 0, 0, (uint32_t)(value >> 32));
}

static void put_load(struct writer *w, unsigned size, size_t at)
{
    put(w, BPF_LD | BPF_ABS | size, 0, 0, 0, (uint32_t)at);
}

/* Ends the program with 0 unless RESULT compares like that. */
static void put_require(struct writer *w, unsigned compare, uint32_t number)
{
    put(w, BPF_JMP | compare | BPF_K, RESULT, 0, 2, number);
    put_number(w, BPF_MOV, RESULT, 0);
    put(w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* RESULT was read as the network does; the hash reads bytes from the lowest on. */
static void put_swapped(struct writer *w, unsigned dst)
{
    put_registers(w, BPF_MOV, dst, RESULT);
    put(w, BPF_ALU | BPF_END | SWAP, dst, 0, 0, 32);
}

/* ---- SipHash --------------------------------------------------------------------------------- */

static void put_rotate(struct writer *w, unsigned dst, uint32_t bits)
{
    put_registers(w, BPF_MOV, SCRATCH, dst);
    put_number(w, BPF_LSH, dst, bits);
    put_number(w, BPF_RSH, SCRATCH, 64 - bits);
    put_registers(w, BPF_OR, dst, SCRATCH);
}

/* a += b, b = b <<< bits ^ a */
static void put_mix(struct writer *w, unsigned a, unsigned b, uint32_t bits)
{
    put_registers(w, BPF_ADD, a, b);
    put_rotate(w, b, bits);
    put_registers(w, BPF_XOR, b, a);
}

static void put_rounds(struct writer *w, unsigned n)
{
    while (n-- > 0) {
        put_mix(w, V0, V1, 13);
        put_rotate(w, V0, 32);
        put_mix(w, V2, V3, 16);
        put_mix(w, V0, V3, 21);
        put_mix(w, V2, V1, 17);
        put_rotate(w, V2, 32);
    }
}

static void put_absorb(struct writer *w, unsigned word)
{
    put_registers(w, BPF_XOR, V3, word);
    put_rounds(w, 2);
    put_registers(w, BPF_XOR, V0, word);
}

/* An address of IPv4, and the zeros that stand behind it in struct nst_addr. */
static void put_absorb_address(struct writer *w, unsigned word)
{
    put_absorb(w, word);
    put_rounds(w, 2);
}

static void put_hash(struct writer *w, const uint8_t key[16])
{
    uint64_t k[2];

    memcpy(k, key, sizeof k);
    put_constant(w, V0, k[0] ^ NST_SIPHASH_V0);
    put_constant(w, V1, k[1] ^ NST_SIPHASH_V1);
    put_constant(w, V2, k[0] ^ NST_SIPHASH_V2);
    put_constant(w, V3, k[1] ^ NST_SIPHASH_V3);
    put_absorb_address(w, LOCAL);
    put_absorb_address(w, PEER);
    put_absorb(w, PORTS);
    put_number(w, BPF_XOR, V2, 0xff);
    put_rounds(w, 4);
    put_registers(w, BPF_MOV, RESULT, V0);
    put_registers(w, BPF_XOR, RESULT, V1);
    put_registers(w, BPF_XOR, RESULT, V2);
    put_registers(w, BPF_XOR, RESULT, V3);
}

/* ---- The frame ------------------------------------------------------------------------------- */

/* What the hash ends with: the ports, ours first, and the length of all in the last byte. */
static void put_ports(struct writer *w, size_t ip)
{
    put(w, BPF_LD | BPF_IND | BPF_W, 0, PORTS, 0, (uint32_t)ip);
    put_registers(w, BPF_MOV, SCRATCH, RESULT);
    put_number(w, BPF_LSH, RESULT, 16);
    put_number(w, BPF_RSH, SCRATCH, 16);
    put_registers(w, BPF_OR, RESULT, SCRATCH);
    put_swapped(w, PORTS);
    put_constant(w, SCRATCH, (uint64_t)ENDS_LEN << 56);
    put_registers(w, BPF_OR, PORTS, SCRATCH);
}

/* The ends of a whole TCP segment of IPv4 whose header begins at `ip`. */
static void put_ends(struct writer *w, size_t ip)
{
    put_load(w, BPF_B, ip);
    put_require(w, BPF_JGE, 4 << 4 | NST_IPV4_HLEN / 4);
    put_require(w, BPF_JLE, 4 << 4 | 15);
    put_registers(w, BPF_MOV, PORTS, RESULT);
    put_number(w, BPF_AND, PORTS, 15);
    put_number(w, BPF_LSH, PORTS, 2);
    put_load(w, BPF_B, ip + 9);
    put_require(w, BPF_JEQ, NST_IPPROTO_TCP);
    put_load(w, BPF_H, ip + 6);
    put_number(w, BPF_AND, RESULT, FRAGMENT);
    put_require(w, BPF_JEQ, 0);
    put_load(w, BPF_W, ip + 12);
    put_swapped(w, PEER);
    put_load(w, BPF_W, ip + 16);
    put_swapped(w, LOCAL);
    put_ports(w, ip);
}

size_t nst_steer_program(struct bpf_insn out[NST_STEER_MAX], const struct nst_spread *spread,
                         enum nst_medium medium)
{
    struct writer w = {out};
    size_t ip = medium == NST_MEDIUM_ETHERNET ? NST_ETH_HLEN : 0;

    put_registers(&w, BPF_MOV, FRAME, BPF_REG_1);
    if (ip > 0) {
        put_load(&w, BPF_H, ip - 2);
        put_require(&w, BPF_JEQ, NST_ETHERTYPE_IPV4);
    }
    put_ends(&w, ip);
    put_hash(&w, spread->key);
    put_number(&w, BPF_MOD, RESULT, spread->count);
    put(&w, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    return (size_t)(w.next - out);
}

int nst_steer(struct nst_device *device, const struct nst_spread *spread, enum nst_medium medium)
{
    struct bpf_insn program[NST_STEER_MAX];
    size_t len = nst_steer_program(program, spread, medium);
    int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "netstack", "MIT", program, len, NULL);
    int err = fd < 0 ? fd : nst_device_steer(device, fd);

    if (fd >= 0)
        close(fd);
    return err;
}
