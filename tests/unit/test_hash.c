/*
 * The state hash: taken again and again or once, by whatever way the state came about, equal states have equal hashes,
 * and each bit of state counts. Comparison and dump name what the hash only sums up.
 */
#include "replay/compare.h"
#include "replay/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define RAM_BYTES (1u << 20)

struct widget {
    uint64_t wide;
    uint32_t narrow[3];
    uint16_t half;
    uint8_t opaque[10];
    uint64_t cache;
};

static const struct field widget_fields[] = {
    FIELD(struct widget, wide),         FIELD_ARRAY(struct widget, narrow), FIELD(struct widget, half),
    FIELD_ARRAY(struct widget, opaque), FIELD_CACHED(struct widget, cache),
};

struct bench {
    struct board board;
    struct widget widget;
    struct state_hash hash;
};

static void bench_open(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    assert_int_equal(board_init(&bench->board, RAM_BYTES, 1), 0);
    struct chip chip = { .part = { "widget", &bench->widget, sizeof(bench->widget), FIELD_COUNT(widget_fields),
                                   widget_fields } };
    board_attach(&bench->board, &chip);
    assert_int_equal(state_hash_init(&bench->hash, &bench->board), 0);
}

static void bench_close(struct bench *bench)
{
    state_hash_destroy(&bench->hash);
    board_destroy(&bench->board);
}

/* By a hash that has seen nothing before. */
static uint64_t from_scratch(struct bench *bench)
{
    struct state_hash fresh;
    assert_int_equal(state_hash_init(&fresh, &bench->board), 0);
    uint64_t hash = state_hash_take(&fresh);
    state_hash_destroy(&fresh);
    return hash;
}

static uint64_t random_below(uint64_t *index, uint64_t limit)
{
    return entropy_draw(99, 1, (*index)++) % limit;
}

static void test_incremental_is_from_scratch(void **state)
{
    struct bench *bench = malloc(sizeof(*bench));
    uint64_t index = 0;
    (void)state;
    bench_open(bench);
    for (unsigned round = 0; round < 200; round++) {
        for (uint64_t writes = random_below(&index, 5); writes; writes--) {
            uint8_t bytes[300];
            uint64_t at = random_below(&index, 0xA0000 - sizeof(bytes));
            memset(bytes, random_below(&index, 3) ? (int)random_below(&index, 256) : 0, sizeof(bytes));
            assert_true(ram_write(&bench->board.ram, at, bytes, sizeof(bytes)));
        }
        uint8_t *page = ram_writable_page(&bench->board.ram, random_below(&index, 16));
        assert_non_null(page);
        page[random_below(&index, RAM_PAGE_BYTES)] ^= 1;
        bench->widget.wide += round & 1;
        uint64_t scratch = from_scratch(bench);
        assert_true(state_hash_take(&bench->hash) == scratch);
        assert_true(state_hash_take(&bench->hash) == scratch);
    }
    bench_close(bench);
    free(bench);
}

/* Zeros that were written are the zeros that were always there. */
static void test_history_does_not_matter(void **state)
{
    struct bench *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
    uint8_t ones[64], zeros[64] = { 0 };
    (void)state;
    memset(ones, 1, sizeof(ones));
    bench_open(a);
    bench_open(b);
    uint64_t empty = state_hash_take(&a->hash);
    ram_write(&a->board.ram, 0x5FF0, ones, sizeof(ones));
    assert_true(state_hash_take(&a->hash) != empty);
    ram_write(&a->board.ram, 0x5FF0, zeros, sizeof(zeros));
    assert_true(state_hash_take(&a->hash) == empty);
    assert_true(state_hash_take(&b->hash) == empty);
    bench_close(a);
    bench_close(b);
    free(a);
    free(b);
}

static void test_pages_cannot_change_places(void **state)
{
    struct bench *bench = malloc(sizeof(*bench));
    uint8_t one[8] = { 1 }, two[8] = { 2 };
    (void)state;
    bench_open(bench);
    ram_write(&bench->board.ram, 0x1000, one, sizeof(one));
    ram_write(&bench->board.ram, 0x2000, two, sizeof(two));
    uint64_t before = state_hash_take(&bench->hash);
    ram_write(&bench->board.ram, 0x1000, two, sizeof(two));
    ram_write(&bench->board.ram, 0x2000, one, sizeof(one));
    assert_true(state_hash_take(&bench->hash) != before);
    bench_close(bench);
    free(bench);
}

static void test_every_state_byte_counts_and_no_cache(void **state)
{
    struct bench *bench = malloc(sizeof(*bench));
    uint8_t *bytes = (uint8_t *)&bench->widget;
    (void)state;
    bench_open(bench);
    uint64_t before = state_hash_take(&bench->hash);
    for (size_t i = 0; i < sizeof(bench->widget); i++) {
        bytes[i] ^= 0x10;
        bool is_cache = i >= offsetof(struct widget, cache);
        assert_int_equal(state_hash_take(&bench->hash) == before, is_cache);
        bytes[i] ^= 0x10;
    }
    bench->board.clock.now_cycles++;
    assert_true(state_hash_take(&bench->hash) != before);
    bench_close(bench);
    free(bench);
}

static void test_comparison_names_what_differs(void **state)
{
    struct bench *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));
    char *text = NULL;
    size_t size = 0;
    uint8_t byte = 0xAB;
    (void)state;
    bench_open(a);
    bench_open(b);
    assert_int_equal(board_compare(&a->board, &b->board, NULL, 100), 0);
    a->widget.narrow[2] = 0x1234;
    b->widget.opaque[0] = 9;
    b->widget.cache = 7;
    ram_write(&b->board.ram, 0x3008, &byte, 1);
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(board_compare(&a->board, &b->board, out, 2), 3);
    fclose(out);
    assert_string_equal(text, "widget.narrow[2]: 1234 | 0\nwidget.opaque[0]: 0 | 9\nand 1 more\n");
    free(text);
    out = open_memstream(&text, &size);
    board_compare(&a->board, &b->board, out, 100);
    fclose(out);
    assert_non_null(strstr(text, "ram 3008: 00 00 00 00 00 00 00 00 | ab 00 00 00 00 00 00 00\n"));
    free(text);
    out = open_memstream(&text, &size);
    board_dump(&a->board, out);
    fclose(out);
    assert_string_equal(text, "widget.narrow[2] = 1234\n");
    free(text);
    bench_close(a);
    bench_close(b);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_incremental_is_from_scratch),
        cmocka_unit_test(test_history_does_not_matter),
        cmocka_unit_test(test_pages_cannot_change_places),
        cmocka_unit_test(test_every_state_byte_counts_and_no_cache),
        cmocka_unit_test(test_comparison_names_what_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
