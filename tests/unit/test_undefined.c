/*
 * --undefined: a random choice touches what isa.def says is undefined, all of it and nothing else; the columns about
 * vendors hold; and a guest comes to the same state however it is run, and to another one for another choice.
 */
#include "cpu/alu.h"
#include "cpu/isa.h"
#include "replay/hash.h"
#include "sim/load.h"
#include "sim/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* --- the option --- */

static void test_text(void **state)
{
    static const struct {
        const char *text, *canonical;
    } cases[] = { { "intel", "intel" },
                  { "amd", "amd" },
                  { "random:0", "random:0" },
                  { "random-old:0x0a", "random-old:10" },
                  { "random:0x10", "random:16" },
                  { "random:007", "random:7" },
                  { "random:18446744073709551615", "random:18446744073709551615" },
                  { "random:0XFFFFFFFFFFFFFFFF", "random:18446744073709551615" } };
    static const char *const wrong[] = { "",          "Intel",      "intel ",      "random",
                                         "random:",   "random:-1",  "random: 1",   "random:1x",
                                         "random:0x", "random-old", "random-old:", "random:18446744073709551616" };
    struct undefined_choice choice;
    char text[UNDEFINED_TEXT_BYTES];
    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(undefined_parse(cases[i].text, &choice));
        undefined_format(&choice, text);
        assert_string_equal(text, cases[i].canonical);
    }
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (undefined_parse(wrong[i], &choice))
            fail_msg("'%s' was taken", wrong[i]);
}

/* --- one handler by hand --- */

struct bench {
    struct cpu cpu;
    struct engine engine;
    struct op ops[2];
};

static OP(stop)
{
    return NULL;
}

static int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->cpu.engine = &b->engine;
    b->cpu.rflags = FLAGS_FIXED;
    b->ops[1].run = op_stop;
    *state = b;
    return 0;
}
static int bench_teardown(void **state)
{
    free(*state);
    return 0;
}

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

struct inputs {
    uint64_t gpr[4]; /* RAX, RCX, RDX, RBX: the destination is RBX, sources are RCX and RDX */
    uint32_t flags;
};
struct outputs {
    uint64_t gpr[4];
    uint32_t flags;
};

static struct inputs random_inputs(uint64_t *seed)
{
    struct inputs in;
    for (unsigned i = 0; i < 4; i++)
        in.gpr[i] = random_next(seed) >> (random_next(seed) & 63);
    if (random_next(seed) % 4 == 0)
        in.gpr[RCX] &= 3;
    in.flags = (uint32_t)random_next(seed) & FLAGS_STATUS;
    return in;
}

/* False: the instruction faulted. */
static bool run(struct bench *b, op_fn *fn, unsigned width, const struct inputs *in, uint64_t cycle,
                struct outputs *out)
{
    b->ops[0] = (struct op){ .run = fn, .dst = RBX * 8, .src = RCX * 8, .form = (uint8_t)(width | 2 << 2), .left = 1 };
    b->ops[0].src2 = RCX * 8;
    b->ops[0].imm8 = 10;
    b->ops[0].insns_left = 1;
    memcpy(b->cpu.gpr, in->gpr, sizeof(in->gpr));
    flags_set_status(&b->cpu, in->flags);
    b->engine.outcome = ENGINE_BOUNDARY;
    b->cpu.cycle = cycle + 1;
    b->cpu.retired = 1000;
    fn(&b->cpu, b->ops);
    memcpy(out->gpr, b->cpu.gpr, sizeof(out->gpr));
    out->flags = flags_status(&b->cpu);
    return b->engine.outcome == ENGINE_BOUNDARY;
}

static bool counts(const struct undefined *what)
{
    for (unsigned i = 0; i < what->count; i++)
        if (what->lines[i].when != UNDEFINED_ALWAYS && what->lines[i].when <= UNDEFINED_COUNT_ABOVE_SIZE)
            return true;
    return false;
}

/* The masked count of a shift. */
static uint32_t count_of(const struct undefined *what, const struct inputs *in, uint32_t w)
{
    return counts(what) ? (uint32_t)in->gpr[RCX] & (w == 64 ? 63 : 31) : 1;
}

typedef void check_fn(struct bench *b, const struct handlers *handlers, unsigned width);

/* Every handler that leaves something undefined, at each width, once. */
static void each_handler(struct bench *b, check_fn *check)
{
    unsigned checked = 0;
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        const struct handlers *handlers = isa_rows[i].handlers;
        bool again = !handlers || !handlers->undefined;
        if (isa_rows[i].flags_undefined && !again)
            assert_true(handlers->undefined->count > 0);
        for (unsigned j = 0; j < i && !again; j++)
            again = isa_rows[j].handlers == handlers;
        for (unsigned width = 0; width < 4 && !again; width++) {
            if (handlers->chosen[width]) {
                check(b, handlers, width);
                checked++;
            }
        }
    }
    assert_true(checked > 100);
}

static op_fn *plain_of(const struct handlers *handlers, unsigned width)
{
    return handlers->by_width[width] ? handlers->by_width[width] : handlers->any;
}

#define STATES 3000u

static void check_random(struct bench *b, const struct handlers *handlers, unsigned width)
{
    const struct undefined *what = handlers->undefined;
    uint64_t seed = 88172645463325252ull;
    uint32_t w = 8u << width, seen[2] = { 0 }, ever = 0;
    bool result_ever = false, result_seen = false;
    b->cpu.undefined = (struct undefined_choice){ .how = UNDEFINED_RANDOM_OLD, .seed = 5 };
    for (unsigned i = 0; i < STATES; i++) {
        struct inputs in = random_inputs(&seed);
        struct outputs plain, chosen, again;
        bool result, fine = run(b, plain_of(handlers, width), width, &in, i, &plain);
        assert_int_equal(run(b, handlers->chosen[width], width, &in, i, &chosen), fine);
        if (!fine)
            continue;
        bool zero = (in.gpr[RCX] & width_mask(w)) == 0;
        uint32_t mask =
            undefined_flags(what, UNDEFINED_BY_INTEL | UNDEFINED_BY_OLD, w, count_of(what, &in, w), zero, &result);
        if ((plain.flags ^ chosen.flags) & ~mask)
            fail_msg("%s, %u bits: flags %x, at random %x, but only %x are undefined", what->handler, w, plain.flags,
                     chosen.flags, mask);
        if (!result)
            assert_memory_equal(plain.gpr, chosen.gpr, sizeof(plain.gpr));
        else if (w < 32)
            assert_int_equal((plain.gpr[RBX] ^ chosen.gpr[RBX]) & ~width_mask(w), 0);
        run(b, handlers->chosen[width], width, &in, i, &again);
        assert_memory_equal(chosen.gpr, again.gpr, sizeof(chosen.gpr));
        assert_int_equal(chosen.flags, again.flags);
        ever |= mask;
        seen[0] |= ~chosen.flags & mask;
        seen[1] |= chosen.flags & mask;
        result_ever |= result;
        result_seen |= result && plain.gpr[RBX] != chosen.gpr[RBX];
    }
    assert_int_equal(seen[0], ever);
    assert_int_equal(seen[1], ever);
    assert_int_equal(result_seen, result_ever);
}

static void test_random(void **state)
{
    each_handler(*state, check_random);
}

/* What a rule that needs no operands gives; ~0 for the others. */
static uint32_t constant_rule(enum undefined_rule rule, uint32_t before)
{
    return rule == RULE_KEPT ? before : rule == RULE_CLEAR ? 0 : rule == RULE_SET ? FLAGS_STATUS : UINT32_MAX;
}

/* The last line that is about a flag decides. */
static void check_column(const struct undefined *what, bool amd, uint32_t w, const struct inputs *in,
                         const struct outputs *out)
{
    struct undefined one = *what;
    uint32_t open = FLAGS_STATUS;
    bool result;
    for (unsigned i = what->count; i-- > 0;) {
        const struct undefined_line *line = &what->lines[i];
        one.lines = line;
        one.count = 1;
        uint32_t flags = undefined_flags(&one, UINT32_MAX, w, count_of(what, in, w), false, &result) & open;
        uint32_t value = constant_rule(amd ? line->amd : line->intel, in->flags);
        open &= ~flags;
        if (value != UINT32_MAX && (out->flags ^ value) & flags)
            fail_msg("%s, %u bits: flags %x before, %x after, isa.def says %x of %x", what->handler, w, in->flags,
                     out->flags, value & flags, flags);
    }
}

static void check_columns(struct bench *b, const struct handlers *handlers, unsigned width)
{
    uint64_t seed = 0x2545F4914F6CDD1D;
    uint32_t w = 8u << width;
    b->cpu.undefined = (struct undefined_choice){ .how = UNDEFINED_AMD };
    for (unsigned i = 0; i < STATES; i++) {
        struct inputs in = random_inputs(&seed);
        struct outputs plain, chosen;
        if (!run(b, plain_of(handlers, width), width, &in, i, &plain))
            continue;
        run(b, handlers->chosen[width], width, &in, i, &chosen);
        check_column(handlers->undefined, false, w, &in, &plain);
        check_column(handlers->undefined, true, w, &in, &chosen);
        assert_memory_equal(plain.gpr, chosen.gpr, sizeof(plain.gpr));
        if (!handlers->undefined->amd_differs)
            assert_int_equal(plain.flags, chosen.flags);
    }
}

static void test_columns(void **state)
{
    each_handler(*state, check_columns);
}

/* --- known answers of the columns that need operands --- */

#define HANDLERS_OF(name) extern const struct handlers handlers_##name
HANDLERS_OF(shl);
HANDLERS_OF(shr);
HANDLERS_OF(rol);
HANDLERS_OF(rol_imm);
HANDLERS_OF(ror);
HANDLERS_OF(rcl);
HANDLERS_OF(rcr);
HANDLERS_OF(shld);
HANDLERS_OF(bsf);
HANDLERS_OF(mul);
HANDLERS_OF(aad);

static void test_answers(void **state)
{
    enum { O = FLAG_OF, S = FLAG_SF, Z = FLAG_ZF, A = FLAG_AF, P = FLAG_PF, C = FLAG_CF };
    static const struct {
        const char *name;
        const struct handlers *handlers;
        unsigned width;
        uint64_t rbx, rcx, rax;
        uint32_t before, intel, amd;
    } cases[] = {
        /* 60H << 2 = 80H, CF 1: the first step changes the sign, the last one does not */
        { "shl", &handlers_shl, 0, 0x60, 2, 0, 0, O | S | C, S | A | C },
        { "shl by 1", &handlers_shl, 0, 0x40, 1, 0, 0, O | S, O | S | A },
        { "shl by 0", &handlers_shl, 0, 0x40, 32, 0, Z | P, Z | P, Z | P },
        { "shr", &handlers_shr, 0, 0x84, 2, 0, 0, O | P | 0, A | P | 0 },
        { "rol", &handlers_rol, 0, 0x40, 2, 0, Z, O | Z | C, O | Z | C },
        { "rol, kept", &handlers_rol_imm, 0, 0x10, 3, 0, O, O, O },
        { "rol, not kept", &handlers_rol_imm, 0, 0x20, 4, 0, O, O, 0 },
        { "ror", &handlers_ror, 0, 0x81, 2, 0, 0, 0, O },
        { "rcl", &handlers_rcl, 0, 0x20, 2, 0, 0, 0, O },
        { "rcr", &handlers_rcr, 0, 0x02, 2, 0, 0, C, C },
        { "shld", &handlers_shld, 1, 0x6000, 2, 0, 0, O | S | P | C, S | A | P | C },
        { "bsf", &handlers_bsf, 2, 7, 8, 0, O | A | C, P, O | A | C },
        { "mul", &handlers_mul, 0, 2, 0, 3, S | Z | A, P, S | Z | A },
        { "aad", &handlers_aad, 1, 0, 0, 0x0109, 0, A, A },
    };
    struct bench *b = *state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned width = cases[i].width;
        struct inputs in = { { cases[i].rax, cases[i].rcx, 0, cases[i].rbx }, cases[i].before };
        struct outputs out;
        assert_true(run(b, plain_of(cases[i].handlers, width), width, &in, 0, &out));
        if (out.flags != cases[i].intel)
            fail_msg("%s, intel: %x, expected %x", cases[i].name, out.flags, cases[i].intel);
        b->cpu.undefined = (struct undefined_choice){ .how = UNDEFINED_AMD };
        run(b, cases[i].handlers->chosen[width], width, &in, 0, &out);
        if (out.flags != cases[i].amd)
            fail_msg("%s, amd: %x, expected %x", cases[i].name, out.flags, cases[i].amd);
    }
}

/* --- a guest --- */

/* Instructions that leave something undefined, each with what reads the flags behind it, or nothing at once. */
static const char *const instructions[] = {
    "21 D8",                            /* and eax, ebx */
    "48 85 D9",                         /* test rcx, rbx */
    "74 00",                            /* jz: fused with the TEST */
    "30 E0",                            /* xor al, ah */
    "C1 E0 05",                         /* shl eax, 5 */
    "D2 E9",                            /* shr cl, cl */
    "48 D3 F8",                         /* sar rax, cl */
    "00 D8 C0 C0 03 0F 90 C2 49 01 D1", /* add al, bl; rol al, 3; seto dl; add r9, rdx */
    "66 D3 CB",                         /* ror bx, cl */
    "D3 D0",                            /* rcl eax, cl */
    "C0 DC 04",                         /* rcr ah, 4 */
    "66 0F A5 D8",                      /* shld ax, bx, cl */
    "66 0F AC D8 1D",                   /* shrd ax, bx, 29 */
    "66 0F A4 1F 13",                   /* shld [rdi], bx, 19 */
    "0F BA E0 07",                      /* bt eax, 7 */
    "48 0F B3 C8",                      /* btr rax, rcx */
    "0F BC C1",                         /* bsf eax, ecx */
    "48 0F BD C3",                      /* bsr rax, rbx */
    "31 D2",                            /* xor edx, edx */
    "0F BC C2 49 01 C1",                /* bsf eax, edx: of zero; add r9, rax */
    "F6 E3",                            /* mul bl */
    "48 0F AF C3",                      /* imul rax, rbx */
    "6B C3 11",                         /* imul eax, ebx, 17 */
    "83 CB 01",                         /* or ebx, 1 */
    "31 D2",                            /* xor edx, edx */
    "F7 F3",                            /* div ebx */
    "66 0F C8",                         /* bswap ax */
    "C1 07 03",                         /* rol dword [rdi], 3 */
    "F3 0F BC C3",                      /* tzcnt eax, ebx */
    "C4 E2 60 F2 C1",                   /* andn eax, ebx, ecx */
    "C4 E2 70 F7 C3",                   /* bextr eax, ebx, ecx */
    "C4 E2 70 F5 C3",                   /* bzhi eax, ebx, ecx */
    "C4 E2 78 F3 C9",                   /* blsr eax, ecx */
};
/* What follows them, in turn: all of the flags; some through LAHF and SETO; nothing. r9 gathers. */
static const char *const readers[] = { "9C 41 58 4D 01 C1", "9F 0F 90 C2 49 01 C1 49 01 D1", "", "0F 9A C2 49 01 D1" };

static uint8_t *put_hex(uint8_t *to, const char *text)
{
    for (char *end; *text; text = end)
        *to++ = (uint8_t)strtoul(text, &end, 16);
    return to;
}

/*
 * An endless loop. At its start: RSP, RDI set; RAX, RBX, RCX change with a linear congruence in R10 that no flag
 * touches.
 */
static size_t make_guest(uint8_t *code)
{
    uint8_t *at = put_hex(code, "BC 00 00 11 00 BF 00 00 12 00"), *loop = at;
    for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
        if (i % 4 == 0)
            at = put_hex(at, "4D 69 D2 35 7A 01 00 49 81 C2 1B 2E 3F 4A"            /* imul r10, r10, n; add r10, n */
                             "4C 89 D0 4C 89 D3 48 C1 EB 11 4C 89 D1 48 C1 E9 1F"); /* rax, rbx, rcx of it */
        at = put_hex(at, instructions[i]);
        if (strcmp(instructions[i], "48 85 D9") != 0)
            at = put_hex(at, readers[(i + i / 4) % 4]);
    }
    at = put_hex(at, "4C 01 0F E9"); /* add [rdi], r9; jmp loop */
    int32_t back = (int32_t)(loop - (at + 4));
    memcpy(at, &back, 4);
    return (size_t)(at + 4 - code);
}

struct way {
    const char *name;
    bool generic, stepped, pieces, uncached;
};

static void drop_byte(void *context, uint8_t byte)
{
    (void)context, (void)byte;
}

#define GUEST_END 40000u

/* The state hash after so many cycles. */
static uint64_t run_guest(const struct undefined_choice *choice, const struct way *way)
{
    uint8_t code[1024];
    struct machine_config config = { .ram_bytes = MACHINE_RAM_MIN,
                                     .cpu_model = cpu_model_find("x86-64-v3"),
                                     .seed = 1,
                                     .rtc_start_seconds = MACHINE_RTC_DEFAULT,
                                     .undefined = *choice };
    struct machine_console console = { drop_byte, NULL };
    struct machine *machine;
    struct state_hash hash;
    char error[LOAD_ERROR_BYTES];
    struct load_request request = { .kernel = { .path = "guest", .bytes = code, .size_bytes = make_guest(code) },
                                    .cmdline = "",
                                    .entry = LOAD_FLAT };
    assert_int_equal(machine_create(&machine, &config, &console, 0, 0), 0);
    struct cpu *cpu = machine_boot_cpu(machine);
    cpu->engine->generic = way->generic;
    if (way->uncached)
        cpu_uncached(cpu);
    if (load_kernel(machine_board(machine), cpu, &request, error))
        fail_msg("%s", error);
    if (way->stepped)
        machine_single_step(machine, 0, UINT64_MAX);
    for (uint64_t stop = way->pieces ? 1 : GUEST_END; stop <= GUEST_END; stop += stop < GUEST_END / 2 ? 7 : 7919) {
        assert_int_equal(machine_run(machine, stop), MACHINE_STOPPED);
        if (way->pieces)
            cpu_drop_caches(cpu);
    }
    assert_int_equal(machine_run(machine, GUEST_END), MACHINE_STOPPED);
    assert_int_equal(state_hash_init(&hash, machine_board(machine)), 0);
    uint64_t value = state_hash_take(&hash);
    state_hash_destroy(&hash);
    machine_destroy(machine);
    return value;
}

static void test_guest(void **state)
{
    static const struct way ways[] = { { "blocks", false, false, false, false },
                                       { "generic", true, false, false, false },
                                       { "stepped", false, true, false, false },
                                       { "pieces", false, false, true, false },
                                       { "uncached", false, true, false, true } };
    static const struct undefined_choice choices[] = {
        { .how = UNDEFINED_INTEL },
        { .how = UNDEFINED_AMD },
        { .how = UNDEFINED_RANDOM, .seed = 1 },
        { .how = UNDEFINED_RANDOM, .seed = 2 },
        { .how = UNDEFINED_RANDOM_OLD, .seed = 2 },
    };
    uint64_t hashes[sizeof(choices) / sizeof(choices[0])];
    (void)state;
    for (unsigned c = 0; c < sizeof(choices) / sizeof(choices[0]); c++) {
        hashes[c] = run_guest(&choices[c], &ways[0]);
        for (unsigned w = 1; w < sizeof(ways) / sizeof(ways[0]); w++)
            if (run_guest(&choices[c], &ways[w]) != hashes[c])
                fail_msg("choice %u: %s differs from %s", c, ways[w].name, ways[0].name);
        for (unsigned other = 0; other < c; other++)
            if (hashes[c] == hashes[other])
                fail_msg("choices %u and %u come to the same state", other, c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test_setup_teardown(test_random, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_columns, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(test_answers, bench_setup, bench_teardown),
        cmocka_unit_test(test_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
