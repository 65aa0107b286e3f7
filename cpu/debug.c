/*
 * Matching of breakpoints (SDM vol. 3B, 18.2.4 and 18.2.5).
 *
 * DR7 has for each breakpoint two enable bits (L, G) in 7:0, and from bit 16 on four bits: R/W (when) and LEN.
 */
#include "cpu/debug.h"

#include "cpu/mem.h"

enum breakpoint_when { WHEN_EXECUTE, WHEN_WRITE, WHEN_PORT, WHEN_ACCESS };

static bool enabled(const struct cpu *cpu, unsigned i)
{
    return (cpu->dr7 >> (2 * i)) & 3;
}
static enum breakpoint_when when(const struct cpu *cpu, unsigned i)
{
    return (enum breakpoint_when)((cpu->dr7 >> (16 + 4 * i)) & 3);
}

/* Whether breakpoint i covers any of the bytes at address; its own length aligns it. */
static bool covers(const struct cpu *cpu, unsigned i, uint64_t address, unsigned bytes)
{
    static const uint8_t lengths[4] = { 1, 2, 8, 4 };
    unsigned length = lengths[(cpu->dr7 >> (18 + 4 * i)) & 3];
    uint64_t at = cpu->dr[i] & ~(uint64_t)(length - 1);
    return address - at < length || at - address < bytes;
}

bool debug_match_execute(struct cpu *cpu, uint64_t linear)
{
    uint64_t hit = 0;
    for (unsigned i = 0; i < 4; i++)
        if (enabled(cpu, i) && when(cpu, i) == WHEN_EXECUTE && cpu->dr[i] == linear)
            hit |= 1u << i;
    if (!hit)
        return false;
    cpu->fault = fault_make(VEC_DB, false, 0);
    cpu->fault.cr2 = hit;
    return true;
}

void debug_match_data(struct cpu *cpu, uint64_t linear, unsigned bytes, bool write)
{
    for (unsigned i = 0; i < 4; i++) {
        enum breakpoint_when w = when(cpu, i);
        if (enabled(cpu, i) && (w == WHEN_ACCESS || (w == WHEN_WRITE && write)) && covers(cpu, i, linear, bytes))
            cpu->pending_db |= (uint8_t)(1u << i);
    }
}

void debug_match_port(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    if (!(cpu->cr4 & CR4_DE))
        return;
    for (unsigned i = 0; i < 4; i++)
        if (enabled(cpu, i) && when(cpu, i) == WHEN_PORT && covers(cpu, i, port, bytes))
            cpu->pending_db |= (uint8_t)(1u << i);
}

uint64_t debug_pending_dr6(const struct cpu *cpu)
{
    return (cpu->pending_db & DR6_B_MASK) | ((cpu->pending_db & PENDING_DB_STEP) ? DR6_BS : 0) |
           ((cpu->pending_db & PENDING_DB_TASK) ? DR6_BT : 0);
}

void debug_enter(struct cpu *cpu, uint64_t bits)
{
    /* B0 to B3 tell of this event only; the other bits stay until software clears them */
    cpu->dr6 = (((cpu->dr6 & ~DR6_B_MASK) | bits) & DR6_WRITABLE) | DR6_FIXED;
    cpu->dr7 &= ~DR7_GD;
}
