/*
 * The ACPI tables of the board: RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT (ACPI 5.0; the DSDT is sim/acpi_dsdt.asl).
 */
#ifndef SIM_ACPI_H
#define SIM_ACPI_H

#include "devices/board.h"

/* All tables stand in this range, the RSDP at its start; the memory map must not offer it as usable RAM. */
#define ACPI_TABLES_START 0xE0000u
#define ACPI_TABLES_END   0x100000u
#define ACPI_CPUS_MAX     16u

/*
 * Inputs of the I/O APIC (global system interrupts) are those of the 8259 but for IRQ 0, which is input 2; the SCI is
 * IRQ 9, level-triggered, active high.
 */
#define ACPI_TIMER_GSI 2u
#define ACPI_SCI_IRQ   9u

struct acpi_config {
    uint32_t cpu_count; /* 1 to ACPI_CPUS_MAX */
    uint32_t lapic_ids[ACPI_CPUS_MAX];
    uint8_t ioapic_id;
};

/* Writes the tables to guest RAM, which is there up to 1 MiB. Returns the physical address of the RSDP. */
uint64_t acpi_build(struct board *board, const struct acpi_config *config);

#endif
