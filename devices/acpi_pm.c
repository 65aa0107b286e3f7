/*
 * ACPI fixed hardware registers (ACPI 6.4, section 4.8.3 and 4.8.4).
 *
 *   600H PM1 status   TMR 0, GBL 5, PWRBTN 8, SLPBTN 9, RTC 10, WAK 15; ones clear
 *   602H PM1 enable   the same bits but WAK
 *   604H PM1 control  SCI_EN 0, BM_RLD 1, GBL_RLS 2 (w), SLP_TYP 12:10, SLP_EN 13 (w)
 *   608H PM timer     32 bits at 3.579545 MHz, read only
 *   620H GPE0 status, 622H GPE0 enable
 *
 * TMR_STS is set by each change of the timer's bit 31. It is computed when somebody looks; an event exists only while
 * the change would interrupt.
 */
#include "devices/acpi_pm.h"

#include <string.h>

enum {
    PM1_TMR = 0x0001,
    PM1_PWRBTN = 0x0100,
    PM1_ENABLES = 0x0721,

    CNT_SCI_EN = 0x0001,
    CNT_WRITABLE = 0x1C02, /* SLP_TYP, BM_RLD */
    CNT_SLP_EN = 0x2000,
};

const struct field acpi_pm_fields[] = {
    FIELD(struct acpi_pm, timer_deadline_cycles),
    FIELD(struct acpi_pm, timer_half),
    FIELD(struct acpi_pm, status),
    FIELD(struct acpi_pm, enable),
    FIELD(struct acpi_pm, control),
    FIELD(struct acpi_pm, gpe_status),
    FIELD(struct acpi_pm, gpe_enable),
    FIELD_CACHED(struct acpi_pm, reserved),
    FIELD_CACHED(struct acpi_pm, board),
    FIELD_CACHED(struct acpi_pm, sci),
};
const unsigned acpi_pm_field_count = FIELD_COUNT(acpi_pm_fields);

static uint64_t timer_ticks(const struct acpi_pm *pm)
{
    return clock_ticks(pm->board->clock.now_cycles, ACPI_PM_TIMER_HZ);
}

/* Takes the changes of the timer's bit 31 up to now into TMR_STS. */
static void catch_up(struct acpi_pm *pm)
{
    uint64_t half = timer_ticks(pm) >> 31;

    if (half != pm->timer_half) {
        pm->timer_half = half;
        pm->status |= PM1_TMR;
    }
}

/* After any change: the line, and the deadline of the next change of bit 31 if that would raise the line. */
static void update(struct acpi_pm *pm)
{
    uint64_t deadline = CLOCK_NEVER;

    if (pm->enable & PM1_TMR && !(pm->status & PM1_TMR))
        deadline = clock_cycle_of_tick((pm->timer_half + 1) << 31, ACPI_PM_TIMER_HZ);
    if (deadline != pm->timer_deadline_cycles)
        clock_arm(&pm->board->clock, &pm->timer_deadline_cycles, deadline);
    wire_set(&pm->sci, (pm->status & pm->enable) || (pm->gpe_status & pm->gpe_enable));
}

static void timer_fire(void *chip, uint64_t due_cycle)
{
    struct acpi_pm *pm = (struct acpi_pm *)chip;

    (void)due_cycle;
    catch_up(pm);
    update(pm);
}

void acpi_pm_press_power_button(struct acpi_pm *pm)
{
    catch_up(pm);
    pm->status |= PM1_PWRBTN;
    update(pm);
}

/* Spreads a write of any width at any offset of a 4-byte block over its status (ones clear) and enable halves. */
static void write_event_block(uint64_t offset, unsigned bytes, uint64_t value, uint16_t *status, uint16_t *enable)
{
    uint32_t mask = (uint32_t)(((uint64_t)1 << 8 * bytes) - 1) << 8 * offset;
    uint32_t placed = (uint32_t)value << 8 * offset & mask;

    *status &= (uint16_t)~placed;
    *enable = (uint16_t)((*enable & ~(mask >> 16)) | placed >> 16);
}

static uint64_t event_read(void *device, uint64_t offset, unsigned bytes)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;

    (void)bytes;
    catch_up(pm);
    update(pm);
    return ((uint32_t)pm->enable << 16 | pm->status) >> 8 * offset;
}

static void event_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;

    catch_up(pm);
    write_event_block(offset, bytes, value, &pm->status, &pm->enable);
    pm->enable &= PM1_ENABLES;
    update(pm);
}

static uint64_t gpe_read(void *device, uint64_t offset, unsigned bytes)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;

    (void)bytes;
    return ((uint32_t)pm->gpe_enable << 16 | pm->gpe_status) >> 8 * offset;
}

static void gpe_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;

    write_event_block(offset, bytes, value, &pm->gpe_status, &pm->gpe_enable);
    update(pm);
}

static uint64_t control_read(void *device, uint64_t offset, unsigned bytes)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;

    (void)bytes;
    return (uint64_t)pm->control >> 8 * offset;
}

static void control_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;
    uint32_t mask = (uint32_t)(((uint64_t)1 << 8 * bytes) - 1) << 8 * offset;
    uint32_t placed = (uint32_t)value << 8 * offset & mask;

    pm->control = (uint16_t)((pm->control & ~(mask & CNT_WRITABLE)) | (placed & CNT_WRITABLE));
    /* The other sleeping states are not offered by the DSDT, so asking for them does nothing. */
    if (placed & CNT_SLP_EN && (pm->control >> 10 & 7) == ACPI_SLP_TYP_S5)
        board_request_stop(pm->board, BOARD_POWER_OFF, 0);
}

static uint64_t timer_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)bytes;
    return (timer_ticks((struct acpi_pm *)device) & UINT32_MAX) >> 8 * offset;
}

void acpi_pm_attach(struct board *board, struct acpi_pm *pm, struct wire sci)
{
    const struct bus_range ports[] = {
        { "acpi_pm1_event", ACPI_PM1_EVENT_PORT, ACPI_PM1_EVENT_BYTES, 4, pm, event_read, event_write },
        { "acpi_pm1_control", ACPI_PM1_CONTROL_PORT, ACPI_PM1_CONTROL_BYTES, 2, pm, control_read, control_write },
        { "acpi_pm_timer", ACPI_PM_TIMER_PORT, ACPI_PM_TIMER_BYTES, 4, pm, timer_read, NULL },
        { "acpi_gpe0", ACPI_GPE0_PORT, ACPI_GPE0_BYTES, 4, pm, gpe_read, gpe_write },
    };
    struct chip chip = {
        .part = { "acpi_pm", pm, sizeof(*pm), acpi_pm_field_count, acpi_pm_fields },
        .ports = ports,
        .port_count = FIELD_COUNT(ports),
        .event = { &pm->timer_deadline_cycles, timer_fire, pm },
    };

    memset(pm, 0, sizeof(*pm));
    pm->timer_deadline_cycles = CLOCK_NEVER;
    pm->control = CNT_SCI_EN;
    pm->board = board;
    pm->sci = sci;
    board_attach(board, &chip);
}
