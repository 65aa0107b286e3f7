/*
 * The ACPI tables of the board (ACPI specification 5.0, section 5.2).
 *
 * Each is put together in a buffer, sealed with its length and checksum, and copied to RAM from E0000H on. Where the
 * FADT says a thing twice (32-bit and X_ fields), both are filled with the same; only X_FIRMWARE_CTRL must stay zero
 * when FIRMWARE_CTRL is used. The fixed hardware is described by devices/acpi_pm.h.
 */
#include "sim/acpi.h"

#include "acpi_dsdt.h"
#include "devices/acpi_pm.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pci_host.h"
#include "devices/rtc146818.h"

#include <string.h>

enum {
    HEADER_BYTES = 36,
    RSDP_BYTES = 36,
    FACS_BYTES = 64,
    FADT_BYTES = 268, /* revision 5 */
    TABLE_MAX = 4096,
    ALIGNMENT = 64, /* the FACS needs it; it does no harm to the others */
};

struct table {
    uint8_t bytes[TABLE_MAX];
    uint32_t size;
};

static void put(struct table *table, uint32_t offset, uint32_t bytes, uint64_t value)
{
    for (uint32_t i = 0; i < bytes; i++)
        table->bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

static void put_text(struct table *table, uint32_t offset, const char *text)
{
    memcpy(&table->bytes[offset], text, strlen(text));
}

static void append(struct table *table, uint32_t bytes, uint64_t value)
{
    put(table, table->size, bytes, value);
    table->size += bytes;
}

static void put_checksum(struct table *table, uint32_t offset, uint32_t bytes)
{
    uint8_t sum = 0;

    table->bytes[offset] = 0;
    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + table->bytes[i]);
    table->bytes[offset] = (uint8_t)-sum;
}

/* An empty table with all of its header but length and checksum. */
static void begin(struct table *table, const char *signature, uint8_t revision)
{
    memset(table, 0, sizeof(*table));
    table->size = HEADER_BYTES;
    put_text(table, 0, signature);
    table->bytes[8] = revision;
    put_text(table, 10, "SIM   SIMBOARD");
    put(table, 24, 4, 1);
    put_text(table, 28, "SIM ");
    put(table, 32, 4, 1);
}

static void seal(struct table *table)
{
    put(table, 4, 4, table->size);
    put_checksum(table, 9, table->size);
}

/* Where the next table goes. */
struct area {
    struct board *board;
    uint64_t next;
};

static uint64_t place(struct area *area, const struct table *table)
{
    uint64_t address = area->next;

    area->next = (address + table->size + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
    board_assert(area->board, area->next <= ACPI_TABLES_END);
    board_assert(area->board, ram_write(&area->board->ram, address, table->bytes, table->size));
    return address;
}

static uint64_t build_facs(struct area *area)
{
    struct table table = { .size = FACS_BYTES };

    put_text(&table, 0, "FACS");
    put(&table, 4, 4, FACS_BYTES);
    table.bytes[32] = 2; /* version */
    return place(area, &table);
}

/*
 * The number of processors goes where the compiled DSDT has Name (NCPU, 0xFE); the compiler's name and version give way
 * to ours, for what is in guest RAM must not depend on the tool that built it.
 */
static uint64_t build_dsdt(struct area *area, const struct acpi_config *config)
{
    static const uint8_t mark[] = { 'N', 'C', 'P', 'U', 0x0A, 0xFE };
    struct table table = { .size = sizeof(acpi_dsdt) };
    unsigned found = 0;

    _Static_assert(sizeof(acpi_dsdt) <= TABLE_MAX, "the DSDT outgrew its buffer");
    memcpy(table.bytes, acpi_dsdt, sizeof(acpi_dsdt));
    for (uint32_t i = HEADER_BYTES; i + sizeof(mark) <= table.size; i++) {
        if (memcmp(&table.bytes[i], mark, sizeof(mark)) != 0)
            continue;
        table.bytes[i + 5] = (uint8_t)config->cpu_count;
        found++;
    }
    board_assert(area->board, found == 1);
    put_text(&table, 28, "SIM ");
    put(&table, 32, 4, 1);
    seal(&table);
    return place(area, &table);
}

/* A generic address structure (5.2.3.1) in I/O space. access: 1 byte, 2 word, 3 dword. */
static void put_gas(struct table *table, uint32_t offset, uint32_t port, uint32_t bytes, uint32_t access)
{
    put(table, offset, 1, 1);
    put(table, offset + 1, 1, 8 * bytes);
    put(table, offset + 3, 1, access);
    put(table, offset + 4, 8, port);
}

static void put_power_blocks(struct table *table)
{
    put(table, 56, 4, ACPI_PM1_EVENT_PORT);
    put(table, 64, 4, ACPI_PM1_CONTROL_PORT);
    put(table, 76, 4, ACPI_PM_TIMER_PORT);
    put(table, 80, 4, ACPI_GPE0_PORT);
    put(table, 88, 1, ACPI_PM1_EVENT_BYTES);
    put(table, 89, 1, ACPI_PM1_CONTROL_BYTES);
    put(table, 91, 1, ACPI_PM_TIMER_BYTES);
    put(table, 92, 1, ACPI_GPE0_BYTES);
    put_gas(table, 148, ACPI_PM1_EVENT_PORT, ACPI_PM1_EVENT_BYTES, 2);
    put_gas(table, 172, ACPI_PM1_CONTROL_PORT, ACPI_PM1_CONTROL_BYTES, 2);
    put_gas(table, 208, ACPI_PM_TIMER_PORT, ACPI_PM_TIMER_BYTES, 3);
    put_gas(table, 220, ACPI_GPE0_PORT, ACPI_GPE0_BYTES, 1);
}

/* Table 5-34. SMI_CMD stays zero: the machine is in ACPI mode from the start. */
static uint64_t build_fadt(struct area *area, uint64_t facs, uint64_t dsdt)
{
    enum {
        PROFILE_DESKTOP = 1,
        NO_C2 = 101,
        NO_C3 = 1001,
        BOOT_LEGACY_DEVICES = 1 << 0, /* COM1; bit 1, a keyboard controller to probe, stays clear: no keyboard */
        BOOT_NO_VGA = 1 << 2,
        FLAG_WBINVD = 1 << 0,
        FLAG_PROC_C1 = 1 << 2,
        FLAG_NO_FIXED_SLEEP_BUTTON = 1 << 5,
        FLAG_NO_FIXED_RTC = 1 << 6,
        FLAG_TMR_VAL_EXT = 1 << 8,
        FLAG_RESET_REG_SUP = 1 << 10,
    };
    struct table table;

    begin(&table, "FACP", 5);
    table.size = FADT_BYTES;
    put(&table, 36, 4, facs);
    put(&table, 40, 4, dsdt);
    put(&table, 45, 1, PROFILE_DESKTOP);
    put(&table, 46, 2, ACPI_SCI_IRQ);
    put(&table, 96, 2, NO_C2);
    put(&table, 98, 2, NO_C3);
    put(&table, 108, 1, RTC_CENTURY);
    put(&table, 109, 2, BOOT_LEGACY_DEVICES | BOOT_NO_VGA);
    put(&table, 112, 4,
        FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_FIXED_SLEEP_BUTTON | FLAG_NO_FIXED_RTC | FLAG_TMR_VAL_EXT |
            FLAG_RESET_REG_SUP);
    put_gas(&table, 116, PCI_RESET_CONTROL_PORT, 1, 1);
    put(&table, 128, 1, PCI_RESET_CONTROL_VALUE);
    put(&table, 140, 8, dsdt);
    put_power_blocks(&table);
    seal(&table);
    return place(area, &table);
}

static void append_lapic(struct table *table, uint32_t uid, uint32_t id)
{
    if (id < 255) { /* 5.2.12.2: local APIC, enabled */
        append(table, 2, 8 << 8 | 0);
        append(table, 1, uid);
        append(table, 1, id);
        append(table, 4, 1);
    } else { /* 5.2.12.12: local x2APIC */
        append(table, 4, 16 << 8 | 9);
        append(table, 4, id);
        append(table, 4, 1);
        append(table, 4, uid);
    }
}

/* 5.2.12.5: interrupt source override of an ISA interrupt. flags: polarity 1:0, trigger 3:2; 0 as on the ISA bus. */
static void append_override(struct table *table, uint32_t irq, uint32_t gsi, uint32_t flags)
{
    append(table, 2, 10 << 8 | 2);
    append(table, 1, 0);
    append(table, 1, irq);
    append(table, 4, gsi);
    append(table, 2, flags);
}

static uint64_t build_madt(struct area *area, const struct acpi_config *config)
{
    enum { PCAT_COMPAT = 1, ACTIVE_HIGH = 1, LEVEL_TRIGGERED = 3 << 2, ALL_PROCESSORS = 0xFF, LINT1 = 1 };
    struct table table;

    begin(&table, "APIC", 3);
    append(&table, 4, LAPIC_DEFAULT_BASE);
    append(&table, 4, PCAT_COMPAT);
    for (uint32_t i = 0; i < config->cpu_count; i++)
        append_lapic(&table, i, config->lapic_ids[i]);
    append(&table, 2, 12 << 8 | 1); /* 5.2.12.3: I/O APIC */
    append(&table, 2, config->ioapic_id);
    append(&table, 4, IOAPIC_DEFAULT_BASE);
    append(&table, 4, 0);
    append_override(&table, 0, ACPI_TIMER_GSI, 0);
    append_override(&table, ACPI_SCI_IRQ, ACPI_SCI_IRQ, ACTIVE_HIGH | LEVEL_TRIGGERED);
    append(&table, 2, 6 << 8 | 4); /* 5.2.12.7: local APIC NMI */
    append(&table, 1, ALL_PROCESSORS);
    append(&table, 2, 0);
    append(&table, 1, LINT1);
    seal(&table);
    return place(area, &table);
}

static uint64_t build_root(struct area *area, const char *signature, uint32_t pointer_bytes, uint64_t fadt,
                           uint64_t madt)
{
    struct table table;

    begin(&table, signature, 1);
    append(&table, pointer_bytes, fadt);
    append(&table, pointer_bytes, madt);
    seal(&table);
    return place(area, &table);
}

/* 5.2.5.3, at the start of the area, where the search of 5.2.5.1 finds it. */
static uint64_t build_rsdp(struct board *board, uint64_t rsdt, uint64_t xsdt)
{
    struct area area = { board, ACPI_TABLES_START };
    struct table table = { .size = RSDP_BYTES };

    put_text(&table, 0, "RSD PTR ");
    put_text(&table, 9, "SIM   ");
    put(&table, 15, 1, 2);
    put(&table, 16, 4, rsdt);
    put(&table, 20, 4, RSDP_BYTES);
    put(&table, 24, 8, xsdt);
    put_checksum(&table, 8, 20);
    put_checksum(&table, 32, RSDP_BYTES);
    return place(&area, &table);
}

uint64_t acpi_build(struct board *board, const struct acpi_config *config)
{
    struct area area = { board, ACPI_TABLES_START + ALIGNMENT };

    board_assert(board, config->cpu_count >= 1 && config->cpu_count <= ACPI_CPUS_MAX);
    uint64_t facs = build_facs(&area);
    uint64_t dsdt = build_dsdt(&area, config);
    uint64_t fadt = build_fadt(&area, facs, dsdt);
    uint64_t madt = build_madt(&area, config);
    uint64_t rsdt = build_root(&area, "RSDT", 4, fadt, madt);
    uint64_t xsdt = build_root(&area, "XSDT", 8, fadt, madt);
    return build_rsdp(board, rsdt, xsdt);
}
