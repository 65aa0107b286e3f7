/*
 * The x87 instruction set against the host's: every opcode from D8 to DF that isa.def has, with random control words,
 * stacks and operands of every class, in whole FPU states (registers, tags, control and status word, memory, EFLAGS).
 * Transcendentals may differ by one unit in the last place, and are held to MPFR in test_x87_math.c. (Intel hosts only:
 * where processors are free to differ, ours is theirs; see cpu/x87.h.)
 */
#include "cpu/handler.h"
#include "cpu/insn.h"
#include "cpu/x87.h"
#include "tests/unit/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <sys/mman.h>
#endif

#include <cmocka.h>

static uint64_t rng_next(uint64_t *rng)
{
    uint64_t z = (*rng += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

/* --- operands --- */

static uint64_t any_mantissa(uint64_t *rng)
{
    static const uint64_t mantissas[] = { 1ull << 63,
                                          (1ull << 63) | 1,
                                          UINT64_MAX,
                                          3ull << 62,
                                          5ull << 61,
                                          0xC90FDAA22168C235,
                                          1,
                                          0,
                                          1ull << 62,
                                          0xFFFFFFFFFFFFF800,
                                          0xFFFFFFFFFFFFFC00,
                                          1ull << 40,
                                          (1ull << 63) | 0x400,
                                          (1ull << 63) | 0x401,
                                          (1ull << 63) | 1 << 10 };
    uint64_t r = rng_next(rng), m = rng_next(rng);
    if (r & 1)
        return mantissas[(r >> 8) % (sizeof mantissas / sizeof *mantissas)];
    return (r & 6) == 0 ? m : (m | 1ull << 63) & (r & 8 ? UINT64_MAX : UINT64_MAX << ((r >> 16) & 63));
}

static struct f80 any_f80(uint64_t *rng)
{
    uint64_t r = rng_next(rng);
    const uint16_t exponents[] = { 0, 0, 1, 2, 0x3FFE, 0x3FFF, 0x4000, 0x403D, 0x403E, 0x7FFE, 0x7FFF, 0x3FFD };
    uint16_t exponent;
    switch (r & 7) {
    case 0:
    case 1:
    case 2:
        exponent = exponents[(r >> 8) % 12];
        break;
    case 3:
        exponent = (uint16_t)(r >> 16) & 0x7FFF;
        break;
    case 4:
        exponent = (uint16_t)(0x3FFF - 64 + ((r >> 16) & 127));
        break;
    case 5:
        exponent =
            (uint16_t)(0x3FFF + ((r >> 16) & 1 ? 127 : 1023) - 160 + ((r >> 17) % 320)); /* ends of f32 and f64 */
        break;
    case 6:
        exponent = (uint16_t)(0x3FFF - ((r >> 16) & 1 ? 127 : 1023) - 80 + ((r >> 17) % 160));
        break;
    default:
        exponent = (uint16_t)(0x3FFF - 4 + ((r >> 16) & 7));
        break;
    }
    struct f80 value = { .mantissa = any_mantissa(rng), .sign_exponent = (uint16_t)(exponent | (r >> 63) << 15) };
    if (exponent == 0 && (r & 0x700000000) == 0)
        value.mantissa = 0;
    return value;
}

/* --- a vCPU with one page of memory and no engine --- */

#define GUEST_PAGE 0x5000u

struct guest {
    struct cpu cpu;
    struct tlb_entry tlb[TLB_ENTRIES];
    struct engine engine;
    uint8_t page[4096];
};

/* Behind the tested op: it went through. */
static OP(stop)
{
    (void)op;
    cpu->deadline = 1;
    return NULL;
}

/* False: the op left with a fault. */
static bool guest_execute(struct guest *guest, const struct op *op)
{
    guest->cpu.deadline = 0;
    while (op)
        op = op->run(&guest->cpu, op);
    return guest->cpu.deadline;
}

static void guest_wire(struct guest *guest)
{
    guest->tlb[GUEST_PAGE >> 12] =
        (struct tlb_entry){ .read = GUEST_PAGE, .write = GUEST_PAGE, .host = (uintptr_t)guest->page - GUEST_PAGE };
    guest->cpu.tlb = guest->tlb;
    guest->cpu.engine = &guest->engine;
    guest->cpu.gpr[RDX] = GUEST_PAGE;
    guest->cpu.rflags = FLAGS_FIXED;
}

#ifdef __x86_64__

/* An FNSAVE image in the 32-bit protected format, plus what x87 instructions touch beside it. */
struct state {
    uint8_t image[108];
    uint8_t memory[16];
    uint64_t flags, rax;
};
enum { ENV_FCW = 0, ENV_FSW = 4, ENV_FTW = 8, REGISTERS = 28 };

static uint16_t word_at(const struct state *state, unsigned at)
{
    return (uint16_t)(state->image[at] | state->image[at + 1] << 8);
}
static void set_word(struct state *state, unsigned at, unsigned value)
{
    state->image[at] = (uint8_t)value;
    state->image[at + 1] = (uint8_t)(value >> 8);
}
static struct f80 register_at(const struct state *state, unsigned i)
{
    struct f80 value;
    memcpy(&value.mantissa, state->image + REGISTERS + 10 * i, 8);
    memcpy(&value.sign_exponent, state->image + REGISTERS + 10 * i + 8, 2);
    return value;
}

/* A memory operand that makes sense as some type. */
static void any_memory(uint64_t *rng, uint8_t *memory)
{
    uint64_t r = rng_next(rng);
    struct f80 value = any_f80(rng);
    struct fp_context context = { 0 };
    struct fp_number number = f80_unpack(value);
    uint64_t bits = rng_next(rng);
    memset(memory, 0x5A, 16);
    switch (r & 7) {
    case 0:
        bits = f64_pack(fp_convert(&context, &fp_f64, number));
        break;
    case 1:
        bits = f32_pack(fp_convert(&context, &fp_f32, number));
        break;
    case 2:
        bits = (uint64_t)((int64_t)bits >> ((r >> 8) & 63));
        break;
    case 3:
        for (int i = 0; i < 10; i++)
            memory[i] = (uint8_t)(rng_next(rng) % 10 | rng_next(rng) % 10 << 4);
        memory[9] = (uint8_t)(r >> 56 & 0x80);
        return;
    case 4:
        bits = r & 256 ? 0x7F800001 : 0x7FF0000000000001;
        break;
    case 5:
        bits = r & 256 ? (bits & 0x807FFFFF) : (bits & 0x800FFFFFFFFFFFFF);
        break;
    case 6:
        memcpy(memory, &value.mantissa, 8);
        memcpy(memory + 8, &value.sign_exponent, 2);
        return;
    default:
        break;
    }
    memcpy(memory, &bits, 8);
}

/* Mostly full stacks with exceptions masked: those go furthest. No exception is pending. */
static struct state any_state(uint64_t *rng)
{
    struct state state;
    uint64_t r = rng_next(rng);
    unsigned masks = r & 3 ? 0x3F : (r >> 8) & 0x3F, tags = 0;
    memset(state.image, 0xFF, sizeof state.image);
    set_word(&state, ENV_FCW, 0x40 | masks | ((r >> 16) & 0xF) << 8);
    set_word(&state, ENV_FSW, ((r >> 24) & masks) | ((r >> 30) & 0x7F00));
    for (unsigned i = 0; i < 8; i++) {
        bool empty = (r & 0x1C) == 0 && (r >> (40 + i) & 1);
        tags |= (empty ? 3u : 0) << (2 * i);
        struct f80 value = any_f80(rng);
        memcpy(state.image + REGISTERS + 10 * i, &value.mantissa, 8);
        memcpy(state.image + REGISTERS + 10 * i + 8, &value.sign_exponent, 2);
    }
    /* a push needs room */
    unsigned below = ((word_at(&state, ENV_FSW) >> 11) - 1) & 7;
    if (r & 0x20)
        tags |= 3u << (2 * below);
    set_word(&state, ENV_FTW, tags);
    any_memory(rng, state.memory);
    state.flags = (r >> 52) & FLAGS_STATUS;
    state.rax = rng_next(rng);
    return state;
}

/* --- the host --- */

/* push rbx; mov rbx, rdi; lea rdx, [rbx+108]; frstor [rbx]; flags and rax; the instruction; all of it back. */
static void host_emit(uint8_t *code, const uint8_t *insn, unsigned length)
{
    static const uint8_t before[] = {
        0x53, 0x48, 0x89, 0xFB,          /* push rbx; mov rbx, rdi */
        0xFF, 0xB3, 124,  0,    0, 0,    /* push qword [rbx+124]: flags */
        0x9D,                            /* popfq */
        0x48, 0x8B, 0x83, 132,  0, 0, 0, /* mov rax, [rbx+132] */
        0x48, 0x8D, 0x93, 108,  0, 0, 0, /* lea rdx, [rbx+108]: memory */
        0xDD, 0x23,                      /* frstor [rbx] */
    };
    static const uint8_t after[] = {
        0xDD, 0x33,                     /* fnsave [rbx] */
        0x48, 0x89, 0x83, 132, 0, 0, 0, /* mov [rbx+132], rax */
        0x9C, 0x8F, 0x83, 124, 0, 0, 0, /* pushfq; pop qword [rbx+124] */
        0x5B, 0xC3,                     /* pop rbx; ret */
    };
    memcpy(code, before, sizeof before);
    memcpy(code + sizeof before, insn, length);
    memcpy(code + sizeof before + length, after, sizeof after);
}

struct __attribute__((packed)) host_state { /* what the code above addresses */
    uint8_t image[108], memory[16];
    uint64_t flags, rax;
};

static void host_run(uint8_t *code, struct state *state)
{
    struct host_state host;
    memcpy(host.image, state->image, sizeof host.image);
    memcpy(host.memory, state->memory, sizeof host.memory);
    host.flags = state->flags | FLAGS_FIXED | FLAG_IF;
    host.rax = state->rax;
    void (*run)(struct host_state *);
    memcpy(&run, &code, sizeof run);
    run(&host);
    memcpy(state->image, host.image, sizeof host.image);
    memcpy(state->memory, host.memory, sizeof host.memory);
    state->flags = host.flags & FLAGS_STATUS;
    state->rax = host.rax;
}

/* --- ours --- */

static void guest_load(struct guest *guest, const struct state *state)
{
    struct cpu *cpu = &guest->cpu;
    guest_wire(guest);
    cpu->mode = MODE_CODE64 | MODE_LONG | MODE_PROTECTED;
    cpu->gpr[RAX] = state->rax;
    flags_set_status(cpu, state->flags);
    cpu->x87.fsw = word_at(state, ENV_FSW);
    x87_load_fcw(cpu, word_at(state, ENV_FCW));
    x87_load_full_tags(cpu, word_at(state, ENV_FTW));
    for (unsigned i = 0; i < 8; i++) {
        struct x87_register *r = &cpu->x87.r[x87_physical(cpu, (int)i)];
        r->mantissa = register_at(state, i).mantissa;
        r->exponent = register_at(state, i).sign_exponent;
    }
    memcpy(guest->page, state->memory, sizeof state->memory);
}

static void guest_store(const struct guest *guest, struct state *state)
{
    const struct cpu *cpu = &guest->cpu;
    set_word(state, ENV_FCW, cpu->x87.fcw);
    set_word(state, ENV_FSW, cpu->x87.fsw);
    set_word(state, ENV_FTW, x87_full_tags(cpu));
    for (unsigned i = 0; i < 8; i++) {
        struct f80 value = x87_get(cpu, (int)i);
        memcpy(state->image + REGISTERS + 10 * i, &value.mantissa, 8);
        memcpy(state->image + REGISTERS + 10 * i + 8, &value.sign_exponent, 2);
    }
    memcpy(state->memory, guest->page, sizeof state->memory);
    state->flags = flags_status(cpu);
    state->rax = cpu->gpr[RAX];
}

static uint8_t operand_number(const struct insn *insn, unsigned i)
{
    return i < insn->operand_count && insn->operand[i].kind == OPERAND_REGISTER ? insn->operand[i].number : 0;
}

static void guest_run(struct guest *guest, const struct insn *insn, struct state *state)
{
    struct op ops[2] = { { .run = insn->row->handlers->any,
                           .base = RDX * 8,
                           .index = GPR_ZERO * 8,
                           .dst = operand_number(insn, 0),
                           .src = operand_number(insn, 1),
                           .seg = SEG_FLAT,
                           .form = 2 | 2 << 2,
                           .flags = insn->has_memory ? OP_MEM : 0,
                           .at_length = insn->length },
                         { .run = op_stop } };
    guest_load(guest, state);
    guest_execute(guest, ops);
    guest_store(guest, state);
}

/* --- comparison --- */

static bool is_transcendental(const char *mnemonic)
{
    static const char *const names[] = { "F2XM1", "FYL2X", "FYL2XP1", "FPTAN", "FPATAN", "FSIN", "FCOS", "FSINCOS" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(mnemonic, names[i]) == 0)
            return true;
    return false;
}

/* Their own tests: they read or write what the harness uses, or are undefined. */
static bool is_control(const char *mnemonic)
{
    static const char *const names[] = { "FLDENV", "FNSTENV", "FLDCW", "FRSTOR", "FNSAVE" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(mnemonic, names[i]) == 0)
            return true;
    return false;
}

/* What test_against_host() goes through: everything of D8 to DF but what loads and stores state. */
static bool row_is_compared(const struct isa_row *row)
{
    return row->isa_class == ISA_CLASS_X87 && row->accepts.map == ISA_MAP_LEGACY && row->accepts.opcode >= 0xD8 &&
           row->accepts.opcode <= 0xDF && !is_control(row->mnemonic);
}

static void print_state(const char *who, const struct state *state)
{
    fprintf(stderr, "  %-5s fcw %04x fsw %04x ftw %04x flags %03x", who, word_at(state, ENV_FCW),
            word_at(state, ENV_FSW), word_at(state, ENV_FTW), (unsigned)state->flags);
    for (unsigned i = 0; i < 3; i++)
        fprintf(stderr, " %04x_%016llx", register_at(state, i).sign_exponent,
                (unsigned long long)register_at(state, i).mantissa);
    fprintf(stderr, " mem ");
    for (int i = 9; i >= 0; i--)
        fprintf(stderr, "%02x", state->memory[i]);
    fprintf(stderr, "\n");
}

/* At most one unit in the last place apart. Exponent 0 is that of exponent 1. */
static bool adjacent(struct f80 a, struct f80 b)
{
    unsigned ea = (a.sign_exponent & 0x7FFF) ? a.sign_exponent : a.sign_exponent + 1u;
    unsigned eb = (b.sign_exponent & 0x7FFF) ? b.sign_exponent : b.sign_exponent + 1u;
    if (ea == eb)
        return a.mantissa - b.mantissa + 1 <= 2;
    uint64_t upper = ea > eb ? a.mantissa : b.mantissa, lower = ea > eb ? b.mantissa : a.mantissa;
    return (ea - eb == 1 || eb - ea == 1) && upper == 1ull << 63 && lower == UINT64_MAX;
}

/* Takes over from the host what a transcendental may choose: the last place of results, so C1, and at the border of
 * denormals UE. */
static void forgive(struct state *ours, const struct state *host)
{
    unsigned forgiven = FSW_C1;
    for (unsigned i = 0; i < 2; i++) {
        struct f80 a = register_at(ours, i), b = register_at(host, i);
        if (!adjacent(a, b))
            continue;
        memcpy(ours->image + REGISTERS + 10 * i, host->image + REGISTERS + 10 * i, 10);
        if ((b.sign_exponent & 0x7FFF) <= 1) {
            set_word(ours, ENV_FTW, word_at(host, ENV_FTW));
            forgiven |= FP_UE;
        }
    }
    set_word(ours, ENV_FSW, (word_at(ours, ENV_FSW) & ~forgiven) | (word_at(host, ENV_FSW) & forgiven));
}

static bool same(const struct state *a, const struct state *b)
{
    return word_at(a, ENV_FCW) == word_at(b, ENV_FCW) && word_at(a, ENV_FSW) == word_at(b, ENV_FSW) &&
           word_at(a, ENV_FTW) == word_at(b, ENV_FTW) && a->flags == b->flags && a->rax == b->rax &&
           memcmp(a->memory, b->memory, sizeof a->memory) == 0 &&
           memcmp(a->image + REGISTERS, b->image + REGISTERS, 80) == 0;
}

static bool host_is_intel(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx && d == signature_INTEL_edx;
}

/* Returns how many of the trials differed. */
static unsigned compare_insn(struct guest *guest, uint8_t *code, const uint8_t *bytes, const struct insn *insn,
                             unsigned trials)
{
    uint64_t rng = (uint64_t)bytes[0] << 8 | bytes[1];
    unsigned wrong = 0;
    host_emit(code, bytes, 2);
    for (unsigned i = 0; i < trials; i++) {
        struct state before = any_state(&rng);
        if (is_transcendental(insn->row->mnemonic)) /* one unit decides whether there is an underflow to trap */
            set_word(&before, ENV_FCW, word_at(&before, ENV_FCW) | FP_UE);
        struct state host = before, ours = before;
        host_run(code, &host);
        guest_run(guest, insn, &ours);
        if (is_transcendental(insn->row->mnemonic))
            forgive(&ours, &host);
        if (same(&ours, &host))
            continue;
        if (wrong++ < 2) {
            fprintf(stderr, "%s (%02x %02x) trial %u\n", insn->row->mnemonic, bytes[0], bytes[1], i);
            print_state("from", &before);
            print_state("host", &host);
            print_state("ours", &ours);
        }
    }
    return wrong;
}

static void test_against_host(void **unused)
{
    (void)unused;
    if (!host_is_intel())
        skip();
    const char *trials_text = getenv("X87_TRIALS");
    unsigned trials = trials_text ? (unsigned)atoi(trials_text) : 400, wrong = 0, seen = 0;
    struct guest *guest = calloc(1, sizeof *guest);
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_non_null(guest);
    assert_true(page != MAP_FAILED);
    uint8_t *code = page + 64; /* sanitizers look at what stands before a function */
    for (unsigned opcode = 0xD8; opcode <= 0xDF; opcode++) {
        for (unsigned modrm = 0; modrm < 256; modrm++) {
            const uint8_t bytes[] = { (uint8_t)opcode, (uint8_t)modrm };
            struct insn insn;
            if (modrm < 0xC0 && (modrm & 0xC7) != 2) /* one memory form is enough: [rdx] */
                continue;
            if (decode(bytes, 2, 64, NULL, &insn) != DECODE_OK || is_control(insn.row->mnemonic))
                continue;
            seen++;
            wrong += compare_insn(guest, code, bytes, &insn, trials);
        }
    }
    munmap(page, 4096);
    free(guest);
    assert_true(seen > 400);
    assert_int_equal(wrong, 0);
}

#define HOST_TESTS cmocka_unit_test(test_against_host),
#else
static bool row_is_compared(const struct isa_row *row)
{
    (void)row;
    return false;
}
#define HOST_TESTS
#endif

static void test_unpack(void **unused)
{
    (void)unused;
    uint64_t rng = 1;
    for (int i = 0; i < 100000; i++) { /* unpacking and packing is the identity on what is supported */
        struct f80 value = any_f80(&rng), back = f80_pack(f80_unpack(value));
        struct fp_number number = f80_unpack(value);
        bool pseudo_denormal = number.denormal && value.mantissa >> 63;
        if (number.kind == NUMBER_UNSUPPORTED || pseudo_denormal)
            continue;
        assert_int_equal(back.mantissa, value.mantissa);
        assert_int_equal(back.sign_exponent, value.sign_exponent);
    }
}

/* --- control instructions --- */

extern const struct handlers handlers_fnstenv, handlers_fldenv, handlers_fldcw, handlers_fnstcw, handlers_fld1,
    handlers_fwait, handlers_fnclex, handlers_faddp_st;

/* Runs a handler on a memory operand at the start of the guest's page. False: it left with a fault. */
static bool control_run(struct guest *guest, const struct handlers *handlers, unsigned width)
{
    struct op ops[2] = { { .run = handlers->any,
                           .imm = 0x6C1,
                           .base = RDX * 8,
                           .index = GPR_ZERO * 8,
                           .seg = SEG_FLAT,
                           .dst = 1,
                           .form = (uint8_t)((width == 16 ? 1 : 2) | 2 << 2),
                           .flags = OP_MEM,
                           .at_length = 0x20 << 4 | 2 },
                         { .run = op_stop } };
    return guest_execute(guest, ops);
}

static struct guest *control_begin(void)
{
    struct guest *guest = calloc(1, sizeof *guest);
    assert_non_null(guest);
    guest_wire(guest);
    x87_init(&guest->cpu);
    return guest;
}

static uint32_t dword(const struct guest *guest, unsigned at)
{
    uint32_t value;
    memcpy(&value, guest->page + at, 4);
    return value;
}

/* Figures 8-9 to 8-12 of volume 1: where the pointers stand in the four layouts, and that loading takes them from
 * there. */
static void test_environment(void **unused)
{
    (void)unused;
    static const uint8_t ones[108] = { [0 ... 107] = 0xFF };
    for (unsigned layout = 0; layout < 4; layout++) {
        struct guest *guest = control_begin();
        struct x87 *fpu = &guest->cpu.x87;
        unsigned width = layout & 1 ? 16 : 32;
        bool real = layout & 2;
        guest->cpu.mode = real ? MODE_CODE16 : MODE_CODE32 | MODE_PROTECTED;
        x87_push(&guest->cpu, f80_pack(fp_unpack_uint(1)));
        x87_push(&guest->cpu, (struct f80){ 0 });
        fpu->fip = 0x12345678, fpu->fdp = 0x9ABCDEF0, fpu->fop = 0x6C1;
        assert_true(control_run(guest, &handlers_fnstenv, width));
        unsigned word = width / 8;
        uint32_t mask = width == 16 ? 0xFFFF : UINT32_MAX, upper = 0xFFFF0000 & mask;
        assert_int_equal(dword(guest, 0) & mask, upper | 0x037F);
        assert_int_equal(dword(guest, word) & mask, upper | 6 << 11);
        assert_int_equal(dword(guest, 2 * word) & mask, upper | 0x1FFF);
        assert_int_equal(dword(guest, 3 * word) & mask, (real ? 0x5678 : 0x12345678) & mask);
        assert_int_equal(dword(guest, 4 * word) & mask, (real ? 0x012346C1 : 0x06C10000) & mask);
        assert_int_equal(dword(guest, 5 * word) & mask, (real ? 0xDEF0 : 0x9ABCDEF0) & mask);
        assert_int_equal(dword(guest, 6 * word) & mask, (real ? 0x09ABC000 : 0xFFFF0000) & mask);
        struct x87 before = *fpu;
        x87_init(&guest->cpu);
        assert_true(control_run(guest, &handlers_fldenv, width));
        assert_int_equal(fpu->tags, before.tags);
        assert_int_equal(fpu->fsw, before.fsw);
        assert_int_equal(fpu->fip, width == 32 ? 0x12345678 : real ? 0x45678 : 0x5678);
        assert_int_equal(fpu->fop, real || width == 32 ? 0x6C1 : 0);
        memcpy(guest->page, ones, 28); /* reserved bits do not stick; ES and B follow flags and masks */
        assert_true(control_run(guest, &handlers_fldenv, width));
        assert_int_equal(fpu->fcw, 0x1F7F);
        assert_int_equal(fpu->fsw, 0x7F7F);
        assert_int_equal(fpu->tags, 0);
        free(guest);
    }
}

/* An unmasked exception waits for the next waiting instruction. */
static void test_pending(void **unused)
{
    (void)unused;
    struct guest *guest = control_begin();
    struct x87 *fpu = &guest->cpu.x87;
    guest->cpu.gpr[GPR_RIP] = 0x400000;
    memcpy(guest->page, "\x7E\x03", 2); /* IE unmasked */
    assert_true(control_run(guest, &handlers_fldcw, 32));
    assert_true(control_run(guest, &handlers_faddp_st, 32));
    assert_int_equal(fpu->fsw, FP_IE | FSW_SF | FSW_ES | FSW_B);
    assert_int_equal(fpu->fip, 0x400020);
    assert_int_equal(fpu->fop, 0x6C1);
    assert_true(control_run(guest, &handlers_fnstcw, 32));
    assert_false(control_run(guest, &handlers_fld1, 32));
    assert_int_equal(guest->cpu.fault.vector, VEC_MF);
    assert_false(control_run(guest, &handlers_fwait, 32));
    assert_true(control_run(guest, &handlers_fnclex, 32));
    assert_true(control_run(guest, &handlers_fwait, 32));
    guest->cpu.cr0 = CR0_MP | CR0_TS;
    assert_false(control_run(guest, &handlers_fwait, 32));
    assert_int_equal(guest->cpu.fault.vector, VEC_NM);
    guest->cpu.cr0 = CR0_TS;
    assert_true(control_run(guest, &handlers_fwait, 32));
    free(guest);
}

int main(int argc, char **argv)
{
    if (rows_asked(argc, argv))
        return rows_print(row_is_compared);
    const struct CMUnitTest tests[] = { HOST_TESTS cmocka_unit_test(test_unpack), cmocka_unit_test(test_environment),
                                        cmocka_unit_test(test_pending) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
