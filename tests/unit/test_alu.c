/*
 * Integer handlers against the host's own instructions: results and flags of every form, on edge and random operands.
 *
 * A handler is run by hand on a vCPU without machine; memory operands hit in a TLB of one page that is an array here.
 * Flags that the table calls undefined are not compared, unless SIM_TEST_UNDEFINED is set in the environment: they
 * follow Intel processors, so that is meaningful on such a host only. On other architectures only the parts without
 * host instructions run.
 */
#include "cpu/handler.h"
#include "cpu/isa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define PAGE       0x10000u /* linear address of the page of memory */
#define OPERAND_AT (PAGE + 0x800)
#define REG_A      (RBX * 8) /* first operand */
#define REG_B      (RCX * 8) /* second one, and the count of shifts */

struct bench {
    struct cpu cpu;
    struct engine engine;
    struct tlb_entry tlb[TLB_ENTRIES];
    uint8_t memory[4096];
    struct op ops[2];
};

/* The registers an instruction under test may touch. */
struct state {
    uint64_t rax, rbx, rcx, rdx, flags;
};

static OP(stop)
{
    return NULL;
}

static struct bench *bench_new(void)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        b->tlb[i] = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
    b->tlb[(PAGE >> 12) % TLB_ENTRIES] = (struct tlb_entry){ PAGE, PAGE, (uintptr_t)b->memory - PAGE, 0 };
    b->cpu.engine = &b->engine;
    b->cpu.tlb = b->tlb;
    b->cpu.mode = MODE_CODE64 | MODE_LONG | MODE_PROTECTED;
    b->cpu.rflags = FLAGS_FIXED;
    b->ops[1].run = op_stop;
    return b;
}

static int bench_setup(void **state)
{
    *state = bench_new();
    return 0;
}
static int bench_teardown(void **state)
{
    free(*state);
    return 0;
}

static void bench_load(struct bench *b, const struct state *s)
{
    b->cpu.gpr[RAX] = s->rax;
    b->cpu.gpr[RBX] = s->rbx;
    b->cpu.gpr[RCX] = s->rcx;
    b->cpu.gpr[RDX] = s->rdx;
    flags_set_status(&b->cpu, s->flags);
    b->engine.outcome = ENGINE_BOUNDARY;
    b->cpu.cycle = b->cpu.retired = 1000;
}
static struct state bench_state(const struct bench *b)
{
    const uint64_t *r = b->cpu.gpr;
    return (struct state){ r[RAX], r[RBX], r[RCX], r[RDX], flags_read(&b->cpu) & FLAGS_STATUS };
}

/* --- operands ------------------------------------------------------------------------------------------------------
 */

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static const uint64_t edges[] = {
    0,
    1,
    2,
    0x0F,
    0x10,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF,
    0x8000000000000000,
    0xFFFFFFFFFFFFFFFF,
    0x123456789ABCDEF0,
};
#define EDGES        (sizeof(edges) / sizeof(edges[0]))
#define RANDOM_CASES 2000u
#define CASES        (EDGES * EDGES * 2 + RANDOM_CASES)

/* The operands of case i: every pair of edges with CF clear and set, then random ones. */
static struct state operands(unsigned i, uint64_t *seed)
{
    struct state s = { random_next(seed), random_next(seed), random_next(seed), random_next(seed), random_next(seed) };
    if (i < EDGES * EDGES * 2) {
        s.rbx = edges[i / 2 % EDGES];
        s.rcx = edges[i / 2 / EDGES];
        s.flags = (s.flags & ~(uint64_t)1) | (i & 1);
        if (i % 3 == 0)
            s.rax = s.rbx;
    } else if (i % 4 == 0) {
        s.rdx = (uint64_t)((int64_t)s.rax >> 63);
        s.rcx >>= s.flags & 63;
    }
    s.flags &= FLAGS_STATUS;
    return s;
}

static uint32_t undefined_flags(const struct handlers *handlers)
{
    if (getenv("SIM_TEST_UNDEFINED"))
        return 0;
    uint32_t mask = 0;
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++)
        if (isa_rows[i].handlers == handlers)
            mask |= isa_rows[i].flags_undefined;
    return mask;
}

static op_fn *generic_of(const struct handlers *handlers, unsigned width)
{
    return handlers->by_width[width] ? handlers->by_width[width] : handlers->any;
}

/* --- an instruction under test ---------------------------------------------------------------------------------------
 */

typedef void host_fn(struct state *s);

enum kind {
    TWO,      /* rbx, rcx */
    SHIFT,    /* rbx, cl */
    ONE,      /* rbx */
    THREE,    /* rbx, rdx, cl */
    IMPLICIT, /* on rax and rdx with rbx */
    EXCHANGE, /* rbx, rcx, both written */
    REGISTERS /* rbx, rcx, registers only */
};

struct test_case {
    const char *name;
    const struct handlers *handlers;
    enum kind kind;
    host_fn *host[4];
};

static void check_equal(const struct test_case *t, unsigned width, const char *form, const struct state *in,
                        const struct state *want, const struct state *got, uint32_t compared)
{
    if (want->rax == got->rax && want->rbx == got->rbx && want->rcx == got->rcx && want->rdx == got->rdx &&
        !((want->flags ^ got->flags) & compared))
        return;
    fail_msg("%s %u %s: in rax %llx rbx %llx rcx %llx rdx %llx flags %llx, want %llx %llx %llx %llx %llx, "
             "got %llx %llx %llx %llx %llx",
             t->name, 8u << width, form, (unsigned long long)in->rax, (unsigned long long)in->rbx,
             (unsigned long long)in->rcx, (unsigned long long)in->rdx, (unsigned long long)in->flags,
             (unsigned long long)want->rax, (unsigned long long)want->rbx, (unsigned long long)want->rcx,
             (unsigned long long)want->rdx, (unsigned long long)want->flags, (unsigned long long)got->rax,
             (unsigned long long)got->rbx, (unsigned long long)got->rcx, (unsigned long long)got->rdx,
             (unsigned long long)got->flags);
}

static bool run(struct bench *b, op_fn *fn)
{
    b->ops[0].run = fn;
    fn(&b->cpu, b->ops);
    return b->engine.outcome == ENGINE_BOUNDARY;
}

/* Puts the operand of `bytes` bytes that stands for a register into memory; the rest of that word is a canary. */
#define CANARY 0xC5C5C5C5C5C5C5C5ull
static void memory_put(struct bench *b, uint64_t value, unsigned bytes)
{
    uint64_t canary = CANARY;
    memcpy(b->memory + 0x800, &canary, 8);
    memcpy(b->memory + 0x800, &value, bytes);
}
static uint64_t memory_get(const struct bench *b, unsigned bytes)
{
    uint64_t value, mask = width_mask(8 * bytes);
    memcpy(&value, b->memory + 0x800, 8);
    assert_int_equal(value & ~mask, CANARY & ~mask);
    return value & mask;
}

static struct op memory_op(unsigned width)
{
    return (struct op){ .form = (uint8_t)(width | 2 << 2),
                        .disp = OPERAND_AT,
                        .base = GPR_ZERO * 8,
                        .index = GPR_ZERO * 8,
                        .seg = SEG_FLAT,
                        .flags = OP_MEM,
                        .left = 1,
                        .insns_left = 1 };
}

/* One form: with the generic handler, the specialised one, and the one without flags where they exist. */
static void run_form(struct bench *b, const struct test_case *t, unsigned width, int shape, const char *form,
                     const struct state *in, const struct state *want, uint32_t compared)
{
    const struct handlers *h = t->handlers;
    op_fn *fns[3] = { generic_of(h, width), h->shaped ? h->shaped[shape][width] : NULL,
                      h->dead ? h->dead[shape][width] : NULL };
    bool to_memory = shape == SHAPE_MR || shape == SHAPE_MI, from_memory = shape == SHAPE_RM;
    for (unsigned i = 0; i < 3; i++) {
        if (!fns[i])
            continue;
        bench_load(b, in);
        if (to_memory)
            memory_put(b, in->rbx, 1u << width);
        else if (from_memory)
            memory_put(b, in->rcx, 1u << width);
        assert_true(run(b, fns[i]));
        struct state got = bench_state(b), expected = *want;
        if (to_memory) {
            got.rbx = memory_get(b, 1u << width);
            expected.rbx &= width_mask(8u << width);
        }
        check_equal(t, width, form, in, &expected, &got, i == 2 ? 0 : compared);
    }
}

static void run_case(struct bench *b, const struct test_case *t, unsigned width, const struct state *in,
                     uint32_t compared)
{
    struct state want = *in;
    struct op reg = { .form = (uint8_t)(width | 2 << 2), .left = 1, .insns_left = 1 }, mem = memory_op(width);
    t->host[width](&want);
    want.flags &= FLAGS_STATUS;
    reg.dst = REG_A;
    reg.src = t->kind == THREE ? RDX * 8 : REG_B;
    reg.src2 = REG_B;
    mem.src = reg.src;
    mem.src2 = reg.src2;
    b->ops[0] = reg;
    run_form(b, t, width, SHAPE_RR, "rr", in, &want, compared);
    if (t->kind == REGISTERS)
        return;
    mem.flags = OP_MEM | OP_MEM_DST;
    b->ops[0] = mem;
    run_form(b, t, width, SHAPE_MR, "mr", in, &want, compared);
    if (t->kind == TWO || t->kind == SHIFT || t->kind == THREE) {
        uint64_t imm = t->kind == TWO ? sign_extend(in->rcx, 8u << width) : in->rcx & 0xFF;
        reg.flags = OP_IMM;
        reg.imm = imm;
        b->ops[0] = reg;
        run_form(b, t, width, SHAPE_RI, "ri", in, &want, compared);
        mem.flags = OP_MEM | OP_MEM_DST | OP_IMM;
        mem.imm = imm;
        b->ops[0] = mem;
        run_form(b, t, width, SHAPE_MI, "mi", in, &want, compared);
    }
    if (t->kind == TWO) {
        mem.flags = OP_MEM;
        mem.dst = REG_A;
        b->ops[0] = mem;
        run_form(b, t, width, SHAPE_RM, "rm", in, &want, compared);
    }
}

static void run_cases(struct bench *b, const struct test_case *t)
{
    uint64_t seed = 0x9E3779B97F4A7C15;
    uint32_t compared = FLAGS_STATUS & ~undefined_flags(t->handlers);
    for (unsigned width = 0; width < 4; width++) {
        if (!t->host[width])
            continue;
        for (unsigned i = 0; i < CASES; i++) {
            struct state in = operands(i, &seed);
            run_case(b, t, width, &in, compared);
        }
    }
}

/* --- the host
 * ----------------------------------------------------------------------------------------------------------- */

#define HANDLERS_OF(name) extern const struct handlers handlers_##name

#ifdef __x86_64__

/* Runs an instruction with the flags and registers of the state; the stack pointer steps over the red zone. */
#define HOST(function, instruction)                                                                                    \
    static void function(struct state *s)                                                                              \
    {                                                                                                                  \
        __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushq %[f]\n\tpopfq\n\t" instruction                               \
                         "\n\tpushfq\n\tpopq %[f]\n\tlea 128(%%rsp), %%rsp"                                            \
                         : "+a"(s->rax), "+b"(s->rbx), "+c"(s->rcx), "+d"(s->rdx), [f] "+S"(s->flags)                  \
                         :                                                                                             \
                         : "cc", "memory");                                                                            \
    }

#define HOST2(name)                                                                                                    \
    HANDLERS_OF(name);                                                                                                 \
    HOST(host_##name##8, #name "b %%cl, %%bl")                                                                         \
    HOST(host_##name##16, #name "w %%cx, %%bx")                                                                        \
    HOST(host_##name##32, #name "l %%ecx, %%ebx")                                                                      \
    HOST(host_##name##64, #name "q %%rcx, %%rbx")
#define HOST2_WIDE(name, insn)                                                                                         \
    HANDLERS_OF(name);                                                                                                 \
    HOST(host_##name##16, insn "w %%cx, %%bx")                                                                         \
    HOST(host_##name##32, insn "l %%ecx, %%ebx")                                                                       \
    HOST(host_##name##64, insn "q %%rcx, %%rbx")
#define HOST_SHIFT(name)                                                                                               \
    HANDLERS_OF(name);                                                                                                 \
    HOST(host_##name##8, #name "b %%cl, %%bl")                                                                         \
    HOST(host_##name##16, #name "w %%cl, %%bx")                                                                        \
    HOST(host_##name##32, #name "l %%cl, %%ebx")                                                                       \
    HOST(host_##name##64, #name "q %%cl, %%rbx")
#define HOST1(name, insn)                                                                                              \
    HANDLERS_OF(name);                                                                                                 \
    HOST(host_##name##8, insn "b %%bl")                                                                                \
    HOST(host_##name##16, insn "w %%bx")                                                                               \
    HOST(host_##name##32, insn "l %%ebx")                                                                              \
    HOST(host_##name##64, insn "q %%rbx")
#define HOST3(name)                                                                                                    \
    HANDLERS_OF(name);                                                                                                 \
    HOST(host_##name##16, #name "w %%cl, %%dx, %%bx")                                                                  \
    HOST(host_##name##32, #name "l %%cl, %%edx, %%ebx")                                                                \
    HOST(host_##name##64, #name "q %%cl, %%rdx, %%rbx")

/* clang-format off */
HOST2(add) HOST2(adc) HOST2(sub) HOST2(sbb) HOST2(and) HOST2(or) HOST2(xor) HOST2(cmp) HOST2(test) HOST2(mov)
HOST2(xchg) HOST2(xadd) HOST2(cmpxchg) HOST_SHIFT(shl) HOST_SHIFT(shr) HOST_SHIFT(sar) HOST_SHIFT(rol) HOST_SHIFT(ror)
HOST_SHIFT(rcl) HOST_SHIFT(rcr) HOST1(inc, "inc") HOST1(dec, "dec") HOST1(neg, "neg") HOST1(not, "not")
HOST1(mul, "mul") HOST1(imul1, "imul") HOST1(div, "div") HOST1(idiv, "idiv") HOST3(shld) HOST3(shrd)
HOST2_WIDE(imul2, "imul") HOST2_WIDE(bsf, "bsf") HOST2_WIDE(bsr, "bsr") HOST2_WIDE(bt, "bt") HOST2_WIDE(bts, "bts")
HOST2_WIDE(btr, "btr") HOST2_WIDE(btc, "btc")
/* clang-format on */

#define ALL_WIDTHS(name)      { host_##name##8, host_##name##16, host_##name##32, host_##name##64 }
#define WIDE_WIDTHS(name)     { NULL, host_##name##16, host_##name##32, host_##name##64 }
#define CASE(name, kind)      { #name, &handlers_##name, kind, ALL_WIDTHS(name) }
#define CASE_WIDE(name, kind) { #name, &handlers_##name, kind, WIDE_WIDTHS(name) }

                        static void run_table(void **state, const struct test_case *cases, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        run_cases(*state, &cases[i]);
}
#define RUN(...)                                                                                                       \
    static const struct test_case cases[] = { __VA_ARGS__ };                                                           \
    run_table(state, cases, sizeof(cases) / sizeof(cases[0]))

static void test_arithmetic(void **state)
{
    RUN(CASE(add, TWO), CASE(adc, TWO), CASE(sub, TWO), CASE(sbb, TWO), CASE(and, TWO), CASE(or, TWO), CASE(xor, TWO),
        CASE(cmp, TWO), CASE(test, TWO), CASE(mov, TWO), CASE(inc, ONE), CASE(dec, ONE), CASE(neg, ONE),
        CASE(not, ONE));
}
static void test_shifts(void **state)
{
    RUN(CASE(shl, SHIFT), CASE(shr, SHIFT), CASE(sar, SHIFT), CASE(rol, SHIFT), CASE(ror, SHIFT), CASE(rcl, SHIFT),
        CASE(rcr, SHIFT), CASE_WIDE(shld, THREE), CASE_WIDE(shrd, THREE));
}
static void test_multiplication(void **state)
{
    RUN(CASE(mul, IMPLICIT), CASE(imul1, IMPLICIT), CASE_WIDE(imul2, REGISTERS));
}
static void test_bits(void **state)
{
    RUN(CASE_WIDE(bt, REGISTERS), CASE_WIDE(bts, REGISTERS), CASE_WIDE(btr, REGISTERS), CASE_WIDE(btc, REGISTERS),
        CASE_WIDE(bsf, REGISTERS), CASE_WIDE(bsr, REGISTERS));
}
static void test_exchanges(void **state)
{
    RUN(CASE(xchg, EXCHANGE), CASE(xadd, EXCHANGE), CASE(cmpxchg, EXCHANGE));
}

/* True if the division of AX or rDX:rAX by rbx has a quotient of w bits. */
static bool division_fits(const struct state *s, unsigned w, bool is_signed)
{
    uint64_t mask = width_mask(w), low = s->rax & mask, high = (w == 8 ? s->rax >> 8 : s->rdx) & mask;
    if (!(s->rbx & mask))
        return false;
    if (!is_signed)
        return high < (s->rbx & mask);
    /* -2^(2w-1) / -1 is the one quotient that needs more than 2w bits */
    int64_t divisor = (int64_t)sign_extend(s->rbx, w);
    if (w == 64 && divisor == -1 && high == 1ull << 63 && low == 0)
        return false;
    unsigned __int128 upper = (unsigned __int128)(__int128)(int64_t)sign_extend(high, w);
    __int128 quotient = (__int128)(upper << w | low) / divisor;
    return quotient == (int64_t)sign_extend((uint64_t)quotient, w);
}

static void test_division(void **state)
{
    static const struct test_case cases[] = { CASE(div, IMPLICIT), CASE(idiv, IMPLICIT) };
    struct bench *b = *state;
    uint64_t seed = 42;
    for (unsigned n = 0; n < 2; n++) {
        for (unsigned width = 0; width < 4; width++) {
            unsigned good = 0;
            for (unsigned i = 0; i < 4 * CASES; i++) {
                struct state in = operands(i % CASES, &seed);
                if (i % 2) /* a small dividend, so that quotients fit */
                    in.rdx = n ? (uint64_t)((int64_t)(in.rax << (64 - (8u << width))) >> 63) : in.rdx % 4;
                if (i % 3 && width == 0)
                    in.rax &= 0xFF;
                if (division_fits(&in, 8u << width, n)) {
                    run_case(b, &cases[n], width, &in, FLAGS_STATUS & ~undefined_flags(cases[n].handlers));
                    good++;
                    continue;
                }
                b->ops[0] = (struct op){ .dst = REG_A, .form = (uint8_t)width, .left = 1, .insns_left = 1 };
                bench_load(b, &in);
                assert_false(run(b, cases[n].handlers->by_width[width]));
                assert_int_equal(b->cpu.fault.vector, VEC_DE);
                struct state got = bench_state(b);
                check_equal(&cases[n], width, "fault", &in, &in, &got, FLAGS_STATUS);
            }
            assert_true(good > CASES / 2);
        }
    }
}

/* --- conditions
 * ---------------------------------------------------------------------------------------------------------- */

#define CONDITIONS(M) M(o) M(no) M(b) M(nb) M(z) M(nz) M(be) M(nbe) M(s) M(ns) M(p) M(np) M(l) M(nl) M(le) M(nle)
#define HOST_CONDITION(cc)                                                                                             \
    HANDLERS_OF(set##cc);                                                                                              \
    HANDLERS_OF(cmov##cc);                                                                                             \
    HOST(host_set##cc, "set" #cc " %%bl")                                                                              \
    HOST(host_cmov##cc##16, "cmov" #cc " %%cx, %%bx")                                                                  \
    HOST(host_cmov##cc##32, "cmov" #cc " %%ecx, %%ebx")                                                                \
    HOST(host_cmov##cc##64, "cmov" #cc " %%rcx, %%rbx")
CONDITIONS(HOST_CONDITION)
#define SET_CASE(cc)  { "set" #cc, &handlers_set##cc, ONE, { host_set##cc } },
#define CMOV_CASE(cc) { "cmov" #cc, &handlers_cmov##cc, REGISTERS, WIDE_WIDTHS(cmov##cc) },

static void test_conditions(void **state)
{
    static const struct test_case cases[] = { CONDITIONS(SET_CASE) CONDITIONS(CMOV_CASE) };
    for (unsigned flags = 0; flags < 1u << 12; flags++) {
        if (flags & ~FLAGS_STATUS)
            continue;
        for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            for (unsigned width = 0; width < 4; width++) {
                struct state in = { 1, 0xAAAAAAAABBBBBBBB, 0xCCCCCCCCDDDDDDDD, 4, flags };
                if (cases[i].host[width])
                    run_case(*state, &cases[i], width, &in, FLAGS_STATUS);
            }
        }
    }
}

#endif /* __x86_64__ */

/* --- strings
 * --------------------------------------------------------------------------------------------------------------- */

HANDLERS_OF(movs);
HANDLERS_OF(stos);

/*
 * REP MOVS and REP STOS inside a page go in chunks. With any budget they must leave what single iterations leave, and
 * stop after exactly as many of them as there are cycles.
 */
static void test_repeat(void **state)
{
    struct bench *b = *state;
    uint64_t seed = 7;
    for (unsigned i = 0; i < 4000; i++) {
        unsigned width = i & 3, bytes = 1u << width, count = (unsigned)(random_next(&seed) % 40);
        unsigned from = (unsigned)(random_next(&seed) % 1024), to = (unsigned)(random_next(&seed) % 1024);
        bool movs = i & 4;
        unsigned budget = (unsigned)(random_next(&seed) % 50);
        uint8_t want[4096];
        if (i & 8)
            to = from + (unsigned)(random_next(&seed) % 24); /* overlapping */
        for (unsigned k = 0; k < sizeof(b->memory); k++)
            b->memory[k] = (uint8_t)(random_next(&seed) >> 8);
        memcpy(want, b->memory, sizeof(want));
        uint64_t fill = random_next(&seed);
        unsigned done = count <= budget + 1 ? count : budget + 1; /* the first iteration has been counted */
        for (unsigned k = 0; k < done; k++)
            memmove(want + to + k * bytes, movs ? want + from + k * bytes : (const uint8_t *)&fill, bytes);
        struct state in = { .rax = fill, .rcx = count };
        bench_load(b, &in);
        b->cpu.gpr[RSI] = PAGE + from;
        b->cpu.gpr[RDI] = PAGE + to;
        b->cpu.gpr[GPR_RIP] = 0x4000;
        b->cpu.deadline = b->cpu.cycle + budget;
        b->ops[0] = memory_op(width);
        b->ops[0].flags = OP_MEM | OP_REP;
        b->ops[0].at_length = 5 << 4 | 2;
        run(b, (movs ? handlers_movs : handlers_stos).by_width[width]);
        assert_memory_equal(want, b->memory, sizeof(want));
        assert_int_equal(b->cpu.gpr[RCX], count - done);
        assert_int_equal(b->cpu.gpr[RDI], PAGE + to + done * bytes);
        assert_int_equal(b->cpu.gpr[RSI], PAGE + from + (movs ? done * bytes : 0));
        assert_int_equal(b->cpu.cycle, 1000 + (done ? done - 1 : 0));
        assert_int_equal(b->cpu.retired, 1000 + (done ? done - 1 : 0));
        assert_int_equal(b->cpu.gpr[GPR_RIP], done == count ? 0x4000 : 0x4005);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef __x86_64__
        cmocka_unit_test_setup_teardown(test_arithmetic, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_shifts, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_multiplication, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_bits, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_exchanges, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_division, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_conditions, bench_setup, bench_teardown),
#endif
        cmocka_unit_test_setup_teardown(test_repeat, bench_setup, bench_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
