/*
 * The machine as a whole: its parts have names of their own and tables that cover each of their bytes; every byte of
 * state is in the state hash and no other byte is; every deadline is state; no two chips claim the same address, and
 * none claims RAM's; two machines of equal configuration are equal.
 */
#include "replay/hash.h"
#include "sim/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void drop_byte(void *context, uint8_t byte)
{
    (void)context;
    (void)byte;
}

static struct machine *make(const struct cpu_model *model, uint64_t ram_bytes, uint64_t seed)
{
    struct machine_config config = {
        .ram_bytes = ram_bytes, .cpu_model = model, .seed = seed, .rtc_start_seconds = MACHINE_RTC_DEFAULT
    };
    struct machine_console console = { drop_byte, NULL };
    struct machine *machine = NULL;
    assert_int_equal(machine_create(&machine, &config, &console, 0, 0), 0);
    return machine;
}

static uint64_t hash_of(struct machine *machine)
{
    struct state_hash hash;
    assert_int_equal(state_hash_init(&hash, machine_board(machine)), 0);
    uint64_t value = state_hash_take(&hash);
    state_hash_destroy(&hash);
    return value;
}

/* Calls check for the board of every model. */
static void each_model(void (*check)(struct board *board))
{
    for (unsigned i = 0; cpu_models()[i]; i++) {
        struct machine *machine = make(cpu_models()[i], MACHINE_RAM_MIN, 1);
        check(machine_board(machine));
        machine_destroy(machine);
    }
}

/* --- names --- */

static void check_names(struct board *board)
{
    assert_true(board->part_count > 10);
    for (unsigned p = 0; p < board->part_count; p++) {
        const struct part *part = &board->parts[p];
        assert_true(part->name[0] != '\0');
        for (unsigned other = 0; other < p; other++)
            if (!strcmp(part->name, board->parts[other].name) || part->state == board->parts[other].state)
                fail_msg("part %s is there twice", part->name);
        for (unsigned f = 0; f < part->field_count; f++)
            for (unsigned other = 0; other < f; other++)
                if (!strcmp(part->fields[f].name, part->fields[other].name))
                    fail_msg("%s: field %s is there twice", part->name, part->fields[f].name);
    }
}

static void test_names(void **state)
{
    (void)state;
    each_model(check_names);
}

/* --- tables --- */

/* The field that holds a byte of a part, NULL if none does or two do. */
static const struct field *field_of(const struct part *part, size_t byte)
{
    const struct field *found = NULL;
    for (unsigned f = 0; f < part->field_count; f++) {
        const struct field *field = &part->fields[f];
        if (byte < field->offset || byte >= field->offset + (size_t)field->count * field->bytes)
            continue;
        if (found)
            return NULL;
        found = field;
    }
    return found;
}

static void check_cover(struct board *board)
{
    for (unsigned p = 0; p < board->part_count; p++) {
        const struct part *part = &board->parts[p];
        for (size_t byte = 0; byte < part->state_bytes; byte++)
            if (!field_of(part, byte))
                fail_msg("%s: byte %zu lies in no field, or in two", part->name, byte);
        for (unsigned f = 0; f < part->field_count; f++)
            assert_true(part->fields[f].offset + (size_t)part->fields[f].count * part->fields[f].bytes <=
                        part->state_bytes);
    }
}

static void test_tables_cover_every_byte(void **state)
{
    (void)state;
    each_model(check_cover);
}

static void check_hash(struct board *board)
{
    struct state_hash hash;
    assert_int_equal(state_hash_init(&hash, board), 0);
    uint64_t before = state_hash_take(&hash);
    for (unsigned p = 0; p < board->part_count; p++) {
        struct part *part = &board->parts[p];
        /* A copy is perturbed: the machine itself goes on using its pointers. */
        void *original = part->state;
        uint8_t *bytes = malloc(part->state_bytes);
        assert_non_null(bytes);
        memcpy(bytes, original, part->state_bytes);
        part->state = bytes;
        for (size_t byte = 0; byte < part->state_bytes; byte++) {
            bool is_state = field_of(part, byte)->kind == FIELD_STATE;
            bytes[byte] ^= 0xA5;
            bool differs = state_hash_take(&hash) != before;
            bytes[byte] ^= 0xA5;
            if (differs != is_state)
                fail_msg("%s: byte %zu (%s) %s the hash", part->name, byte, field_of(part, byte)->name,
                         differs ? "is a cache and changes" : "is state and does not change");
        }
        part->state = original;
        free(bytes);
    }
    assert_true(state_hash_take(&hash) == before);
    uint8_t one = 1;
    assert_true(ram_write(&board->ram, board->ram.size_bytes - 1, &one, 1));
    assert_true(state_hash_take(&hash) != before);
    state_hash_destroy(&hash);
}

static void test_hash_follows_every_byte(void **state)
{
    (void)state;
    each_model(check_hash);
}

/* An event's deadline decides what happens next: it must be state of some part. */
static void check_deadlines(struct board *board)
{
    for (uint64_t e = 0; e < board->clock.event_count; e++) {
        const uint8_t *deadline = (const uint8_t *)board->clock.events[e].deadline_cycles;
        bool found = false;
        for (unsigned p = 0; p < board->part_count && !found; p++) {
            const struct part *part = &board->parts[p];
            ptrdiff_t byte = deadline - (const uint8_t *)part->state;
            found =
                byte >= 0 && byte < (ptrdiff_t)part->state_bytes && field_of(part, (size_t)byte)->kind == FIELD_STATE;
        }
        if (!found)
            fail_msg("the deadline of event %u is no state of any part", (unsigned)e);
    }
}

static void test_deadlines_are_state(void **state)
{
    (void)state;
    each_model(check_deadlines);
}

/* --- addresses --- */

static void check_space(const struct bus_space *space, uint64_t end)
{
    for (unsigned i = 0; i < space->count; i++) {
        const struct bus_range *range = &space->ranges[i];
        assert_true(range->length > 0 && range->base < end && range->length <= end - range->base);
        assert_true(range->width_max == 1 || range->width_max == 2 || range->width_max == 4 || range->width_max == 8);
        assert_true(range->name && range->name[0]);
        if (i && range->base < space->ranges[i - 1].base + space->ranges[i - 1].length)
            fail_msg("%s and %s overlap", space->ranges[i - 1].name, range->name);
    }
}

static void test_ranges_are_disjoint(void **state)
{
    (void)state;
    struct machine *machine = make(cpu_models()[0], MACHINE_RAM_MAX, 1);
    const struct board *board = machine_board(machine);
    check_space(&board->bus.ports, 0x10000);
    check_space(&board->bus.mmio, 1ull << cpu_models()[0]->physical_bits);
    for (unsigned i = 0; i < board->bus.mmio.count; i++) {
        const struct bus_range *range = &board->bus.mmio.ranges[i];
        uint8_t byte;
        for (uint64_t at = range->base; at < range->base + range->length; at += RAM_PAGE_BYTES)
            if (ram_read(&machine_board(machine)->ram, at, &byte, 1))
                fail_msg("%s at %llx lies in RAM", range->name, (unsigned long long)at);
    }
    machine_destroy(machine);
}

/* --- equal machines --- */

static void test_equal_configurations_are_equal(void **state)
{
    (void)state;
    const struct cpu_model *v1 = cpu_model_find("x86-64-v1"), *v2 = cpu_model_find("x86-64-v2");
    void *hole = malloc(12345); /* other addresses for the second machine */
    struct machine *first = make(v2, MACHINE_RAM_MIN, 1), *second = make(v2, MACHINE_RAM_MIN, 1);
    struct machine *seeded = make(v2, MACHINE_RAM_MIN, 2), *larger = make(v2, MACHINE_RAM_MIN * 2, 1);
    char fingerprints[2][STATE_FINGERPRINT_BYTES];
    assert_true(hash_of(first) == hash_of(second));
    assert_true(hash_of(first) != hash_of(seeded));
    assert_true(hash_of(first) != hash_of(larger));
    struct machine *old = make(v1, MACHINE_RAM_MIN, 1);
    state_fingerprint(machine_board(old), fingerprints[0]);
    state_fingerprint(machine_board(first), fingerprints[1]);
    assert_string_equal(fingerprints[0], fingerprints[1]); /* tables, not values */
    machine_destroy(old);
    machine_destroy(larger);
    machine_destroy(seeded);
    machine_destroy(second);
    machine_destroy(first);
    free(hole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_tables_cover_every_byte),
        cmocka_unit_test(test_hash_follows_every_byte),
        cmocka_unit_test(test_deadlines_are_state),
        cmocka_unit_test(test_ranges_are_disjoint),
        cmocka_unit_test(test_equal_configurations_are_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
