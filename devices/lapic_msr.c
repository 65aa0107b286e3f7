/*
 * The local APIC's MSRs: IA32_APIC_BASE (SDM vol. 3A, 11.4.4 and figure 11-27), and the registers of x2APIC mode at
 * 800H to 8FFH (table 11-6), which refuse reserved bits.
 *
 * The window stays at FEE00000H: a write that moves it is refused like a reserved bit. The BSP flag is read-only.
 */
#include "devices/lapic_state.h"

enum {
    MSR_X2APIC_FIRST = 0x800,
    MSR_X2APIC_LAST = 0x8FF,
    X2APIC_ICR = 0x300,
    X2APIC_SELF_IPI = 0x3F0,
};
/* Bits 13, 17:16 and 31:20. Bit 12, delivery status in xAPIC mode, is ignored. */
#define ICR_RESERVED 0xFFF32000ull

uint64_t lapic_base_msr(const struct lapic *lapic)
{
    return lapic->base_msr;
}

bool lapic_set_base_msr(struct lapic *lapic, uint64_t value)
{
    uint64_t modes = APIC_BASE_EN | APIC_BASE_EXTD;
    uint64_t from = lapic->base_msr & modes;
    uint64_t to = value & modes;

    if ((value & ~(modes | APIC_BASE_BSP)) != LAPIC_DEFAULT_BASE)
        return false;
    if (to & APIC_BASE_EXTD && (!lapic->has_x2apic || !(to & APIC_BASE_EN)))
        return false;
    if ((from == modes && to == APIC_BASE_EN) || (from == 0 && to == modes))
        return false;
    lapic->base_msr = (lapic->base_msr & ~modes) | to;
    if (to == 0)
        lapic_reset_registers(lapic);
    lapic->board->attention = true;
    return true;
}

uint32_t lapic_x2apic_ldr(const struct lapic *lapic)
{
    return lapic->id >> 4 << 16 | 1u << (lapic->id & 15);
}

static bool is_readable(uint32_t offset)
{
    switch (offset) {
    case 0x020 ... 0x030:
    case 0x080:
    case 0x0A0:
    case 0x0D0:
    case 0x0F0:
    case 0x100 ... 0x280:
    case X2APIC_ICR:
    case 0x320 ... 0x390:
    case 0x3E0:
        return true;
    default:
        return false;
    }
}

/* Bits that may be written as 1. False if the register cannot be written at all. */
static bool writable_bits(uint32_t offset, uint32_t *bits)
{
    switch (offset) {
    case 0x080:
    case X2APIC_SELF_IPI:
        *bits = 0xFF;
        return true;
    case 0x0B0:
    case 0x280:
        *bits = 0;
        return true;
    case 0x0F0:
        *bits = 0x3FF;
        return true;
    case 0x320:
        *bits = 0x710FF;
        return true;
    case 0x330 ... 0x340:
        *bits = 0x117FF;
        return true;
    case 0x350 ... 0x360:
        *bits = 0x1F7FF;
        return true;
    case 0x370:
        *bits = 0x110FF;
        return true;
    case 0x380:
        *bits = 0xFFFFFFFF;
        return true;
    case 0x3E0:
        *bits = 0xB;
        return true;
    default:
        return false;
    }
}

static bool is_reachable(const struct lapic *lapic, uint32_t msr)
{
    return lapic->base_msr & APIC_BASE_EXTD && msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST;
}

bool lapic_x2apic_read(struct lapic *lapic, uint32_t msr, uint64_t *value)
{
    uint32_t offset = (msr - MSR_X2APIC_FIRST) << 4;

    if (!is_reachable(lapic, msr) || !is_readable(offset))
        return false;
    *value = offset == X2APIC_ICR ? lapic->icr : lapic_register_read(lapic, offset);
    return true;
}

bool lapic_x2apic_write(struct lapic *lapic, uint32_t msr, uint64_t value)
{
    uint32_t offset = (msr - MSR_X2APIC_FIRST) << 4;
    uint32_t bits;

    if (!is_reachable(lapic, msr))
        return false;
    if (offset == X2APIC_ICR) {
        if (value & ICR_RESERVED)
            return false;
        lapic->icr = value;
        lapic_register_write(lapic, X2APIC_ICR, (uint32_t)value);
        return true;
    }
    if (!writable_bits(offset, &bits) || value & ~(uint64_t)bits)
        return false;
    if (offset == X2APIC_SELF_IPI)
        lapic_send_self_ipi(lapic, (uint8_t)value);
    else
        lapic_register_write(lapic, offset, (uint32_t)value);
    return true;
}
