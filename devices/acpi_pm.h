/*
 * ACPI fixed hardware (ACPI 6.4, section 4.8): PM1 event and control blocks, PM timer, one empty GPE block.
 *
 * The constants are for the FADT. There is no SMI command port: SCI_EN is always set, the machine is in ACPI mode from
 * the start. The reset register of the FADT is port CF9H (devices/pci_host.h).
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "devices/board.h"

#define ACPI_PM1_EVENT_PORT    0x600u /* PM1a_EVT_BLK */
#define ACPI_PM1_EVENT_BYTES   4u     /* PM1_EVT_LEN: status at +0, enable at +2 */
#define ACPI_PM1_CONTROL_PORT  0x604u /* PM1a_CNT_BLK */
#define ACPI_PM1_CONTROL_BYTES 2u
#define ACPI_PM_TIMER_PORT     0x608u /* PM_TMR_BLK */
#define ACPI_PM_TIMER_BYTES    4u
#define ACPI_PM_TIMER_HZ       3579545ull
#define ACPI_PM_TIMER_BITS     32u /* so the FADT sets TMR_VAL_EXT */
#define ACPI_GPE0_PORT         0x620u
#define ACPI_GPE0_BYTES        4u /* status at +0, enable at +2: 16 events, none of them wired */
#define ACPI_SLP_TYP_S5        5u /* for the DSDT's _S5 */

struct acpi_pm {
    uint64_t timer_deadline_cycles; /* when TMR_STS rises next, if it would interrupt */
    uint64_t timer_half;            /* PM timer ticks / 2^31 up to which changes of bit 31 went into TMR_STS */
    uint16_t status;
    uint16_t enable;
    uint16_t control;
    uint16_t gpe_status;
    uint16_t gpe_enable;
    uint16_t reserved[3];

    /* wiring */
    struct board *board;
    struct wire sci;
};

extern const struct field acpi_pm_fields[];
extern const unsigned acpi_pm_field_count;

/* sci: true while an enabled event is pending (level-triggered; the MADT says with which polarity). */
void acpi_pm_attach(struct board *board, struct acpi_pm *pm, struct wire sci);

/* The power button is pressed, now: an input from outside. */
void acpi_pm_press_power_button(struct acpi_pm *pm);

#endif
