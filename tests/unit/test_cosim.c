/*
 * The loop of a co-simulation, with a reference made up for the test: what is compared, what is taken over, what is
 * reported. Needs no KVM.
 */
#include "cpu/model.h"
#include "devices/lapic_state.h"
#include "kvm/cosim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CODE 0x1000u

/* A reference that is always right, but where it is told to be wrong or to skip. */
struct fake {
    struct cpu *cpu;
    unsigned steps, overrides, memory;
    unsigned wrong_at, skip_at; /* numbers of steps from 1 on; 0: never */
    bool wrong;
};

struct bench {
    struct board board;
    struct lapic lapic;
    struct cpu cpu;
    struct cosim cosim;
};

/* The next reference; init() has no argument for it. */
static struct fake the_fake;

static void *fake_init(struct cpu *cpu, const char **why)
{
    (void)why;
    the_fake.cpu = cpu;
    return &the_fake;
}
static void fake_close(void *reference)
{
    (void)reference;
}
static void fake_override(void *reference)
{
    ((struct fake *)reference)->overrides++;
}
static struct cosim_step fake_step(void *reference, const struct cosim_insn *at)
{
    struct fake *fake = reference;
    (void)at;
    fake->steps++;
    fake->wrong = fake->steps == fake->wrong_at;
    if (fake->steps == fake->skip_at)
        return (struct cosim_step){ .result = COSIM_SKIPPED, .reason = "told to" };
    return (struct cosim_step){ .result = COSIM_STEPPED };
}
static void fake_position(void *reference, uint64_t *rip, uint64_t *rcx)
{
    struct fake *fake = reference;
    *rip = cpu_rip(fake->cpu);
    *rcx = fake->cpu->gpr[RCX] > 2 ? fake->cpu->gpr[RCX] - 2 : fake->cpu->gpr[RCX]; /* two iterations ahead */
}
static unsigned fake_compare(void *reference, const struct cosim_insn *at, FILE *text)
{
    struct fake *fake = reference;
    (void)at;
    if (fake->wrong && text)
        fputs("  rax differs\n", text);
    return fake->wrong;
}
static unsigned fake_compare_memory(void *reference, FILE *text)
{
    (void)text;
    ((struct fake *)reference)->memory++;
    return 0;
}
static void fake_explain(void *reference, FILE *out)
{
    (void)reference;
    fputs("  made up\n", out);
}
static const struct cosim_reference fake_kind = {
    .name = "fake",
    .init = fake_init,
    .close = fake_close,
    .override = fake_override,
    .step = fake_step,
    .position = fake_position,
    .compare = fake_compare,
    .compare_memory = fake_compare_memory,
    .explain = fake_explain,
};

static bool advance(void *context)
{
    struct bench *b = context;
    cpu_run(&b->cpu, b->board.clock.now_cycles + 1);
    return true;
}

/* Real mode at CODE with IP 0. */
static struct bench *open_bench(const void *code, unsigned bytes)
{
    const char *why;
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_int_equal(board_init(&b->board, 2u << 20, 1), 0);
    assert_int_equal(cpu_init(&b->cpu, &b->board, &b->lapic, cpu_model_find("x86-64-v2"), 0), 0);
    assert_true(ram_write(&b->board.ram, CODE, code, bytes));
    b->cpu.segment[CS].base = CODE;
    b->cpu.segment[CS].selector = CODE >> 4;
    b->cpu.gpr[GPR_RIP] = 0;
    b->cpu.activity = ACTIVE;
    cpu_drop_caches(&b->cpu);
    memset(&the_fake, 0, sizeof(the_fake));
    b->cosim =
        (struct cosim){ .cpu = &b->cpu, .kind = &fake_kind, .differences_max = 1, .advance = advance, .context = b };
    assert_true(cosim_open(&b->cosim, &why));
    return b;
}

static void close_bench(struct bench *b)
{
    cosim_close(&b->cosim);
    cpu_destroy(&b->cpu);
    board_destroy(&b->board);
    free(b);
}

static void equal_steps_are_counted(void **state)
{
    (void)state;
    struct bench *b = open_bench((const uint8_t[]){ 0x40, 0x40, 0x40, 0x40, 0xEB, 0xFA }, 6); /* inc ax ..; jmp */
    assert_true(cosim_run(&b->cosim, 50));
    assert_int_equal(b->cosim.totals.equal[0], 50);
    assert_int_equal(the_fake.steps, 50);
    assert_int_equal(the_fake.overrides, 1); /* at the start */
    assert_int_equal(the_fake.memory, 1);
    close_bench(b);
}

static void a_difference_is_told_and_ends_the_run(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes;
    struct bench *b = open_bench((const uint8_t[]){ 0x40, 0x40, 0x40, 0x40, 0xEB, 0xFA }, 6);
    the_fake.wrong_at = 3;
    b->cosim.report = open_memstream(&text, &bytes);
    assert_false(cosim_run(&b->cosim, 50));
    fclose(b->cosim.report);
    assert_int_equal(b->cosim.totals.differing, 1);
    assert_int_equal(b->cosim.totals.equal[0], 2);
    assert_non_null(strstr(text, "inc ax"));
    assert_non_null(strstr(text, "rax differs"));
    assert_non_null(strstr(text, "made up"));
    free(text);
    close_bench(b);
}

/* IN is not stepped by the reference: it takes the result over before its next step. */
static void free_choices_are_taken_over(void **state)
{
    (void)state;
    struct bench *b = open_bench((const uint8_t[]){ 0x40, 0xEC, 0x40, 0x0F, 0x31, 0x40 }, 6); /* in al, dx; rdtsc */
    assert_true(cosim_run(&b->cosim, 5));
    assert_int_equal(b->cosim.totals.injected, 2);
    assert_int_equal(b->cosim.totals.equal[0], 3);
    assert_int_equal(the_fake.steps, 3);
    assert_int_equal(the_fake.overrides, 3);
    close_bench(b);
}

static void skips_are_counted_by_reason(void **state)
{
    (void)state;
    struct bench *b = open_bench((const uint8_t[]){ 0x40, 0x40, 0x40, 0x40, 0xEB, 0xFA }, 6);
    the_fake.skip_at = 2;
    assert_true(cosim_run(&b->cosim, 10));
    assert_int_equal(b->cosim.totals.skipped[0], 1);
    assert_int_equal(b->cosim.totals.equal[0], 9);
    assert_int_equal(b->cosim.totals.reason_count, 1);
    assert_string_equal(b->cosim.totals.reasons[0].reason, "told to");
    assert_string_equal(b->cosim.totals.reasons[0].mnemonic, "INC");
    assert_int_equal(the_fake.overrides, 2);
    close_bench(b);
}

/* A reference that runs several iterations of REP in a step: the interpreter follows, each iteration counts. */
static void rep_is_followed(void **state)
{
    (void)state;
    struct bench *b = open_bench((const uint8_t[]){ 0xF3, 0xAA, 0x40, 0x40, 0x40 }, 5); /* rep stosb; inc ax .. */
    b->cpu.gpr[RCX] = 9;
    b->cpu.gpr[RDI] = 0x8000;
    assert_true(cosim_run(&b->cosim, 9));
    assert_int_equal(b->cpu.gpr[RCX], 0);
    assert_int_equal(b->cosim.totals.equal[0], b->cosim.totals.steps);
    assert_true(the_fake.steps < 9);
    close_bench(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_steps_are_counted),
        cmocka_unit_test(a_difference_is_told_and_ends_the_run),
        cmocka_unit_test(free_choices_are_taken_over),
        cmocka_unit_test(skips_are_counted_by_reason),
        cmocka_unit_test(rep_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
