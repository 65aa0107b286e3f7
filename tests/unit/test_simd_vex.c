/*
 * VEX and EVEX rows against the host's own processor: each row of the vector classes is encoded with random registers,
 * lengths, masks, zeroing, broadcast, rounding and scaled displacements, run here and there on random and awkward
 * operands, and vectors, opmasks, general registers, flags, MXCSR and memory are compared. Floating point runs on both
 * paths. It needs a host with AVX-512 F and VL; rows of features that the host lacks are left out.
 */
#define _GNU_SOURCE /* REG_RIP */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cpu/block.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/isa.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/simd.h"

#ifdef __x86_64__
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

/* --- random operands --- */

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static const uint32_t corners32[] = {
    0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x3F000000, 0x40200000, 0x7F800000, 0xFF800000,
    0x7FC00001, 0xFFC12345, 0x7F800001, 0xFFA00000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000,
    0x80800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x4F000000, 0xCF000000, 0x4EFFFFFF, 0x5F000000, 0xDF000000,
    0x33800000, 0x00FFFFFF, 0x00400000, 0x3EFFFFFF, 0x3F7FFFFF, 0x4B000001, 0x7FFFFFFF, 0xFFFFFFFF,
};
static const uint64_t corners64[] = {
    0x0000000000000000, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x3FE0000000000000,
    0x4004000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000001, 0xFFF8123456789ABC,
    0x7FF0000000000001, 0xFFF4000000000000, 0x0000000000000001, 0x8000000000000001, 0x000FFFFFFFFFFFFF,
    0x0010000000000000, 0x8010000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF, 0x41E0000000000000,
    0xC1E0000000000000, 0x41DFFFFFFFC00000, 0x41DFFFFFFFE00000, 0x43E0000000000000, 0xC3E0000000000000,
    0x380FFFFFFFFFFFFF, 0x36A0000000000000, 0x3690000000000000, 0x47EFFFFFE0000000, 0x47EFFFFFF0000000,
    0x3810000000000000, 0x380FFFFFF0000000, 0xC1E0000000100000,
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum operand_style { RANDOM_BYTES, CORNERS_32, CORNERS_64, NEAR_32, NEAR_64, TEXT, SMALL, EXTREMES, STYLES };

static void fill_vector(uint64_t *seed, union vector_register *v, unsigned style)
{
    static const uint8_t extreme[] = { 0x00, 0xFF, 0x80, 0x7F, 0x01 };
    for (unsigned i = 0; i < 16; i++) {
        uint64_t r = next_random(seed);
        switch (style) {
        case CORNERS_32:
            v->u32[i] = corners32[r % COUNT(corners32)];
            break;
        case CORNERS_64:
            v->u64[i / 2] = corners64[r % COUNT(corners64)];
            break;
        case NEAR_32: /* exponents close to each other, so that sums cancel and quotients round */
            v->u32[i] = ((uint32_t)r & 0x807FFFFFu) | (uint32_t)(120 + (r >> 40) % 40) << 23;
            break;
        case NEAR_64:
            v->u64[i / 2] = (r & 0x800FFFFFFFFFFFFFu) | (1010 + (r >> 52) % 60) << 52;
            break;
        case TEXT:
            for (unsigned j = 0; j < 4; j++)
                v->u8[4 * i + j] = "aabcz\0\x80"[(r >> 8 * j) % 7];
            break;
        case SMALL:
            v->u32[i] = (uint32_t)(r % 40);
            break;
        case EXTREMES:
            for (unsigned j = 0; j < 4; j++)
                v->u8[4 * i + j] = extreme[(r >> 8 * j) % COUNT(extreme)];
            break;
        default:
            v->u32[i] = (uint32_t)r;
            break;
        }
    }
}

/* --- one instruction on the host --- */

/* Registers 0 to 3 and 16 to 19. */
#define VECTORS 8u
#define AREA    512u /* bytes of memory that are looked at, RDI in the middle */

struct machine_state {
    union vector_register zmm[VECTORS];
    uint64_t k[8];
    uint64_t rax, rcx, rdx, rdi;
    uint64_t flags; /* status flags */
    uint32_t mxcsr;
    uint32_t trapped; /* a SIMD floating-point exception */
};
_Static_assert(offsetof(struct machine_state, k) == 512 && offsetof(struct machine_state, rax) == 576 &&
                   offsetof(struct machine_state, flags) == 608 && offsetof(struct machine_state, mxcsr) == 616,
               "host_run_vex has these offsets");

/* Loads the state, calls the code, stores the state. */
void host_run_vex(struct machine_state *state, const void *code);
__asm__(".text\n.globl host_run_vex\n.type host_run_vex, @function\n"
        "host_run_vex:\n"
        "  push %rbx\n  push %rbp\n  sub $24, %rsp\n"
        "  mov %rdi, %rbx\n"
        "  stmxcsr (%rsp)\n"
        "  vmovdqu64 (%rbx), %zmm0\n  vmovdqu64 64(%rbx), %zmm1\n"
        "  vmovdqu64 128(%rbx), %zmm2\n  vmovdqu64 192(%rbx), %zmm3\n"
        "  vmovdqu64 256(%rbx), %zmm16\n  vmovdqu64 320(%rbx), %zmm17\n"
        "  vmovdqu64 384(%rbx), %zmm18\n  vmovdqu64 448(%rbx), %zmm19\n"
        "  kmovq 512(%rbx), %k0\n  kmovq 520(%rbx), %k1\n  kmovq 528(%rbx), %k2\n  kmovq 536(%rbx), %k3\n"
        "  kmovq 544(%rbx), %k4\n  kmovq 552(%rbx), %k5\n  kmovq 560(%rbx), %k6\n  kmovq 568(%rbx), %k7\n"
        "  mov 576(%rbx), %rax\n  mov 584(%rbx), %rcx\n  mov 592(%rbx), %rdx\n  mov 600(%rbx), %rdi\n"
        "  ldmxcsr 616(%rbx)\n"
        "  push 608(%rbx)\n  popfq\n"
        "  call *%rsi\n"
        "  pushfq\n  pop 608(%rbx)\n"
        "  stmxcsr 616(%rbx)\n"
        "  ldmxcsr (%rsp)\n"
        "  vmovdqu64 %zmm0, (%rbx)\n  vmovdqu64 %zmm1, 64(%rbx)\n"
        "  vmovdqu64 %zmm2, 128(%rbx)\n  vmovdqu64 %zmm3, 192(%rbx)\n"
        "  vmovdqu64 %zmm16, 256(%rbx)\n  vmovdqu64 %zmm17, 320(%rbx)\n"
        "  vmovdqu64 %zmm18, 384(%rbx)\n  vmovdqu64 %zmm19, 448(%rbx)\n"
        "  kmovq %k0, 512(%rbx)\n  kmovq %k1, 520(%rbx)\n  kmovq %k2, 528(%rbx)\n  kmovq %k3, 536(%rbx)\n"
        "  kmovq %k4, 544(%rbx)\n  kmovq %k5, 552(%rbx)\n  kmovq %k6, 560(%rbx)\n  kmovq %k7, 568(%rbx)\n"
        "  vzeroupper\n"
        "  mov %rax, 576(%rbx)\n  mov %rcx, 584(%rbx)\n  mov %rdx, 592(%rbx)\n"
        "  add $24, %rsp\n  pop %rbp\n  pop %rbx\n  ret\n"
        ".size host_run_vex, .-host_run_vex\n");

static uint8_t *code_page, *data_page;
static unsigned code_bytes;
static uint32_t trap_mxcsr;
static volatile sig_atomic_t trapped;

/* Goes on behind the instruction with its exceptions masked. */
static void on_sigfpe(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number, (void)info;
    ucontext_t *at = context;
    trap_mxcsr = at->uc_mcontext.fpregs->mxcsr;
    trapped = 1;
    at->uc_mcontext.fpregs->mxcsr |= MXCSR_MASKS;
    at->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)(code_page + code_bytes);
}
static sigjmp_buf illegal;
static void on_sigill(int signal_number)
{
    (void)signal_number;
    siglongjmp(illegal, 1);
}

/* False: the host says #UD. */
static bool run_on_host(struct machine_state *state)
{
    trapped = 0;
    if (sigsetjmp(illegal, 1))
        return false;
    host_run_vex(state, code_page);
    state->flags &= FLAGS_STATUS;
    state->trapped = (uint32_t)trapped;
    if (trapped)
        state->mxcsr = trap_mxcsr;
    return true;
}

/* --- the same here --- */

struct guest {
    struct cpu *cpu;
    struct engine *engine;
    struct tlb_entry *tlb;
    struct block *block;
};

static const uint64_t all_features[2] = { UINT64_MAX, UINT64_MAX };
static const struct cpu_model model = { .name = "test", .features = all_features };

static struct guest guest_make(void)
{
    struct guest guest = {
        .cpu = calloc(1, sizeof(struct cpu)),
        .engine = calloc(1, sizeof(struct engine)),
        .tlb = calloc(TLB_ENTRIES, sizeof(struct tlb_entry)),
        .block = aligned_alloc(64, (BLOCK_BYTES_MAX + 63) / 64 * 64),
    };
    assert_true(guest.cpu && guest.engine && guest.tlb && guest.block);
    struct cpu *cpu = guest.cpu;
    cpu->engine = guest.engine;
    cpu->tlb = guest.tlb;
    cpu->model = &model;
    cpu->deadline = UINT64_MAX;
    cpu->cr4 = CR4_OSXMMEXCPT;
    cpu->mode = MODE_CODE64;
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        guest.tlb[i] = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
    /* the guest's linear address of the data page is the host's */
    uint64_t linear = (uintptr_t)data_page;
    *tlb_slot(cpu, linear) = (struct tlb_entry){ .read = linear, .write = linear, .host = 0 };
    return guest;
}
static void guest_free(struct guest guest)
{
    free(guest.cpu);
    free(guest.engine);
    free(guest.tlb);
    free(guest.block);
}

static unsigned vector_number(unsigned i)
{
    return i < 4 ? i : i + 12;
}

static bool run_on_guest(struct guest *guest, struct machine_state *state, bool soft)
{
    struct cpu *cpu = guest->cpu;
    uint32_t mode = MODE_CODE64 | MODE_PROTECTED | MODE_LONG | MODE_OSFXSR | MODE_AVX | MODE_AVX512 | MODE_SINGLE;
    if (!lower_block(cpu, guest->block, 0, mode, code_page, code_bytes, true))
        return false;
    for (unsigned i = 0; i < VECTORS; i++)
        cpu->zmm[vector_number(i)] = state->zmm[i];
    memcpy(cpu->opmask, state->k, sizeof state->k);
    cpu->gpr[RAX] = state->rax;
    cpu->gpr[RCX] = state->rcx;
    cpu->gpr[RDX] = state->rdx;
    cpu->gpr[RDI] = state->rdi;
    flags_set_status(cpu, state->flags);
    cpu->mxcsr = state->mxcsr;
    cpu->fp_soft = soft;
    cpu->fault = (struct fault){ 0 };
    simd_engine_enter(cpu);
    const struct op *op = guest->block->ops;
    while (op)
        op = op->run(cpu, op);
    simd_engine_leave(cpu);
    for (unsigned i = 0; i < VECTORS; i++)
        state->zmm[i] = cpu->zmm[vector_number(i)];
    memcpy(state->k, cpu->opmask, sizeof state->k);
    state->rax = cpu->gpr[RAX];
    state->rcx = cpu->gpr[RCX];
    state->rdx = cpu->gpr[RDX];
    state->flags = flags_status(cpu);
    state->mxcsr = cpu->mxcsr;
    state->trapped = cpu->fault.vector == VEC_XM;
    return state->trapped || cpu->fault.vector == 0;
}

/* --- encodings of a row --- */

static bool host_has(const char *feature)
{
    const struct {
        const char *name;
        bool there;
    } features[] = {
#define FEATURE(row, host) { row, __builtin_cpu_supports(host) }
        FEATURE("avx", "avx"),
        FEATURE("avx2", "avx2"),
        FEATURE("fma", "fma"),
        FEATURE("f16c", "avx2"),
        FEATURE("avx512f", "avx512f"),
        FEATURE("avx512cd", "avx512cd"),
        FEATURE("avx512bw", "avx512bw"),
        FEATURE("avx512dq", "avx512dq"),
        FEATURE("avx512ifma", "avx512ifma"),
        FEATURE("avx512vbmi", "avx512vbmi"),
        FEATURE("avx512vbmi2", "avx512vbmi2"),
        FEATURE("avx512vnni", "avx512vnni"),
        FEATURE("avx512bitalg", "avx512bitalg"),
        FEATURE("avx512vpopcntdq", "avx512vpopcntdq"),
        FEATURE("avx512bf16", "avx512bf16"),
    };
    for (unsigned i = 0; i < COUNT(features); i++) {
        if (!strcmp(feature, features[i].name))
            return features[i].there;
    }
    return false;
}

static bool row_is_tested(const struct isa_row *row)
{
    static const char *const excluded[] = { "-", "ldmxcsr", "stmxcsr", "vmaskmovdqu" };
    if (row->isa_class < ISA_CLASS_AVX || !host_has(row->feature_name))
        return false;
    for (unsigned i = 0; i < COUNT(excluded); i++) {
        if (!strcmp(row->handler_name, excluded[i]))
            return false;
    }
    return !strstr(row->handler_name, "rcp") && !strstr(row->handler_name, "rsqrt");
}
static bool row_has(const struct isa_row *row, enum operand_source source)
{
    for (unsigned i = 0; i < row->operand_count; i++) {
        if (row->operand[i].source == source)
            return true;
    }
    return false;
}
static enum operand_class class_from(const struct isa_row *row, enum operand_source source)
{
    for (unsigned i = 0; i < row->operand_count; i++) {
        if (row->operand[i].source == source)
            return row->operand[i].cls;
    }
    return CLASS_NONE;
}
static unsigned pick(unsigned set, uint64_t r)
{
    unsigned n = (unsigned)(r % (unsigned)__builtin_popcount(set));
    while (n--)
        set &= set - 1;
    return (unsigned)__builtin_ctz(set);
}

/* A register number for an operand: general registers RAX to RDX, opmasks all, vectors those that are looked at. */
static unsigned pick_register(const struct isa_row *row, enum operand_source source, bool evex, uint64_t r)
{
    switch (class_from(row, source)) {
    case CLASS_GPR:
        return (unsigned)(r % 3);
    case CLASS_OPMASK:
        return (unsigned)(r % 8);
    case CLASS_VEC:
        return vector_number((unsigned)(r % (evex ? VECTORS : VECTORS / 2)));
    default:
        return 0;
    }
}

static void encode(const struct isa_row *row, bool memory, unsigned length, uint64_t *seed)
{
    const struct isa_encoding *e = &row->accepts;
    bool evex = e->map >= ISA_MAP_EVEX_0F;
    uint64_t r = next_random(seed), s = next_random(seed);
    unsigned reg =
        e->regs == 0xFF ? pick_register(row, FROM_MODRM_REG, evex, r >> 0 & 0xFF) : (unsigned)__builtin_ctz(e->regs);
    unsigned rm = memory ? RDI : pick_register(row, FROM_MODRM_RM, evex, r >> 8 & 0xFF);
    unsigned vvvv = row_has(row, FROM_VVVV) ? pick_register(row, FROM_VVVV, evex, r >> 16 & 0xFF) : 0;
    unsigned pp = (unsigned)__builtin_ctz(e->prefixes), w = pick(e->w, r >> 24 & 0xFF);
    bool vsib = row->attributes & ISA_VSIB;
    unsigned index = 0;
    if (vsib) { /* all different; register 2 or 18 has small numbers */
        reg = evex && r & 1 ? 16 : 0;
        vvvv = 1;
        rm = 4;
        index = evex && r & 2 ? 18 : 2;
        if (evex)
            vvvv = index & 16;
    }
    bool displaced = memory && r >> 32 & 1 && row->isa_class != ISA_CLASS_AVX_ALIGNED;
    uint8_t *at = code_page;
    if (evex) {
        unsigned mask = 0, b = 0, z = 0;
        if (row->attributes & ISA_MASKED && s & 3)
            mask = s >> 2 & 7;
        if (vsib && !mask)
            mask = 1;
        if (mask && row->attributes & ISA_ZEROED && !(memory && row->operand[0].source == FROM_MODRM_RM))
            z = s >> 5 & 1;
        if (row->attributes & (memory ? ISA_BROADCAST : ISA_ROUNDING | ISA_SAE) && (memory || e->vector_lengths & 4))
            b = s >> 6 & 1;
        if (b && !memory)
            length = s >> 7 & 3;
        unsigned map = e->map <= ISA_MAP_EVEX_0F3A ? e->map - ISA_MAP_EVEX_0F + 1u : e->map - ISA_MAP_EVEX_MAP5 + 5u;
        *at++ = 0x62;
        *at++ =
            (uint8_t)(map | (reg & 8 ? 0 : 0x80) | (rm & 16 ? 0 : 0x40) | (rm & 8 ? 0 : 0x20) | (reg & 16 ? 0 : 0x10));
        *at++ = (uint8_t)(w << 7 | (~vvvv & 15) << 3 | 4 | pp);
        *at++ = (uint8_t)(z << 7 | length << 5 | b << 4 | (vvvv & 16 ? 0 : 8) | mask);
    } else {
        *at++ = 0xC4;
        *at++ = (uint8_t)((e->map - ISA_MAP_VEX_0F + 1u) | 0xE0);
        *at++ = (uint8_t)(w << 7 | (~vvvv & 15) << 3 | length << 2 | pp);
    }
    *at++ = e->opcode;
    if (e->has_modrm)
        *at++ = (uint8_t)((memory ? displaced ? 0x40 : 0 : 0xC0) | (reg & 7) << 3 | (rm & 7));
    if (vsib)
        *at++ = (uint8_t)((r >> 48 & 3) << 6 | (index & 7) << 3 | RDI);
    if (displaced)
        *at++ = 1;
    if (row_has(row, FROM_IMMEDIATE))
        *at++ = (uint8_t)(r >> 40);
    if (row_has(row, FROM_IS4))
        *at++ = (uint8_t)((r >> 40 & 3) << 4);
    code_bytes = (unsigned)(at - code_page);
    *at = 0xC3;
}

static void print_state(const char *name, const struct machine_state *s)
{
    print_message("%-6s rax %llx rcx %llx rdx %llx flags %llx mxcsr %x trapped %u\n", name, (unsigned long long)s->rax,
                  (unsigned long long)s->rcx, (unsigned long long)s->rdx, (unsigned long long)s->flags, s->mxcsr,
                  s->trapped);
    for (unsigned i = 0; i < VECTORS; i++) {
        print_message("  zmm%-2u", vector_number(i));
        for (unsigned j = 8; j-- > 0;)
            print_message(" %016llx", (unsigned long long)s->zmm[i].u64[j]);
        print_message("  k%u %016llx\n", i, (unsigned long long)s->k[i]);
    }
}

/* One execution on both. False: they differ, and it was printed how. */
static bool compare(struct guest *guest, const struct isa_row *row, const struct machine_state *start,
                    const uint8_t *memory, bool soft)
{
    struct machine_state host = *start, mine = *start;
    uint8_t written[AREA];
    memcpy(data_page, memory, AREA);
    bool host_ran = run_on_host(&host);
    memcpy(written, data_page, AREA);
    memcpy(data_page, memory, AREA);
    bool ran = run_on_guest(guest, &mine, soft);
    bool same_memory = !memcmp(written, data_page, AREA);
    if (host_ran == ran && (!ran || (!memcmp(&host, &mine, sizeof host) && same_memory)))
        return true;
    print_message("%s %s (%s), %s path, code", row->mnemonic, row->operands, row->encoding, soft ? "soft" : "host");
    for (unsigned i = 0; i < code_bytes; i++)
        print_message(" %02x", code_page[i]);
    print_message("; host %s, sim %s, memory %s\n", host_ran ? "ran" : "#UD", ran ? "ran" : "faulted",
                  same_memory ? "equal" : "differs");
    if (getenv("VERBOSE")) {
        print_state("start", start);
        print_state("host", &host);
        print_state("sim", &mine);
        print_message("memory");
        for (unsigned i = 0; i < AREA / 8; i++)
            print_message("%s%02x%02x%02x%02x%02x%02x%02x%02x", i % 8 ? " " : "\n  ", memory[8 * i + 7],
                          memory[8 * i + 6], memory[8 * i + 5], memory[8 * i + 4], memory[8 * i + 3], memory[8 * i + 2],
                          memory[8 * i + 1], memory[8 * i]);
        print_message("\n");
    }
    return false;
}

static struct machine_state random_state(uint64_t *seed, unsigned style, uint32_t mxcsr, uint8_t *memory)
{
    struct machine_state state = { .mxcsr = mxcsr, .rdi = (uintptr_t)data_page + AREA / 2 };
    union vector_register v;
    for (unsigned i = 0; i < VECTORS; i++) {
        uint64_t r = next_random(seed);
        fill_vector(seed, &state.zmm[i], style);
        state.k[i] = i % 4 == 0 ? r : i % 4 == 1 ? UINT64_MAX : i % 4 == 2 ? r & next_random(seed) : r >> 60 ? r : 0;
    }
    for (unsigned at = 0; at < AREA; at += 64) {
        fill_vector(seed, &v, style);
        memcpy(memory + at, &v, 64);
    }
    uint64_t r = next_random(seed);
    state.rax = r & 1 ? v.u64[0] : (uint64_t)((int64_t)(r << 32) >> 58);
    state.rcx = v.u64[1];
    state.rdx = r & 2 ? v.u32[1] : r >> 59;
    state.flags = r >> 8 & FLAGS_STATUS;
    return state;
}

/* Registers 2 and 18: lanes of 32 or 64 bits from -16 to 15, which stay in the memory that is looked at. */
static void small_indexes(struct machine_state *state, const struct isa_row *row, uint64_t *seed)
{
    bool wide = row->accepts.opcode & 1; /* VPGATHERQD, VGATHERQPS, ... have odd opcodes */
    for (unsigned i = 0; i < 8; i++) {
        uint64_t r = next_random(seed);
        for (unsigned v = 2; v < VECTORS; v += 4) {
            int low = (int)(r >> v & 31) - 16, high = (int)(r >> (v + 16) & 31) - 16;
            if (wide) {
                state->zmm[v].i64[i] = low;
            } else {
                state->zmm[v].i32[2 * i] = low;
                state->zmm[v].i32[2 * i + 1] = high;
            }
        }
    }
}

enum masking { ALL_MASKED, SOME_UNMASKED };

/* All rows, `rounds` states for each length and operand form. */
static void compare_rows(enum masking masking, unsigned rounds)
{
    if (!__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512bw")) {
        print_message("skipped: the host has no AVX-512\n");
        return;
    }
    code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(code_page != MAP_FAILED && data_page != MAP_FAILED);
    struct guest guest = guest_make();
    struct sigaction fpe = { .sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO }, fpe_before;
    struct sigaction ill = { .sa_handler = on_sigill }, ill_before;
    sigaction(SIGFPE, &fpe, &fpe_before);
    sigaction(SIGILL, &ill, &ill_before);
    uint64_t seed = 7 + masking;
    unsigned failures = 0, rows = 0;
    const char *only = getenv("ONLY");
    for (unsigned n = 0; n < ISA_ROW_COUNT; n++) {
        const struct isa_row *row = &isa_rows[n];
        if (!row_is_tested(row) || (only && !strstr(row->mnemonic, only)))
            continue;
        rows++;
        unsigned row_failures = 0;
        for (unsigned form = 0; form < 6; form++) {
            bool memory = form & 1;
            unsigned length = form >> 1;
            if ((!row->accepts.has_modrm && memory) || !(row->accepts.mods & (memory ? 1 : 2)) ||
                !(row->accepts.vector_lengths >> length & 1))
                continue;
            for (unsigned round = 0; round < rounds && row_failures < 1; round++) {
                uint8_t data[AREA];
                uint64_t r = next_random(&seed);
                uint32_t masks = masking == ALL_MASKED ? MXCSR_MASKS : (uint32_t)(r & next_random(&seed)) & MXCSR_MASKS;
                uint32_t rare = r >> 32 & 3 ? 0 : (uint32_t)(r >> 40) & (MXCSR_DAZ | MXCSR_FTZ | MXCSR_FLAGS);
                encode(row, memory, length, &seed);
                struct machine_state start =
                    random_state(&seed, round % STYLES, masks | rare | ((uint32_t)(r >> 20) & MXCSR_RC), data);
                if (row->attributes & ISA_VSIB)
                    small_indexes(&start, row, &seed);
                row_failures += !compare(&guest, row, &start, data, round & 1);
            }
        }
        failures += row_failures;
    }
    sigaction(SIGFPE, &fpe_before, NULL);
    sigaction(SIGILL, &ill_before, NULL);
    guest_free(guest);
    munmap(code_page, 4096);
    munmap(data_page, 4096);
    print_message("%u rows compared with the host\n", rows);
    assert_int_equal(failures, 0);
}

static void rows_match_the_host(void **state)
{
    (void)state;
    compare_rows(ALL_MASKED, 48);
}
static void unmasked_exceptions_match_the_host(void **state)
{
    (void)state;
    compare_rows(SOME_UNMASKED, 16);
}
#endif

int main(void)
{
#ifdef __x86_64__
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_match_the_host),
        cmocka_unit_test(unmasked_exceptions_match_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    return 0;
#endif
}
