/*
 * The board: RAM, address spaces, clock and the parts soldered to it.
 *
 * A chip joins with one call that names its field table, its ranges and its event. Chips talk to each other and to the
 * vCPUs through wires only. The board stops the machine by a request; the engine looks at `attention` after each
 * out-of-line call and ends the running block when it is set.
 */
#ifndef DEVICES_BOARD_H
#define DEVICES_BOARD_H

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/field.h"
#include "devices/ram.h"
#include "devices/tally.h"

#include <stdio.h>

/* An output pin: set(context, line, level) reports its level, repeated levels included. */
struct wire {
    void (*set)(void *context, unsigned line, bool level);
    void *context;
    unsigned line;
};

static inline void wire_set(const struct wire *wire, bool level)
{
    if (wire->set)
        wire->set(wire->context, wire->line, level);
}

enum board_request {
    BOARD_RUN,        /* none */
    BOARD_POWER_OFF,  /* ACPI S5 */
    BOARD_RESET,      /* reset line pulsed: port 92H, CF9H, i8042, ACPI reset register */
    BOARD_DEBUG_EXIT, /* write to the debug-exit port; request_code is the byte written */
    BOARD_TRIPLE_FAULT,
    BOARD_HOST_STOP, /* the host looks at the machine at this boundary (a text was printed); the run may go on */
};

#define BOARD_PARTS_MAX 40

struct board {
    struct ram ram;
    struct bus bus;
    struct clock clock;
    struct tally tally;
    bool attention; /* cache: the engine must come back to the boundary: deadline moved, line raised, request, code lost
                     */
    enum board_request request; /* the run ends at this boundary */
    uint32_t request_code;
    struct part parts[BOARD_PARTS_MAX]; /* in the fixed order of device ids */
    unsigned part_count;
    uint64_t seed; /* of this run: entropy is f(seed, stream, index) */
    /* For assertions: prints where the machine stands (cycle, RIP). Set by the owner of the machine. */
    void (*describe)(void *context, FILE *out);
    void *describe_context;
};

/* What a chip brings to the board. Arrays are copied; state is not. */
struct chip {
    struct part part;
    const struct bus_range *ports;
    unsigned port_count;
    const struct bus_range *mmio;
    unsigned mmio_count;
    struct clock_event event; /* event.deadline_cycles NULL: none */
};

/* 0, or a negative errno of ram_init. */
int board_init(struct board *board, uint64_t ram_bytes, uint64_t seed);
void board_destroy(struct board *board);

/* Joins a chip: its part, ranges and event. A range that overlaps another is a bug of the machine and asserts. */
void board_attach(struct board *board, const struct chip *chip);

/* Asks for the end of the run; the first request stays. */
void board_request_stop(struct board *board, enum board_request request, uint32_t code);

/* 64 bits of entropy: f(seed, stream, index), the same on every host. Streams: enum entropy_stream. */
enum entropy_stream {
    ENTROPY_RDRAND = 1,
    ENTROPY_RDSEED = 2,
    ENTROPY_TSC = 3,
    ENTROPY_BOOT = 4,
    ENTROPY_TURNS = 5,
    ENTROPY_UNDEFINED_FLAGS = 6,
    ENTROPY_UNDEFINED_RESULT = 7 /* --undefined random: with a seed of their own */
};
uint64_t entropy_draw(uint64_t seed, uint32_t stream, uint64_t index);

/* An assertion that stays on in release builds and says cycle, RIP and seed. */
#define board_assert(board, condition)                                                                                 \
    ((condition) ? (void)0 : board_assert_failed((board), #condition, __FILE__, __LINE__))
_Noreturn void board_assert_failed(const struct board *board, const char *condition, const char *file, int line);

#endif
