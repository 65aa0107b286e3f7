/*
 * The parts of the instruction comparison that need no reference: vectors as text, the generator, the interpreter's
 * side.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "kvm/difftest.h"

static const uint64_t every_feature[2] = { UINT64_MAX, UINT64_MAX };

/* One of each, too large for the stack. */
static struct difftest_memory memory, memory_read;
static struct difftest_case test, test_read;
static struct difftest_outcome outcome, outcome_read;
static char explained[DIFFTEST_NAME_BYTES];

static const struct isa_row *find_row(const char *mnemonic)
{
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++)
        if (strcmp(isa_rows[i].mnemonic, mnemonic) == 0)
            return &isa_rows[i];
    fail();
    return NULL;
}

/* What is written is read back as it was, and the interpreter repeats its own outcome. */
static void vectors_survive_writing_and_reading(void **state)
{
    (void)state;
    static const char *const mnemonics[] = { "ADC", "MOVS", "FADD", "PSHUFB", "DIV", "CALL", "CMPXCHG16B" };
    struct difftest_sim *sim = difftest_sim_open(every_feature, UNDEFINED_INTEL);
    assert_non_null(sim);
    for (unsigned i = 0; i < sizeof(mnemonics) / sizeof(mnemonics[0]); i++) {
        struct difftest_generator generator = { .random.state = i, .reference = &difftest_native };
        const struct isa_row *row = find_row(i == 1 ? "MOVSB" : mnemonics[i]);
        for (unsigned n = 0; n < 20; n++) {
            unsigned line = 0, explanation;
            FILE *file = tmpfile();
            assert_non_null(file);
            difftest_make_memory(&generator.random, &memory);
            assert_true(difftest_make_insn(&generator, row, false, &test));
            difftest_make_state(&generator, &test);
            difftest_sim_run(sim, &memory, &test, &outcome);
            assert_false(outcome.lost);
            difftest_vector_write(file, &test, &outcome, &memory, "a test", NULL);
            rewind(file);
            assert_int_equal(difftest_vector_read(file, &test_read, &outcome_read, &memory_read, explained, &line), 1);
            assert_memory_equal(&test_read.state, &test.state, sizeof(test.state));
            assert_memory_equal(&memory_read, &memory, sizeof(memory));
            assert_int_equal(difftest_compare(sim, &test, &outcome_read, &outcome, &memory, &explanation),
                             DIFFTEST_EQUAL);
            assert_int_equal(difftest_vector_read(file, &test_read, &outcome_read, &memory_read, explained, &line), 0);
            fclose(file);
        }
    }
    difftest_sim_close(sim);
}

static void malformed_vectors_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "in rax 1\n",
        "test 90\n",
        "test 9 run\nin rip 10000000\nvector 3 0 0\nend\n",
        "test 90 run\nin nothing 1\nend\n",
        "test 90 run\nin rip 10000000\ndata 20003000 00000000000000000000000000000000\nend\n",
        "test 90 run\nin rip 10000000\ndata 20000000 00\nend\n",
        "test 90 run\nin rip 20000000\nvector 3 0 0\nend\n",
        "test 90909090909090909090909090909090 run\nend\n",
        "test 90 run\nin rip 10000000\nvector 3 0 0\n",
    };
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        unsigned line = 0;
        FILE *file = tmpfile();
        assert_non_null(file);
        fputs(texts[i], file);
        rewind(file);
        assert_true(difftest_vector_read(file, &test, &outcome, &memory, explained, &line) < 0);
        fclose(file);
    }
}

/* Every row that is compared gets instructions, but those that 64-bit mode cannot encode (o32 of a d64 row, a16). */
static void every_row_is_made(void **state)
{
    (void)state;
    struct difftest_generator generator = { .random.state = 1, .reference = &difftest_native };
    for (unsigned i = 0; i < ISA_ROW_COUNT; i++) {
        const struct isa_row *row = &isa_rows[i];
        bool made = false;
        if (difftest_native.row_skipped(row) || row->accepts.address_sizes == 1 ||
            (row->attributes & ISA_D64 && row->accepts.operand_sizes == 2))
            continue;
        for (unsigned n = 0; n < 400 && !made; n++) /* not each turn admits one: gathers must have an opmask */
            made = difftest_make_insn(&generator, row, false, &test) && test.row == row;
        if (!made)
            fail_msg("%s %s: no instruction", row->mnemonic, row->encoding);
    }
}

/* Where this process has something a test that hits it gives no verdict. */
static void native_knows_its_own_memory(void **state)
{
    (void)state;
    uint8_t *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    assert_true(difftest_native.occupies(NULL, (uintptr_t)page + 4095));
    munmap(page, 4096);
    assert_false(difftest_native.occupies(NULL, (uintptr_t)page + 4095));
    assert_true(difftest_native.occupies(NULL, (uintptr_t)&state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_survive_writing_and_reading),
        cmocka_unit_test(malformed_vectors_are_refused),
        cmocka_unit_test(every_row_is_made),
        cmocka_unit_test(native_knows_its_own_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
