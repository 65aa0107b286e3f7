/*
 * MMX and SSE to SSE4.2 against the host's own processor: each row of the instruction table is encoded, run here and
 * there on random and awkward operands, and the registers, flags and MXCSR are compared. Floating point runs on both
 * paths, in all rounding modes, with DAZ and FTZ, and with unmasked exceptions (the host's SIGFPE).
 */
#define _GNU_SOURCE /* REG_RIP */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/unit/operands.h"

#include "cpu/block.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/isa.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/simd.h"
#include "tests/unit/rows.h"
#include "devices/lapic_state.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- the approximations: no reference but the definition's bound --- */

static double f32_value(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return (double)value;
}
static double magnitude(double value)
{
    return value < 0 ? -value : value;
}

static void approximations_keep_their_bound(void **state)
{
    (void)state;
    const double bound = 1.5 / 4096;
    uint64_t seed = 1;
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)operand_random(&seed) & 0x7FFFFFFF;
        if (bits < 0x00800000 || bits > 0x7E7FFFFF)
            continue;
        double x = f32_value(bits), rcp = f32_value(simd_rcp(bits)), rsqrt = f32_value(simd_rsqrt(bits));
        assert_true(magnitude(rcp * x - 1) <= bound);
        assert_true(f32_value(simd_rcp(bits | 0x80000000)) == -rcp);
        /* rsqrt^2 * x is 1 within twice the relative error of rsqrt */
        assert_true(magnitude(rsqrt * rsqrt * x - 1) <= 2 * bound);
    }
    assert_int_equal(simd_rcp(0x00000001), 0x7F800000);
    assert_int_equal(simd_rcp(0x80000000), 0xFF800000);
    assert_int_equal(simd_rcp(0xFF800000), 0x80000000);
    assert_int_equal(simd_rcp(0x7F000001), 0);
    assert_int_equal(simd_rcp(0x7F800001), 0x7FC00001);
    assert_int_equal(simd_rsqrt(0x80000000), 0xFF800000);
    assert_int_equal(simd_rsqrt(0xBF800000), 0xFFC00000);
    assert_int_equal(simd_rsqrt(0x7F800000), 0);
    assert_int_equal(simd_rsqrt(0x40800000), 0x3F000000);
}

#ifdef __x86_64__
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

/* --- one instruction on the host --- */

struct machine_state {
    union {
        uint8_t u8[16];
        uint64_t u64[2];
    } xmm[4];
    uint64_t mmx[4];
    uint64_t rax, rcx, rdx, rdi;
    uint64_t flags; /* status flags */
    uint32_t mxcsr;
    uint32_t trapped; /* a SIMD floating-point exception */
};
_Static_assert(offsetof(struct machine_state, mmx) == 64 && offsetof(struct machine_state, rax) == 96 &&
                   offsetof(struct machine_state, flags) == 128 && offsetof(struct machine_state, mxcsr) == 136,
               "host_run has these offsets");

/* Loads the state, calls the code, stores the state. */
void host_run(struct machine_state *state, const void *code);
__asm__(".text\n.globl host_run\n.type host_run, @function\n"
        "host_run:\n"
        "  push %rbx\n  push %rbp\n  sub $24, %rsp\n"
        "  mov %rdi, %rbx\n"
        "  stmxcsr (%rsp)\n"
        "  movdqu (%rbx), %xmm0\n  movdqu 16(%rbx), %xmm1\n  movdqu 32(%rbx), %xmm2\n  movdqu 48(%rbx), %xmm3\n"
        "  movq 64(%rbx), %mm0\n  movq 72(%rbx), %mm1\n  movq 80(%rbx), %mm2\n  movq 88(%rbx), %mm3\n"
        "  mov 96(%rbx), %rax\n  mov 104(%rbx), %rcx\n  mov 112(%rbx), %rdx\n  mov 120(%rbx), %rdi\n"
        "  ldmxcsr 136(%rbx)\n"
        "  push 128(%rbx)\n  popfq\n"
        "  call *%rsi\n"
        "  pushfq\n  pop 128(%rbx)\n"
        "  stmxcsr 136(%rbx)\n"
        "  ldmxcsr (%rsp)\n"
        "  movdqu %xmm0, (%rbx)\n  movdqu %xmm1, 16(%rbx)\n  movdqu %xmm2, 32(%rbx)\n  movdqu %xmm3, 48(%rbx)\n"
        "  movq %mm0, 64(%rbx)\n  movq %mm1, 72(%rbx)\n  movq %mm2, 80(%rbx)\n  movq %mm3, 88(%rbx)\n"
        "  emms\n"
        "  mov %rax, 96(%rbx)\n  mov %rcx, 104(%rbx)\n  mov %rdx, 112(%rbx)\n"
        "  add $24, %rsp\n  pop %rbp\n  pop %rbx\n  ret\n"
        ".size host_run, .-host_run\n");

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

static void run_on_host(struct machine_state *state)
{
    trapped = 0;
    host_run(state, code_page);
    state->flags &= FLAGS_STATUS;
    state->trapped = (uint32_t)trapped;
    if (trapped)
        state->mxcsr = trap_mxcsr;
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

static bool guest_lower(struct guest *guest)
{
    uint32_t mode = MODE_CODE64 | MODE_PROTECTED | MODE_LONG | MODE_OSFXSR | MODE_SINGLE;
    return lower_block(guest->cpu, guest->block, 0, mode, code_page, code_bytes, true) != 0;
}

static void run_on_guest(struct guest *guest, struct machine_state *state, bool soft)
{
    struct cpu *cpu = guest->cpu;
    for (unsigned i = 0; i < 4; i++) {
        memcpy(&cpu->zmm[i], &state->xmm[i], 16);
        cpu->zmm[i].u64[2] = 0x1234;
        cpu->x87.r[i].mantissa = state->mmx[i];
    }
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
    for (unsigned i = 0; i < 4; i++) {
        memcpy(&state->xmm[i], &cpu->zmm[i], 16);
        assert_int_equal(cpu->zmm[i].u64[2], 0x1234);
        state->mmx[i] = cpu->x87.r[i].mantissa;
    }
    state->rax = cpu->gpr[RAX];
    state->rcx = cpu->gpr[RCX];
    state->rdx = cpu->gpr[RDX];
    state->flags = flags_status(cpu);
    state->mxcsr = cpu->mxcsr;
    state->trapped = cpu->fault.vector == VEC_XM;
    assert_true(state->trapped || cpu->fault.vector == 0);
}

/* --- encodings of a row --- */

/* Rows that go through the comparison, on a host that has everything. */
static bool row_is_compared(const struct isa_row *row)
{
    static const char *const features[] = { "mmx", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2" };
    static const char *const excluded[] = { "ldmxcsr", "stmxcsr", "maskmovq", "maskmovdqu", "-" };
    if (row->isa_class != ISA_CLASS_MMX && row->isa_class != ISA_CLASS_SSE && row->isa_class != ISA_CLASS_SSE_ALIGNED &&
        row->isa_class != ISA_CLASS_SSE_MMX)
        return false;
    for (unsigned i = 0; i < COUNT(excluded); i++) {
        if (!strcmp(row->handler_name, excluded[i]))
            return false;
    }
    for (unsigned i = 0; i < COUNT(features); i++) {
        if (!strcmp(row->feature_name, features[i]))
            return true;
    }
    return false;
}
static bool row_is_tested(const struct isa_row *row)
{
    return row_is_compared(row) && (!strcmp(row->feature_name, "mmx") || !strcmp(row->feature_name, "sse") ||
                                    !strcmp(row->feature_name, "sse2") || __builtin_cpu_supports("sse4.2"));
}
static bool row_is_approximate(const struct isa_row *row)
{
    return strstr(row->handler_name, "rcp") || strstr(row->handler_name, "rsqrt");
}
static bool row_has_immediate(const struct isa_row *row)
{
    return row->operand_count && row->operand[row->operand_count - 1].source == FROM_IMMEDIATE;
}

/* xmm1 and xmm2, rcx and rdx, or memory at rdi. */
static void encode(const struct isa_row *row, bool memory, bool rex_w, uint8_t imm)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xF3, 0xF2 };
    const struct isa_encoding *e = &row->accepts;
    uint8_t *at = code_page, prefix = prefixes[__builtin_ctz(e->prefixes)];
    if (prefix)
        *at++ = prefix;
    if (rex_w)
        *at++ = 0x48;
    *at++ = 0x0F;
    if (e->map == ISA_MAP_0F38)
        *at++ = 0x38;
    if (e->map == ISA_MAP_0F3A)
        *at++ = 0x3A;
    *at++ = e->opcode;
    unsigned reg = e->regs == 0xFF ? 1 : (unsigned)__builtin_ctz(e->regs);
    if (e->has_modrm)
        *at++ = (uint8_t)((memory ? 0x07 : 0xC2) | reg << 3);
    if (row_has_immediate(row))
        *at++ = imm;
    code_bytes = (unsigned)(at - code_page);
    *at = 0xC3;
}

static void print_state(const char *name, const struct machine_state *s)
{
    print_message("%-6s", name);
    for (unsigned i = 0; i < 3; i++)
        print_message(" xmm%u %016llx:%016llx", i, (unsigned long long)s->xmm[i].u64[1],
                      (unsigned long long)s->xmm[i].u64[0]);
    print_message("\n       mm1 %016llx mm2 %016llx rax %llx rcx %llx rdx %llx flags %llx mxcsr %x trapped %u\n",
                  (unsigned long long)s->mmx[1], (unsigned long long)s->mmx[2], (unsigned long long)s->rax,
                  (unsigned long long)s->rcx, (unsigned long long)s->rdx, (unsigned long long)s->flags, s->mxcsr,
                  s->trapped);
}

/* One execution on both; memory holds what xmm3 holds. False: they differ, and it was printed how. */
static bool compare(struct guest *guest, const struct isa_row *row, const struct machine_state *start, bool soft)
{
    struct machine_state host = *start, mine = *start;
    uint8_t *memory = data_page + 64, written[16];
    memcpy(memory, &start->xmm[3], 16);
    run_on_host(&host);
    memcpy(written, memory, 16);
    memcpy(memory, &start->xmm[3], 16);
    run_on_guest(guest, &mine, soft);
    if (!memcmp(&host, &mine, sizeof host) && !memcmp(written, memory, 16))
        return true;
    print_message("%s %s (%s), %s path, code", row->mnemonic, row->operands, row->encoding, soft ? "soft" : "host");
    for (unsigned i = 0; i < code_bytes; i++)
        print_message(" %02x", code_page[i]);
    print_message("\n");
    print_state("start", start);
    print_state("host", &host);
    print_state("sim", &mine);
    return false;
}

static struct machine_state random_state(uint64_t *seed, unsigned style, uint32_t mxcsr)
{
    struct machine_state state = { .mxcsr = mxcsr, .rdi = (uintptr_t)data_page + 64 };
    union vector_register v;
    for (unsigned i = 0; i < 4; i++) {
        operand_fill(seed, &v, 16, style);
        memcpy(&state.xmm[i], &v, 16);
        operand_fill(seed, &v, 16, style);
        state.mmx[i] = v.u64[0];
    }
    uint64_t r = operand_random(seed);
    operand_fill(seed, &v, 16, style);
    state.rax = r & 1 ? v.u64[0] : (uint64_t)((int64_t)(r << 32) >> 58);
    state.rcx = v.u64[1];
    state.rdx = r & 2 ? v.u32[1] : r >> 59;
    state.flags = r >> 8 & FLAGS_STATUS;
    return state;
}

static void set_up_pages(void)
{
    code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(code_page != MAP_FAILED && data_page != MAP_FAILED);
}
static void tear_down_pages(void)
{
    munmap(code_page, 4096);
    munmap(data_page, 4096);
}

enum masking { ALL_MASKED, SOME_UNMASKED };

/* All rows, `rounds` operands for each encoding. */
static void compare_rows(enum masking masking, unsigned rounds)
{
    set_up_pages();
    struct guest guest = guest_make();
    struct sigaction action = { .sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO }, before;
    sigaction(SIGFPE, &action, &before);
    uint64_t seed = 42 + masking;
    unsigned failures = 0, rows = 0;
    for (unsigned n = 0; n < ISA_ROW_COUNT; n++) {
        const struct isa_row *row = &isa_rows[n];
        if (!row_is_tested(row) || row_is_approximate(row))
            continue;
        rows++;
        unsigned row_failures = 0;
        for (unsigned form = 0; form < 4; form++) {
            bool memory = form & 1, rex_w = form & 2;
            if (!(row->accepts.mods & (memory ? 1 : 2)) || !(row->accepts.w & (rex_w ? 2 : 1)))
                continue;
            unsigned count = row_has_immediate(row) ? rounds * 4 : rounds;
            for (unsigned round = 0; round < count && row_failures < 2; round++) {
                uint64_t r = operand_random(&seed);
                uint32_t masks =
                    masking == ALL_MASKED ? MXCSR_MASKS : (uint32_t)(r & operand_random(&seed)) & MXCSR_MASKS;
                uint32_t rare = r >> 32 & 3 ? 0 : (uint32_t)(r >> 40) & (MXCSR_DAZ | MXCSR_FTZ | MXCSR_FLAGS);
                encode(row, memory, rex_w, (uint8_t)(round < 256 ? round : r >> 56));
                assert_true(guest_lower(&guest));
                struct machine_state start =
                    random_state(&seed, round % OPERAND_STYLES, masks | rare | ((uint32_t)(r >> 20) & MXCSR_RC));
                row_failures += !compare(&guest, row, &start, true);
                if (masking == ALL_MASKED)
                    row_failures += !compare(&guest, row, &start, false);
            }
        }
        failures += row_failures;
    }
    sigaction(SIGFPE, &before, NULL);
    guest_free(guest);
    tear_down_pages();
    assert_true(rows > 300);
    assert_int_equal(failures, 0);
}

static void rows_match_the_host(void **state)
{
    (void)state;
    compare_rows(ALL_MASKED, 160);
}
static void unmasked_exceptions_match_the_host(void **state)
{
    (void)state;
    compare_rows(SOME_UNMASKED, 80);
}

/* --- what the host cannot be asked --- */

static void run_bytes(struct guest *guest, const void *bytes, unsigned count)
{
    memcpy(code_page, bytes, count);
    code_bytes = count;
    assert_true(guest_lower(guest));
    guest->cpu->fault = (struct fault){ 0 };
    const struct op *op = guest->block->ops;
    while (op)
        op = op->run(guest->cpu, op);
}

static void mmx_takes_over_the_x87(void **state)
{
    (void)state;
    set_up_pages();
    struct guest guest = guest_make();
    struct cpu *cpu = guest.cpu;
    cpu->gpr[RDI] = (uintptr_t)data_page;
    cpu->x87.fsw = 0x3801;
    run_bytes(&guest, "\x0F\x2A\x07", 3); /* cvtpi2ps xmm0, [rdi] leaves it alone */
    assert_int_equal(cpu->x87.fsw, 0x3801);
    assert_int_equal(cpu->x87.tags, 0);
    run_bytes(&guest, "\x0F\xFC\xCA", 3); /* paddb mm1, mm2 */
    assert_int_equal(cpu->x87.fsw, 0x0001);
    assert_int_equal(cpu->x87.tags, 0xFF);
    assert_int_equal(cpu->x87.r[1].exponent, 0xFFFF);
    assert_int_equal(cpu->x87.r[2].exponent, 0);
    cpu->x87.fsw = 0x2000;
    run_bytes(&guest, "\x0F\x77", 2); /* emms */
    assert_int_equal(cpu->x87.fsw, 0);
    assert_int_equal(cpu->x87.tags, 0);
    cpu->x87.fsw = 0x0081; /* an unmasked exception waits */
    run_bytes(&guest, "\x0F\xFC\xCA", 3);
    assert_int_equal(cpu->fault.vector, VEC_MF);
    assert_int_equal(cpu->x87.tags, 0);
    guest_free(guest);
    tear_down_pages();
}

/* On a whole vCPU in real mode: 66 0F F7 stores to DS:DI, or where an override says. */
static void masked_stores_write_selected_bytes(void **state)
{
    (void)state;
    set_up_pages();
    struct guest guest = guest_make();
    static struct board board;
    static struct lapic lapic;
    assert_int_equal(board_init(&board, 1 << 20, 1), 0);
    struct cpu *cpu = guest.cpu;
    assert_int_equal(cpu_init(cpu, &board, &lapic, &model, 0), 0);
    cpu->segment[FS].base = cpu->segment_base[FS] = 0x2000;
    cpu->gpr[RDI] = 0xABCD1FF8; /* crosses a page */
    for (unsigned i = 0; i < 16; i++) {
        cpu->zmm[1].u8[i] = (uint8_t)(0x40 + i);
        cpu->zmm[2].u8[i] = i % 3 ? 0x7F : 0x80;
    }
    static const char *const codes[] = { "\x66\x0F\xF7\xCA", "\x64\x66\x0F\xF7\xCA" };
    for (unsigned n = 0; n < 2; n++) {
        uint64_t physical = n ? 0x3FF8 : 0x1FF8;
        uint8_t bytes[16], expected[16];
        memset(bytes, 0xEE, 16);
        ram_write(&board.ram, physical, bytes, 16);
        code_bytes = (unsigned)strlen(codes[n]);
        memcpy(code_page, codes[n], code_bytes);
        uint32_t mode = cpu->mode | MODE_OSFXSR | MODE_SINGLE;
        assert_true(lower_block(cpu, guest.block, 0, mode, code_page, code_bytes, true));
        const struct op *op = guest.block->ops;
        while (op)
            op = op->run(cpu, op);
        assert_int_equal(cpu->fault.vector, 0);
        for (unsigned i = 0; i < 16; i++)
            expected[i] = (uint8_t)(i % 3 ? 0xEE : 0x40 + i);
        ram_read(&board.ram, physical, bytes, 16);
        assert_memory_equal(bytes, expected, 16);
    }
    cpu_destroy(cpu);
    board_destroy(&board);
    guest_free(guest);
    tear_down_pages();
}

static void mxcsr_is_loaded_and_stored(void **state)
{
    (void)state;
    set_up_pages();
    struct guest guest = guest_make();
    struct cpu *cpu = guest.cpu;
    uint32_t value = 0x7F80; /* round toward zero */
    cpu->gpr[RDI] = (uintptr_t)data_page;
    cpu->mxcsr = MXCSR_DEFAULT;
    cpu->zmm[1].u32[0] = 0x3F800000;
    cpu->zmm[2].u32[0] = 0x40400000;
    memcpy(data_page, &value, 4);
    simd_engine_enter(cpu);
    run_bytes(&guest, "\x0F\xAE\x17", 3);     /* ldmxcsr [rdi] */
    run_bytes(&guest, "\xF3\x0F\x5E\xCA", 4); /* divss xmm1, xmm2 */
    run_bytes(&guest, "\x0F\xAE\x1F", 3);     /* stmxcsr [rdi] */
    memcpy(&value, data_page, 4);
    assert_int_equal(value, 0x7FA0);
    assert_int_equal(cpu->zmm[1].u32[0], 0x3EAAAAAA);
    value = 0x10000;
    memcpy(data_page, &value, 4);
    run_bytes(&guest, "\x0F\xAE\x17", 3);
    assert_int_equal(cpu->fault.vector, VEC_GP);
    simd_engine_leave(cpu);
    assert_int_equal(cpu->mxcsr, 0x7FA0);
    guest_free(guest);
    tear_down_pages();
}

static void misaligned_operands_fault(void **state)
{
    (void)state;
    set_up_pages();
    struct guest guest = guest_make();
    guest.cpu->gpr[RDI] = (uintptr_t)data_page + 8;
    run_bytes(&guest, "\x66\x0F\x6F\x07", 4); /* movdqa xmm0, [rdi] */
    assert_int_equal(guest.cpu->fault.vector, VEC_GP);
    run_bytes(&guest, "\x66\x0F\x7F\x07", 4); /* movdqa [rdi], xmm0 */
    assert_int_equal(guest.cpu->fault.vector, VEC_GP);
    run_bytes(&guest, "\x66\x0F\xFC\x07", 4); /* paddb xmm0, [rdi] */
    assert_int_equal(guest.cpu->fault.vector, VEC_GP);
    run_bytes(&guest, "\xF3\x0F\x6F\x07", 4); /* movdqu xmm0, [rdi] */
    assert_int_equal(guest.cpu->fault.vector, 0);
    run_bytes(&guest, "\x66\x0F\x3A\x63\x07\x00", 6); /* pcmpistri xmm0, [rdi], 0 */
    assert_int_equal(guest.cpu->fault.vector, 0);
    guest_free(guest);
    tear_down_pages();
}

static void unmasked_exceptions_need_osxmmexcpt(void **state)
{
    (void)state;
    set_up_pages();
    struct guest guest = guest_make();
    struct cpu *cpu = guest.cpu;
    cpu->mxcsr = 0;
    cpu->zmm[1].u32[0] = 0x3F800000;
    simd_engine_enter(cpu);
    run_bytes(&guest, "\xF3\x0F\x5E\xCA", 4); /* divss xmm1, xmm2: 1 / 0 */
    assert_int_equal(cpu->fault.vector, VEC_XM);
    assert_int_equal(cpu->mxcsr, FP_ZE);
    cpu->cr4 = 0;
    run_bytes(&guest, "\xF3\x0F\x5E\xCA", 4);
    assert_int_equal(cpu->fault.vector, VEC_UD);
    assert_int_equal(cpu->zmm[1].u32[0], 0x3F800000);
    simd_engine_leave(cpu);
    guest_free(guest);
    tear_down_pages();
}
#endif

int main(int argc, char **argv)
{
    if (rows_asked(argc, argv))
#ifdef __x86_64__
        return rows_print(row_is_compared);
#else
        return 0;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(approximations_keep_their_bound),
#ifdef __x86_64__
        cmocka_unit_test(rows_match_the_host),
        cmocka_unit_test(unmasked_exceptions_match_the_host),
        cmocka_unit_test(mmx_takes_over_the_x87),
        cmocka_unit_test(masked_stores_write_selected_bytes),
        cmocka_unit_test(mxcsr_is_loaded_and_stored),
        cmocka_unit_test(misaligned_operands_fault),
        cmocka_unit_test(unmasked_exceptions_need_osxmmexcpt),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
