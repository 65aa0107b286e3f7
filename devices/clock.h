/*
 * The virtual clock and the events of the board.
 *
 * The cycle counter is the only source of time: 1,000,000,000 cycles are one virtual second, so a cycle is a
 * nanosecond and every rate of the board is an exact fraction of it. It advances with retired instructions and jumps
 * ahead when every vCPU is halted. A chip that wants to act later keeps its deadline in a field of its own state and
 * tells the clock where that field is; the clock's list of deadlines is a cache over those fields.
 */
#ifndef DEVICES_CLOCK_H
#define DEVICES_CLOCK_H

#include "devices/field.h"

#define CLOCK_HZ         1000000000ull
#define CLOCK_NEVER      UINT64_MAX
#define CLOCK_EVENTS_MAX 32

struct clock_event {
    uint64_t *deadline_cycles;                    /* a state field of the chip; CLOCK_NEVER when idle */
    void (*fire)(void *chip, uint64_t due_cycle); /* the chip sets its deadline anew, later than due_cycle, or NEVER */
    void *chip;
};

struct clock {
    uint64_t now_cycles;  /* exact at instruction boundaries and inside out-of-line calls of an instruction */
    uint64_t next_cycles; /* cache: the earliest deadline */
    struct clock_event events[CLOCK_EVENTS_MAX]; /* wiring, in the fixed order of device ids */
    uint64_t event_count;
    bool *attention; /* wiring: set when a deadline moves, see board.h */
};

extern const struct field clock_fields[];
extern const unsigned clock_field_count;

void clock_init(struct clock *clock, bool *attention);

/* Adds an event source; the order of calls is the order of firing at equal cycles. Asserts that there is room. */
void clock_add_event(struct clock *clock, const struct clock_event *event);

/*
 * Sets *deadline (a field registered with clock_add_event) to a cycle later than now, or CLOCK_NEVER, and asks the
 * engine for attention. A deadline at or before now is moved to now + 1: a chip never fires twice in one cycle.
 */
void clock_arm(struct clock *clock, uint64_t *deadline, uint64_t cycle);

/* Recomputes next_cycles from the deadline fields, after a restore. */
void clock_rebuild(struct clock *clock);

/* Fires all events due at or before now_cycles, earliest first, at equal cycles in registration order. */
void clock_fire_due(struct clock *clock);

/* floor(cycles * rate_hz / CLOCK_HZ), exact. */
uint64_t clock_ticks(uint64_t cycles, uint64_t rate_hz);

/* The first cycle at which clock_ticks(cycle, rate_hz) >= ticks: ceil(ticks * CLOCK_HZ / rate_hz), saturating. */
uint64_t clock_cycle_of_tick(uint64_t ticks, uint64_t rate_hz);

#endif
