/*
 * ACPI tables: checksums, lengths and pointers as a kernel would follow them, contents that must agree with the board,
 * and the disassembler's opinion where it is installed.
 */
#include "devices/acpi_pm.h"
#include "sim/acpi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct board board;
static struct acpi_config config;
static uint64_t rsdp;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(board_init(&board, 2 << 20, 1), 0);
    config = (struct acpi_config){ .cpu_count = 3, .lapic_ids = { 0, 4, 300 }, .ioapic_id = 1 };
    rsdp = acpi_build(&board, &config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static uint64_t get(uint64_t address, unsigned bytes)
{
    uint8_t raw[8];
    uint64_t value = 0;

    assert_true(ram_read(&board.ram, address, raw, bytes));
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)raw[i] << 8 * i;
    return value;
}

static void assert_signature(uint64_t address, const char *signature)
{
    char seen[9] = "";

    assert_true(ram_read(&board.ram, address, seen, strlen(signature)));
    assert_string_equal(seen, signature);
}

static void assert_sum(uint64_t address, uint64_t bytes)
{
    uint8_t sum = 0;

    for (uint64_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + get(address + i, 1));
    assert_int_equal(sum, 0);
}

/* A table with the standard header, inside the area. */
static uint64_t assert_table(uint64_t address, const char *signature)
{
    uint64_t length = get(address + 4, 4);

    assert_signature(address, signature);
    assert_in_range(address, ACPI_TABLES_START, ACPI_TABLES_END - length);
    assert_true(length >= 36);
    assert_sum(address, length);
    return length;
}

static uint64_t xsdt_entry(unsigned i)
{
    return get(get(rsdp + 24, 8) + 36 + 8 * i, 8);
}

static void test_roots(void **state)
{
    (void)state;
    assert_int_equal(rsdp, ACPI_TABLES_START);
    assert_signature(rsdp, "RSD PTR ");
    assert_sum(rsdp, 20);
    assert_sum(rsdp, 36);
    assert_int_equal(get(rsdp + 15, 1), 2);
    assert_int_equal(get(rsdp + 20, 4), 36);

    uint64_t rsdt = get(rsdp + 16, 4);
    uint64_t xsdt = get(rsdp + 24, 8);
    assert_int_equal(assert_table(rsdt, "RSDT"), 36 + 2 * 4);
    assert_int_equal(assert_table(xsdt, "XSDT"), 36 + 2 * 8);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(get(rsdt + 36 + 4 * i, 4), xsdt_entry(i));
}

static void assert_gas(uint64_t address, uint32_t port, uint32_t bits)
{
    assert_int_equal(get(address, 1), 1);
    assert_int_equal(get(address + 1, 1), bits);
    assert_int_equal(get(address + 2, 1), 0);
    assert_int_equal(get(address + 4, 8), port);
}

static void test_fadt(void **state)
{
    (void)state;
    uint64_t fadt = xsdt_entry(0);

    assert_int_equal(assert_table(fadt, "FACP"), 268);
    uint64_t facs = get(fadt + 36, 4);
    assert_signature(facs, "FACS");
    assert_int_equal(facs % 64, 0);
    assert_int_equal(get(facs + 4, 4), 64);
    assert_int_equal(get(fadt + 132, 8), 0);
    assert_int_equal(get(fadt + 40, 4), get(fadt + 140, 8));
    assert_table(get(fadt + 40, 4), "DSDT");

    assert_int_equal(get(fadt + 46, 2), 9);
    assert_int_equal(get(fadt + 48, 4), 0);
    assert_int_equal(get(fadt + 56, 4), ACPI_PM1_EVENT_PORT);
    assert_int_equal(get(fadt + 64, 4), ACPI_PM1_CONTROL_PORT);
    assert_int_equal(get(fadt + 76, 4), ACPI_PM_TIMER_PORT);
    assert_int_equal(get(fadt + 80, 4), ACPI_GPE0_PORT);
    assert_gas(fadt + 148, ACPI_PM1_EVENT_PORT, 32);
    assert_gas(fadt + 172, ACPI_PM1_CONTROL_PORT, 16);
    assert_gas(fadt + 208, ACPI_PM_TIMER_PORT, 32);
    assert_gas(fadt + 220, ACPI_GPE0_PORT, 32);
    assert_gas(fadt + 116, 0xCF9, 8);
    assert_int_equal(get(fadt + 128, 1), 6);
    assert_int_equal(get(fadt + 112, 4) & 0x520, 0x520); /* TMR_VAL_EXT, RESET_REG_SUP, no fixed sleep button */
}

static void test_madt(void **state)
{
    (void)state;
    uint64_t madt = xsdt_entry(1);
    uint64_t length = assert_table(madt, "APIC");
    unsigned seen[10] = { 0 };

    assert_int_equal(get(madt + 36, 4), 0xFEE00000);
    assert_int_equal(get(madt + 40, 4), 1);
    for (uint64_t at = madt + 44; at < madt + length; at += get(at + 1, 1)) {
        unsigned type = (unsigned)get(at, 1);
        assert_true(type < 10);
        seen[type]++;
        if (type == 0)
            assert_int_equal(get(at + 3, 1), config.lapic_ids[get(at + 2, 1)]);
        if (type == 1)
            assert_int_equal(get(at + 4, 4), 0xFEC00000);
        if (type == 2)
            assert_int_equal(get(at + 4, 4), get(at + 3, 1) == 0 ? 2 : 9);
        if (type == 9)
            assert_int_equal(get(at + 4, 4), 300);
        assert_in_range(at + get(at + 1, 1), at + 1, madt + length);
    }
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[2], 2);
    assert_int_equal(seen[4], 1);
    assert_int_equal(seen[9], 1);
}

/* Dumps a table and disassembles it: the DSDT must compile again, the others must have no field out of place. */
static void disassemble(const char *directory, const char *name, uint64_t address, uint64_t bytes)
{
    char path[128];
    char command[512];

    snprintf(path, sizeof(path), "%s/%s.aml", directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (uint64_t i = 0; i < bytes; i++)
        fputc((int)get(address + i, 1), file);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof(command),
             "cd %s && iasl -d %s.aml >%s.log 2>&1 && ! grep -iE 'error|invalid|warning' %s.log %s.dsl", directory,
             name, name, name, name);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof(command), "cd %s && iasl -we -p again %s.dsl >again.log 2>&1", directory, name);
    assert_int_equal(system(command), 0);
}

static void test_disassembler(void **state)
{
    (void)state;
    char directory[] = "/tmp/test_acpi_XXXXXX";
    uint64_t fadt = xsdt_entry(0);
    uint64_t madt = xsdt_entry(1);
    uint64_t dsdt = get(fadt + 40, 4);
    uint64_t facs = get(fadt + 36, 4);
    char command[64];

    if (system("command -v iasl >/dev/null") != 0)
        skip();
    assert_non_null(mkdtemp(directory));
    disassemble(directory, "facp", fadt, get(fadt + 4, 4));
    disassemble(directory, "apic", madt, get(madt + 4, 4));
    disassemble(directory, "facs", facs, 64);
    disassemble(directory, "dsdt", dsdt, get(dsdt + 4, 4));
    disassemble(directory, "rsdt", get(rsdp + 16, 4), 44);
    disassemble(directory, "xsdt", get(rsdp + 24, 8), 52);
    snprintf(command, sizeof(command), "grep -q 'NCPU, 0x03' %s/dsdt.dsl", directory);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_roots, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fadt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_madt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disassembler, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
