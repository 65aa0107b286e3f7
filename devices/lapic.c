/*
 * Local APIC (SDM vol. 3A, chapter 11): interrupt acceptance, priorities, local vector table, IPIs, registers.
 *
 *   020 ID   030 version   080 TPR   090 APR   0A0 PPR   0B0 EOI   0C0 RRD   0D0 LDR   0E0 DFR   0F0 SVR
 *   100 ISR   180 TMR   200 IRR (eight each)   280 ESR   300 ICR   310 ICR, destination
 *   320 timer   330 thermal   340 performance   350 LINT0   360 LINT1   370 error   380 TMICT   390 TMCCT   3E0 DCR
 *
 * The timer is in lapic_timer.c, the MSRs are in lapic_msr.c. Pins carry "asserted", so the polarity bit of LINT0 and
 * LINT1 changes nothing. There is no SMM: SMIs are accepted and lost. Messages arrive at once, so delivery status is
 * always idle.
 */
#include "devices/lapic_state.h"

#include <string.h>

enum {
    VERSION = 0x00050014, /* integrated APIC, 6 LVT entries, no suppression of EOI broadcasts */
    SVR_WRITABLE = 0x3FF,
    LVT_DELIVERY_MODE_SHIFT = 8,
    LVT_REMOTE_IRR = 1 << 14,
    LVT_LEVEL = 1 << 15,
    ICR_LOGICAL = 1 << 11,
    ICR_ASSERT = 1 << 14,
    ICR_LEVEL = 1 << 15,
    ESR_SEND_ILLEGAL_VECTOR = 1 << 5,
    ESR_RECEIVED_ILLEGAL_VECTOR = 1 << 6,
    ESR_ILLEGAL_REGISTER = 1 << 7,
    FIRST_LEGAL_VECTOR = 16,
};

static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700FF, [LVT_THERMAL] = 0x107FF, [LVT_PERFORMANCE] = 0x107FF,
    [LVT_LINT0] = 0x1A7FF, [LVT_LINT1] = 0x1A7FF,   [LVT_ERROR] = 0x100FF,
};

const struct field lapic_fields[] = {
    FIELD(struct lapic, deadline_cycles),
    FIELD(struct lapic, base_msr),
    FIELD(struct lapic, timer_start_tick),
    FIELD(struct lapic, tsc_deadline),
    FIELD(struct lapic, tsc_offset),
    FIELD(struct lapic, icr),
    FIELD(struct lapic, id),
    FIELD(struct lapic, tpr),
    FIELD(struct lapic, ldr),
    FIELD(struct lapic, dfr),
    FIELD(struct lapic, svr),
    FIELD(struct lapic, esr),
    FIELD(struct lapic, esr_pending),
    FIELD_ARRAY(struct lapic, isr),
    FIELD_ARRAY(struct lapic, tmr),
    FIELD_ARRAY(struct lapic, irr),
    FIELD_ARRAY(struct lapic, lvt),
    FIELD(struct lapic, timer_initial),
    FIELD(struct lapic, timer_count),
    FIELD(struct lapic, timer_divide),
    FIELD_ARRAY(struct lapic, lint),
    FIELD(struct lapic, extint_pending),
    FIELD(struct lapic, nmi_pending),
    FIELD(struct lapic, init_pending),
    FIELD(struct lapic, sipi_pending),
    FIELD(struct lapic, sipi_vector),
    FIELD_CACHED(struct lapic, reserved),
    FIELD_CACHED(struct lapic, board),
    FIELD_CACHED(struct lapic, bus),
    FIELD_CACHED(struct lapic, has_x2apic),
};
const unsigned lapic_field_count = FIELD_COUNT(lapic_fields);

static bool bit_get(const uint32_t bits[8], unsigned vector)
{
    return bits[vector >> 5] >> (vector & 31) & 1;
}

static void bit_set(uint32_t bits[8], unsigned vector, bool value)
{
    uint32_t bit = 1u << (vector & 31);

    bits[vector >> 5] = value ? bits[vector >> 5] | bit : bits[vector >> 5] & ~bit;
}

/* The highest vector that is set; 0, which is never a legal one, if none is. */
static unsigned highest(const uint32_t bits[8])
{
    for (unsigned i = 8; i-- > 0;)
        if (bits[i])
            return i * 32 + 31 - (unsigned)__builtin_clz(bits[i]);
    return 0;
}

static bool is_enabled(const struct lapic *lapic)
{
    return lapic->base_msr & APIC_BASE_EN;
}

static bool is_x2apic(const struct lapic *lapic)
{
    return lapic->base_msr & APIC_BASE_EXTD;
}

uint32_t lapic_ppr(const struct lapic *lapic)
{
    uint32_t served = highest(lapic->isr) & 0xF0;

    return (lapic->tpr & 0xF0) >= served ? lapic->tpr : served;
}

/* The 8259's INTR reaches the core: through LINT0 in ExtINT mode, or as the plain INTR pin of a disabled APIC. */
static bool extint_ready(const struct lapic *lapic)
{
    uint32_t lint0 = lapic->lvt[LVT_LINT0];

    if (!is_enabled(lapic))
        return lapic->lint[0];
    bool wired = !(lint0 & LVT_MASKED) && (lint0 >> LVT_DELIVERY_MODE_SHIFT & 7) == APIC_EXTINT;
    return lapic->extint_pending || (wired && lapic->lint[0]);
}

static bool fixed_ready(const struct lapic *lapic)
{
    return is_enabled(lapic) && (highest(lapic->irr) & 0xF0) > (lapic_ppr(lapic) & 0xF0);
}

bool lapic_interrupt_pending(const struct lapic *lapic)
{
    return extint_ready(lapic) || fixed_ready(lapic);
}

bool lapic_has_request(const struct lapic *lapic)
{
    return lapic->nmi_pending || lapic->init_pending || lapic->sipi_pending || lapic_interrupt_pending(lapic);
}

/* After any change that may have made something deliverable. */
static void attend(struct lapic *lapic)
{
    if (lapic_has_request(lapic))
        lapic->board->attention = true;
}

uint8_t lapic_acknowledge(struct lapic *lapic)
{
    if (extint_ready(lapic) && lapic->bus->extint_acknowledge) {
        lapic->extint_pending = false;
        return lapic->bus->extint_acknowledge(lapic->bus->extint_context);
    }
    if (!fixed_ready(lapic))
        return (uint8_t)lapic->svr;
    unsigned vector = highest(lapic->irr);
    bit_set(lapic->irr, vector, false);
    bit_set(lapic->isr, vector, true);
    return (uint8_t)vector;
}

static bool take(bool *pending)
{
    bool was_pending = *pending;

    *pending = false;
    return was_pending;
}

bool lapic_take_nmi(struct lapic *lapic)
{
    return take(&lapic->nmi_pending);
}

bool lapic_take_init(struct lapic *lapic)
{
    return take(&lapic->init_pending);
}

bool lapic_take_sipi(struct lapic *lapic, uint8_t *vector)
{
    *vector = lapic->sipi_vector;
    return take(&lapic->sipi_pending);
}

uint8_t lapic_cr8(const struct lapic *lapic)
{
    return (uint8_t)(lapic->tpr >> 4);
}

void lapic_set_cr8(struct lapic *lapic, uint8_t value)
{
    lapic->tpr = (uint32_t)(value & 15) << 4;
    attend(lapic);
}

/* Notes an error; its interrupt comes once until software rearms it by a write to the ESR. */
static void note_error(struct lapic *lapic, uint32_t error)
{
    if (lapic->esr_pending & error)
        return;
    lapic->esr_pending |= error;
    lapic_raise_lvt(lapic, LVT_ERROR);
}

/* Puts a vector into the IRR; a vector below 16 is an error instead. */
static bool request_vector(struct lapic *lapic, uint8_t vector, bool level)
{
    if (vector < FIRST_LEGAL_VECTOR) {
        note_error(lapic, ESR_RECEIVED_ILLEGAL_VECTOR);
        return false;
    }
    bit_set(lapic->irr, vector, true);
    bit_set(lapic->tmr, vector, level);
    attend(lapic);
    return true;
}

void lapic_raise_lvt(struct lapic *lapic, enum lapic_lvt entry)
{
    if (!(lapic->lvt[entry] & LVT_MASKED))
        request_vector(lapic, (uint8_t)lapic->lvt[entry], false);
}

bool lapic_accept(struct lapic *lapic, enum apic_delivery_mode mode, uint8_t vector, bool level)
{
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST_PRIORITY:
        return lapic->svr & SVR_ENABLE && request_vector(lapic, vector, level);
    case APIC_EXTINT:
        if (!(lapic->svr & SVR_ENABLE))
            return false;
        lapic->extint_pending = true;
        break;
    case APIC_NMI:
        lapic->nmi_pending = true;
        break;
    case APIC_INIT:
        lapic->init_pending = true;
        lapic->sipi_pending = false;
        break;
    case APIC_STARTUP:
        lapic->sipi_pending = true;
        lapic->sipi_vector = vector;
        break;
    default:
        break;
    }
    attend(lapic);
    return true;
}

/* SDM 11.6.2: flat and cluster model of xAPIC, cluster of x2APIC. */
static bool matches_logical(const struct lapic *lapic, uint32_t destination)
{
    if (is_x2apic(lapic)) {
        uint32_t ldr = lapic_x2apic_ldr(lapic);
        return destination >> 16 == ldr >> 16 && destination & ldr & 0xFFFF;
    }
    uint32_t ldr = lapic->ldr >> 24;
    if (lapic->dfr >> 28 == 15)
        return destination & ldr & 0xFF;
    return (destination >> 4 == ldr >> 4 || destination >> 4 == 15) && destination & ldr & 15;
}

bool lapic_is_addressed(const struct lapic *lapic, uint32_t destination, bool logical)
{
    if (!is_enabled(lapic))
        return false;
    if (destination == APIC_BROADCAST)
        return true;
    if (logical)
        return matches_logical(lapic, destination);
    return destination == (is_x2apic(lapic) ? lapic->id : lapic->id & 0xFF);
}

/* A pin in fixed mode with level trigger asks again and again while it is asserted, once for each EOI. */
static void sample_level_pin(struct lapic *lapic)
{
    uint32_t *entry = &lapic->lvt[LVT_LINT0];
    bool is_level = (*entry >> LVT_DELIVERY_MODE_SHIFT & 7) == APIC_FIXED && *entry & LVT_LEVEL;

    if (!is_level || *entry & (LVT_MASKED | LVT_REMOTE_IRR) || !lapic->lint[0])
        return;
    if (request_vector(lapic, (uint8_t)*entry, true))
        *entry |= LVT_REMOTE_IRR;
}

static void pin_rises(struct lapic *lapic, unsigned pin)
{
    uint32_t entry = lapic->lvt[LVT_LINT0 + pin];

    /* A disabled APIC leaves the pins INTR and NMI. */
    if (!is_enabled(lapic)) {
        lapic->nmi_pending |= pin == 1;
    } else if (!(entry & LVT_MASKED)) {
        enum apic_delivery_mode mode = entry >> LVT_DELIVERY_MODE_SHIFT & 7;
        if (mode == APIC_NMI || mode == APIC_INIT)
            lapic_accept(lapic, mode, 0, false);
        else if (mode == APIC_FIXED && (pin == 1 || !(entry & LVT_LEVEL)))
            lapic_raise_lvt(lapic, LVT_LINT0 + pin);
    }
}

void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level)
{
    bool rises = level && !lapic->lint[pin];

    lapic->lint[pin] = level;
    if (rises)
        pin_rises(lapic, pin);
    if (pin == 0)
        sample_level_pin(lapic);
    attend(lapic);
}

static void end_of_interrupt(struct lapic *lapic)
{
    unsigned vector = highest(lapic->isr);

    if (!vector)
        return;
    bit_set(lapic->isr, vector, false);
    if (bit_get(lapic->tmr, vector)) {
        if ((uint8_t)lapic->lvt[LVT_LINT0] == vector)
            lapic->lvt[LVT_LINT0] &= ~(uint32_t)LVT_REMOTE_IRR;
        sample_level_pin(lapic);
        if (lapic->bus->eoi)
            lapic->bus->eoi(lapic->bus->eoi_context, (uint8_t)vector);
    }
    attend(lapic);
}

/* SDM 11.6.1 and table 11-3: only these modes can be sent, and to itself only a fixed interrupt. */
static void send_ipi(struct lapic *lapic)
{
    uint32_t low = (uint32_t)lapic->icr;
    uint32_t high = (uint32_t)(lapic->icr >> 32);
    uint8_t vector = (uint8_t)low;
    enum apic_delivery_mode mode = low >> 8 & 7;
    unsigned shorthand = low >> 18 & 3;
    bool logical = low & ICR_LOGICAL;
    bool has_vector = mode == APIC_FIXED || mode == APIC_LOWEST_PRIORITY;

    if (mode == 3 || mode == APIC_EXTINT || (mode == APIC_INIT && low & ICR_LEVEL && !(low & ICR_ASSERT)))
        return;
    if (has_vector && vector < FIRST_LEGAL_VECTOR) {
        note_error(lapic, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    if (shorthand == 0) {
        uint32_t destination = is_x2apic(lapic) ? high : high >> 24;
        if (!is_x2apic(lapic) && !logical && destination == 0xFF)
            destination = APIC_BROADCAST;
        apic_bus_deliver(lapic->bus, destination, logical, mode, vector, false);
    } else if (shorthand == 3) {
        apic_bus_deliver_others(lapic->bus, lapic, mode, vector);
    } else if (mode == APIC_FIXED) {
        lapic_accept(lapic, mode, vector, false);
        if (shorthand == 2)
            apic_bus_deliver_others(lapic->bus, lapic, mode, vector);
    }
}

void lapic_send_self_ipi(struct lapic *lapic, uint8_t vector)
{
    if (vector < FIRST_LEGAL_VECTOR)
        note_error(lapic, ESR_SEND_ILLEGAL_VECTOR);
    else
        lapic_accept(lapic, APIC_FIXED, vector, false);
}

static void write_lvt(struct lapic *lapic, enum lapic_lvt entry, uint32_t value)
{
    value &= lvt_writable[entry];
    if (!(lapic->svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (entry == LVT_TIMER) {
        lapic_timer_write_lvt(lapic, value);
        return;
    }
    if (entry == LVT_LINT0 && value & LVT_LEVEL)
        value |= lapic->lvt[entry] & LVT_REMOTE_IRR;
    lapic->lvt[entry] = value;
    sample_level_pin(lapic);
    attend(lapic);
}

static void write_svr(struct lapic *lapic, uint32_t value)
{
    lapic->svr = value & SVR_WRITABLE;
    if (!(value & SVR_ENABLE))
        for (unsigned i = 0; i < LVT_COUNT; i++)
            write_lvt(lapic, i, lapic->lvt[i]);
}

uint32_t lapic_register_read(struct lapic *lapic, uint32_t offset)
{
    unsigned word = offset >> 4 & 7;

    switch (offset) {
    case 0x020:
        return is_x2apic(lapic) ? lapic->id : lapic->id << 24;
    case 0x030:
        return VERSION;
    case 0x080:
        return lapic->tpr;
    case 0x0A0:
        return lapic_ppr(lapic);
    case 0x090: /* APR and RRD: no arbitration on a bus of their own since the Pentium 4 */
    case 0x0B0:
    case 0x0C0:
        return 0;
    case 0x0D0:
        return is_x2apic(lapic) ? lapic_x2apic_ldr(lapic) : lapic->ldr;
    case 0x0E0:
        return lapic->dfr;
    case 0x0F0:
        return lapic->svr;
    case 0x100 ... 0x170:
        return lapic->isr[word];
    case 0x180 ... 0x1F0:
        return lapic->tmr[word];
    case 0x200 ... 0x270:
        return lapic->irr[word];
    case 0x280:
        return lapic->esr;
    case 0x300:
        return (uint32_t)lapic->icr;
    case 0x310:
        return (uint32_t)(lapic->icr >> 32);
    case 0x320 ... 0x370:
        return lapic->lvt[(offset - 0x320) >> 4];
    case 0x380:
        return lapic->timer_initial;
    case 0x390:
        return lapic_timer_current_count(lapic);
    case 0x3E0:
        return lapic->timer_divide;
    default:
        note_error(lapic, ESR_ILLEGAL_REGISTER);
        return 0;
    }
}

void lapic_register_write(struct lapic *lapic, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case 0x020: /* read-only, but no error */
    case 0x030:
    case 0x090 ... 0x0A0:
    case 0x0C0:
    case 0x100 ... 0x270:
    case 0x390:
        break;
    case 0x080:
        lapic->tpr = value & 0xFF;
        attend(lapic);
        break;
    case 0x0B0:
        end_of_interrupt(lapic);
        break;
    case 0x0D0:
        lapic->ldr = value & 0xFF000000;
        break;
    case 0x0E0:
        lapic->dfr = value | 0x0FFFFFFF;
        break;
    case 0x0F0:
        write_svr(lapic, value);
        break;
    case 0x280:
        lapic->esr = lapic->esr_pending;
        lapic->esr_pending = 0;
        break;
    case 0x300:
        lapic->icr = (lapic->icr & 0xFFFFFFFF00000000) | (value & 0xCCFFF);
        send_ipi(lapic);
        break;
    case 0x310:
        lapic->icr = (uint64_t)value << 32 | (uint32_t)lapic->icr;
        break;
    case 0x320 ... 0x370:
        write_lvt(lapic, (offset - 0x320) >> 4, value);
        break;
    case 0x380:
        lapic_timer_write_initial_count(lapic, value);
        break;
    case 0x3E0:
        lapic_timer_write_divide(lapic, value & 0xB);
        break;
    default:
        note_error(lapic, ESR_ILLEGAL_REGISTER);
        break;
    }
}

void lapic_reset_registers(struct lapic *lapic)
{
    lapic->deadline_cycles = CLOCK_NEVER;
    lapic->timer_start_tick = 0;
    lapic->timer_initial = 0;
    lapic->timer_count = 0;
    lapic->timer_divide = 0;
    lapic->tsc_deadline = 0;
    lapic->icr = 0;
    lapic->tpr = 0;
    lapic->ldr = 0;
    lapic->dfr = 0xFFFFFFFF;
    lapic->svr = 0xFF;
    lapic->esr = 0;
    lapic->esr_pending = 0;
    memset(lapic->isr, 0, sizeof(lapic->isr));
    memset(lapic->tmr, 0, sizeof(lapic->tmr));
    memset(lapic->irr, 0, sizeof(lapic->irr));
    for (unsigned i = 0; i < LVT_COUNT; i++)
        lapic->lvt[i] = LVT_MASKED;
    lapic->extint_pending = false;
    clock_rebuild(&lapic->board->clock);
}

/* A start-up request that came behind the INIT stays; an NMI from before it is lost. */
void lapic_init_reset(struct lapic *lapic)
{
    lapic_reset_registers(lapic);
    lapic->nmi_pending = false;
}

void lapic_firmware_setup(struct lapic *lapic)
{
    write_svr(lapic, SVR_ENABLE | 0xFF);
    write_lvt(lapic, LVT_LINT0, APIC_EXTINT << LVT_DELIVERY_MODE_SHIFT);
    write_lvt(lapic, LVT_LINT1, APIC_NMI << LVT_DELIVERY_MODE_SHIFT);
}

void lapic_attach(struct board *board, struct apic_bus *bus, struct lapic *lapic, const char *name, uint32_t id,
                  bool bootstrap, bool has_x2apic)
{
    memset(lapic, 0, sizeof(*lapic));
    lapic->board = board;
    lapic->bus = bus;
    lapic->has_x2apic = has_x2apic;
    lapic->id = id;
    lapic->base_msr = LAPIC_DEFAULT_BASE | APIC_BASE_EN | (bootstrap ? APIC_BASE_BSP : 0);
    lapic_reset_registers(lapic);

    board_assert(board, bus->count < APIC_BUS_LAPICS_MAX);
    if (bus->count == 0)
        apic_bus_add_window(board, bus);
    bus->lapics[bus->count++] = lapic;

    struct chip chip = { .part = { name, lapic, sizeof(*lapic), lapic_field_count, lapic_fields },
                         .event = { &lapic->deadline_cycles, lapic_timer_fire, lapic } };
    board_attach(board, &chip);
}
