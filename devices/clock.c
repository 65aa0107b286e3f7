/*
 * The virtual clock: deadlines of the board's chips in exact integer arithmetic.
 *
 * The deadline fields of the chips are the state; next_cycles only spares the engine a look at all of them. There are
 * at most a few dozen, so a scan in registration order is both the queue and the tie-breaking rule.
 */
#include "devices/clock.h"
#include "devices/board.h"

#include <string.h>

const struct field clock_fields[] = {
    FIELD(struct clock, now_cycles),       FIELD_CACHED(struct clock, next_cycles),
    FIELD_CACHED(struct clock, events),    FIELD_CACHED(struct clock, event_count),
    FIELD_CACHED(struct clock, attention),
};
const unsigned clock_field_count = FIELD_COUNT(clock_fields);

void clock_init(struct clock *clock, bool *attention)
{
    memset(clock, 0, sizeof(*clock));
    clock->next_cycles = CLOCK_NEVER;
    clock->attention = attention;
}

void clock_add_event(struct clock *clock, const struct clock_event *event)
{
    board_assert(NULL, clock->event_count < CLOCK_EVENTS_MAX);
    clock->events[clock->event_count++] = *event;
    clock_rebuild(clock);
}

void clock_rebuild(struct clock *clock)
{
    uint64_t next = CLOCK_NEVER;

    for (uint64_t i = 0; i < clock->event_count; i++)
        if (*clock->events[i].deadline_cycles < next)
            next = *clock->events[i].deadline_cycles;
    clock->next_cycles = next;
}

void clock_arm(struct clock *clock, uint64_t *deadline, uint64_t cycle)
{
    *deadline = cycle <= clock->now_cycles ? clock->now_cycles + 1 : cycle;
    clock_rebuild(clock);
    *clock->attention = true;
}

void clock_fire_due(struct clock *clock)
{
    for (;;) {
        const struct clock_event *first = NULL;

        for (uint64_t i = 0; i < clock->event_count; i++)
            if (!first || *clock->events[i].deadline_cycles < *first->deadline_cycles)
                first = &clock->events[i];
        if (!first || *first->deadline_cycles > clock->now_cycles || *first->deadline_cycles == CLOCK_NEVER)
            break;

        uint64_t due = *first->deadline_cycles;
        first->fire(first->chip, due);
        board_assert(NULL, *first->deadline_cycles > due);
    }
    clock_rebuild(clock);
}

uint64_t clock_ticks(uint64_t cycles, uint64_t rate_hz)
{
    unsigned __int128 ticks = (unsigned __int128)cycles * rate_hz / CLOCK_HZ;

    return ticks > UINT64_MAX ? UINT64_MAX : (uint64_t)ticks;
}

uint64_t clock_cycle_of_tick(uint64_t ticks, uint64_t rate_hz)
{
    unsigned __int128 cycle = ((unsigned __int128)ticks * CLOCK_HZ + (rate_hz - 1)) / rate_hz;

    return cycle > CLOCK_NEVER ? CLOCK_NEVER : (uint64_t)cycle;
}
