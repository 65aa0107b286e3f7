/*
 * The odd ports of a PC.
 *
 *   61H NMI status and control  gate 2 0, speaker 1, parity check off 2, channel check off 3, refresh 4 (r), OUT2 5 (r)
 *   80H POST code               a latch
 *   92H system control A        fast reset 0: its rise resets, A20 1: always on here
 *   E9H debug output            reads E9H, by which software finds it
 *   F4H debug exit              a write ends the run with the byte as its code; F5H-F7H only take the rest of a wide
 * write
 */
#include "devices/misc_ports.h"

#include <string.h>

enum {
    PORT_61_GATE2 = 0x01,
    PORT_61_WRITABLE = 0x0F,
    PORT_61_REFRESH = 0x10,
    PORT_61_OUT2 = 0x20,
    PORT_92_RESET = 0x01,
    PORT_92_A20 = 0x02,
    REFRESH_CYCLES = 15085, /* a memory refresh every 15.085 us; bit 4 toggles at each */
};

const struct field misc_ports_fields[] = {
    FIELD(struct misc_ports, port_61),      FIELD(struct misc_ports, port_80),
    FIELD(struct misc_ports, port_92),      FIELD_CACHED(struct misc_ports, reserved),
    FIELD_CACHED(struct misc_ports, board), FIELD_CACHED(struct misc_ports, wiring),
};
const unsigned misc_ports_field_count = FIELD_COUNT(misc_ports_fields);

static uint64_t port_61_read(void *device, uint64_t offset, unsigned bytes)
{
    struct misc_ports *misc = (struct misc_ports *)device;
    uint8_t value = misc->port_61;

    (void)offset, (void)bytes;
    if (misc->board->clock.now_cycles / REFRESH_CYCLES & 1)
        value |= PORT_61_REFRESH;
    if (misc->wiring.out2 && misc->wiring.out2(misc->wiring.out2_context))
        value |= PORT_61_OUT2;
    return value;
}

static void port_61_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct misc_ports *misc = (struct misc_ports *)device;

    (void)offset, (void)bytes;
    misc->port_61 = (uint8_t)value & PORT_61_WRITABLE;
    wire_set(&misc->wiring.timer_gate2, misc->port_61 & PORT_61_GATE2);
}

static uint64_t port_80_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)offset, (void)bytes;
    return ((struct misc_ports *)device)->port_80;
}

static void port_80_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    (void)offset, (void)bytes;
    ((struct misc_ports *)device)->port_80 = (uint8_t)value;
}

static uint64_t port_92_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)offset, (void)bytes;
    return ((struct misc_ports *)device)->port_92 | PORT_92_A20;
}

static void port_92_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct misc_ports *misc = (struct misc_ports *)device;
    bool rises = value & PORT_92_RESET && !(misc->port_92 & PORT_92_RESET);

    (void)offset, (void)bytes;
    misc->port_92 = (uint8_t)value & PORT_92_RESET;
    if (rises)
        board_request_stop(misc->board, BOARD_RESET, 0);
}

static uint64_t port_e9_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)device, (void)offset, (void)bytes;
    return 0xE9;
}

static void port_e9_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct misc_ports *misc = (struct misc_ports *)device;

    (void)offset, (void)bytes;
    if (misc->wiring.debug_out)
        misc->wiring.debug_out(misc->wiring.debug_out_context, (uint8_t)value);
}

static void port_f4_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct misc_ports *misc = (struct misc_ports *)device;

    (void)bytes;
    if (offset == 0)
        board_request_stop(misc->board, BOARD_DEBUG_EXIT, (uint8_t)value);
}

void misc_ports_attach(struct board *board, struct misc_ports *misc, const struct misc_ports_wiring *wiring)
{
    const struct bus_range ports[] = {
        { "port_61", 0x61, 1, 1, misc, port_61_read, port_61_write },
        { "port_80", 0x80, 1, 1, misc, port_80_read, port_80_write },
        { "port_92", 0x92, 1, 1, misc, port_92_read, port_92_write },
        { "debug_out", 0xE9, 1, 1, misc, port_e9_read, port_e9_write },
        { "debug_exit", 0xF4, 4, 4, misc, NULL, port_f4_write },
    };
    struct chip chip = {
        .part = { "misc_ports", misc, sizeof(*misc), misc_ports_field_count, misc_ports_fields },
        .ports = ports,
        .port_count = FIELD_COUNT(ports),
    };

    memset(misc, 0, sizeof(*misc));
    misc->board = board;
    misc->wiring = *wiring;
    board_attach(board, &chip);
}
