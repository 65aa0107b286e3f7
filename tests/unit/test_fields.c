/*
 * Field tables cover their structs: each byte stands in exactly one field; changing a byte of state changes the
 * canonical form, changing a cache does not; what is saved loads back. A new chip is one line in `tables`.
 */
#include "devices/board.h"
#include "devices/uart16550.h"
#include "devices/acpi_pm.h"
#include "devices/pci_host.h"
#include "devices/misc_ports.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic_state.h"
#include "devices/pic8259.h"
#include "devices/pit8254.h"
#include "devices/rtc146818.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TABLE(type) { #type, sizeof(struct type), type##_fields, &type##_field_count }

static const struct {
    const char *name;
    size_t bytes;
    const struct field *fields;
    const unsigned *field_count;
} tables[] = {
    TABLE(clock),     TABLE(uart16550), TABLE(acpi_pm), TABLE(pci_host), TABLE(misc_ports), TABLE(i8042),
    TABLE(rtc146818), TABLE(pit),       TABLE(pic),     TABLE(lapic),    TABLE(ioapic),
};

static struct part part_of(unsigned t, void *memory)
{
    return (struct part){ tables[t].name, memory, (uint32_t)tables[t].bytes, *tables[t].field_count, tables[t].fields };
}

static void test_each_byte_in_one_field(void **state)
{
    (void)state;
    for (unsigned t = 0; t < FIELD_COUNT(tables); t++) {
        uint8_t *covered = calloc(1, tables[t].bytes);

        for (unsigned f = 0; f < *tables[t].field_count; f++) {
            const struct field *field = &tables[t].fields[f];
            for (size_t i = 0; i < (size_t)field->count * field->bytes; i++) {
                assert_true(field->offset + i < tables[t].bytes);
                if (covered[field->offset + i]++)
                    fail_msg("%s: byte %zu lies in two fields, one is %s", tables[t].name, field->offset + i,
                             field->name);
            }
        }
        for (size_t i = 0; i < tables[t].bytes; i++)
            if (!covered[i])
                fail_msg("%s: byte %zu lies in no field", tables[t].name, i);
        free(covered);
    }
}

static bool is_state(unsigned t, size_t byte)
{
    for (unsigned f = 0; f < *tables[t].field_count; f++) {
        const struct field *field = &tables[t].fields[f];
        if (byte >= field->offset && byte < field->offset + (size_t)field->count * field->bytes)
            return field->kind == FIELD_STATE;
    }
    return false;
}

static void test_perturbed_bytes(void **state)
{
    (void)state;
    for (unsigned t = 0; t < FIELD_COUNT(tables); t++) {
        uint8_t *memory = calloc(1, tables[t].bytes);
        struct part part = part_of(t, memory);
        size_t size = part_canonical_bytes(&part);
        uint8_t *before = calloc(1, size + 1);
        uint8_t *after = calloc(1, size + 1);

        part_save(&part, before);
        for (size_t i = 0; i < tables[t].bytes; i++) {
            memory[i] ^= 0x5A;
            part_save(&part, after);
            if ((memcmp(before, after, size) != 0) != is_state(t, i))
                fail_msg("%s: byte %zu changes the canonical form: %d", tables[t].name, i, !is_state(t, i));
            memory[i] ^= 0x5A;
        }
        assert_int_equal(before[size], 0); /* nothing was written behind the end */
        free(memory);
        free(before);
        free(after);
    }
}

static void test_save_and_load(void **state)
{
    (void)state;
    for (unsigned t = 0; t < FIELD_COUNT(tables); t++) {
        uint8_t *memory = malloc(tables[t].bytes);
        uint8_t *other = calloc(1, tables[t].bytes);
        struct part part = part_of(t, memory);
        struct part copy = part_of(t, other);
        uint8_t *saved = calloc(1, part_canonical_bytes(&part) + 1);

        for (size_t i = 0; i < tables[t].bytes; i++)
            memory[i] = (uint8_t)entropy_draw(1, t, i);
        part_save(&part, saved);
        part_load(&copy, saved);
        for (size_t i = 0; i < tables[t].bytes; i++)
            assert_int_equal(other[i], is_state(t, i) ? memory[i] : 0);
        free(memory);
        free(other);
        free(saved);
    }
}

static void test_canonical_form(void **state)
{
    struct sample {
        uint32_t word;
        uint16_t halves[2];
        uint8_t opaque[3];
        uint8_t flag;
    } sample = { 0x11223344, { 0x5566, 0x7788 }, { 1, 2, 3 }, 9 };
    static const struct field fields[] = {
        FIELD(struct sample, word),
        FIELD_ARRAY(struct sample, halves),
        { "opaque", offsetof(struct sample, opaque), 1, 3, FIELD_STATE },
        FIELD_CACHED(struct sample, flag),
    };
    struct part part = { "sample", &sample, sizeof(sample), FIELD_COUNT(fields), fields };
    uint8_t out[11];
    (void)state;

    assert_int_equal(part_canonical_bytes(&part), sizeof(out));
    part_save(&part, out);
    assert_memory_equal(out, "\x44\x33\x22\x11\x66\x55\x88\x77\x01\x02\x03", sizeof(out));
    assert_int_equal(field_value(&part, &fields[1], 1), 0x7788);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_byte_in_one_field),
        cmocka_unit_test(test_perturbed_bytes),
        cmocka_unit_test(test_save_and_load),
        cmocka_unit_test(test_canonical_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
