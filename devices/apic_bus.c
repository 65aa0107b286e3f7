/*
 * The APIC bus (SDM vol. 3A, 11.6.2 "Determining IPI destination" and 11.7.2 "lowest priority"), and the window of the
 * local APICs at FEE00000H: 32-bit registers at steps of 16 bytes.
 */
#include "devices/apic_bus.h"
#include "devices/lapic_state.h"

/* Arbitration: the lowest processor priority wins, among equals the first attached. */
static struct lapic *arbitrate(struct apic_bus *bus, uint32_t destination, bool logical, const struct lapic *except)
{
    struct lapic *winner = NULL;

    for (uint32_t i = 0; i < bus->count; i++) {
        struct lapic *lapic = bus->lapics[i];
        bool takes_part = lapic != except && lapic->svr & SVR_ENABLE && lapic_is_addressed(lapic, destination, logical);
        if (takes_part && (!winner || lapic_ppr(lapic) < lapic_ppr(winner)))
            winner = lapic;
    }
    return winner;
}

static bool deliver(struct apic_bus *bus, uint32_t destination, bool logical, enum apic_delivery_mode mode,
                    uint8_t vector, bool level, const struct lapic *except)
{
    bool taken = false;

    if (mode == APIC_LOWEST_PRIORITY) {
        struct lapic *winner = arbitrate(bus, destination, logical, except);
        return winner && lapic_accept(winner, mode, vector, level);
    }
    for (uint32_t i = 0; i < bus->count; i++) {
        struct lapic *lapic = bus->lapics[i];
        if (lapic != except && lapic_is_addressed(lapic, destination, logical))
            taken |= lapic_accept(lapic, mode, vector, level);
    }
    return taken;
}

bool apic_bus_deliver(struct apic_bus *bus, uint32_t destination, bool logical, enum apic_delivery_mode mode,
                      uint8_t vector, bool level)
{
    return deliver(bus, destination, logical, mode, vector, level, NULL);
}

bool apic_bus_deliver_others(struct apic_bus *bus, const struct lapic *sender, enum apic_delivery_mode mode,
                             uint8_t vector)
{
    return deliver(bus, APIC_BROADCAST, false, mode, vector, false, sender);
}

void apic_bus_set_lint(void *context, unsigned line, bool level)
{
    struct apic_bus *bus = context;

    for (uint32_t i = 0; i < bus->count; i++)
        lapic_set_lint(bus->lapics[i], line, level);
}

/* In x2APIC mode, and while the APIC is disabled, nothing answers at the window. */
static struct lapic *behind_window(struct apic_bus *bus)
{
    struct lapic *lapic = bus->lapics[bus->current];

    return (lapic->base_msr & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN ? lapic : NULL;
}

static uint64_t window_read(void *device, uint64_t offset, unsigned bytes)
{
    struct lapic *lapic = behind_window(device);

    (void)bytes;
    if (!lapic)
        return UINT64_MAX;
    /* The manual defines aligned accesses of 32 bits only; others read parts of the register and zeros behind it. */
    return (offset & 15) < 4 ? lapic_register_read(lapic, (uint32_t)offset & 0xFF0) >> 8 * (offset & 3) : 0;
}

static void window_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct lapic *lapic = behind_window(device);

    if (lapic && (offset & 15) == 0 && bytes == 4)
        lapic_register_write(lapic, (uint32_t)offset, (uint32_t)value);
}

void apic_bus_add_window(struct board *board, struct apic_bus *bus)
{
    struct bus_range window = { "lapic", LAPIC_DEFAULT_BASE, 4096, 4, bus, window_read, window_write };

    board_assert(board, bus_add_mmio(&board->bus, &window) == 0);
}
