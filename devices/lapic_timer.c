/*
 * The timer of the local APIC (SDM vol. 3A, 11.5.4): one-shot and periodic on the crystal's ticks, TSC-deadline on the
 * time-stamp counter.
 *
 * A start tick and the count held then say all; the current count and the next expiry follow from the clock. A masked
 * counter needs no event: it counts on unseen, so that an idle guest with a masked timer is found to be idle.
 */
#include "devices/lapic_state.h"

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

static enum timer_mode mode_of(uint32_t lvt)
{
    return lvt >> 17 & 3;
}

static bool is_tsc_deadline(const struct lapic *lapic)
{
    return mode_of(lapic->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE;
}

static bool is_periodic(const struct lapic *lapic)
{
    return mode_of(lapic->lvt[LVT_TIMER]) == TIMER_PERIODIC && lapic->timer_initial;
}

/* DCR bits 3, 1, 0: 111 divides by 1, others by 2 to the power of 1 to 7. */
static uint64_t divisor(const struct lapic *lapic)
{
    unsigned code = (lapic->timer_divide & 3) | (lapic->timer_divide >> 1 & 4);

    return code == 7 ? 1 : (uint64_t)2 << code;
}

static uint64_t tick_at(uint64_t cycle)
{
    return clock_ticks(cycle, LAPIC_CRYSTAL_HZ);
}

static uint32_t count_at(const struct lapic *lapic, uint64_t tick)
{
    uint64_t elapsed = (tick - lapic->timer_start_tick) / divisor(lapic);

    if (elapsed < lapic->timer_count)
        return lapic->timer_count - (uint32_t)elapsed;
    if (lapic->timer_count == 0 || !is_periodic(lapic))
        return 0;
    return lapic->timer_initial - (uint32_t)((elapsed - lapic->timer_count) % lapic->timer_initial);
}

uint32_t lapic_timer_current_count(const struct lapic *lapic)
{
    return is_tsc_deadline(lapic) ? 0 : count_at(lapic, tick_at(lapic->board->clock.now_cycles));
}

/* The first cycle behind this one at which the counter expires. */
static uint64_t next_expiry(const struct lapic *lapic, uint64_t cycle)
{
    uint64_t elapsed = (tick_at(cycle) - lapic->timer_start_tick) / divisor(lapic);
    uint64_t counts = lapic->timer_count;

    if (counts == 0)
        return CLOCK_NEVER;
    if (elapsed >= counts) {
        if (!is_periodic(lapic))
            return CLOCK_NEVER;
        counts += ((elapsed - counts) / lapic->timer_initial + 1) * lapic->timer_initial;
    }
    return clock_cycle_of_tick(lapic->timer_start_tick + counts * divisor(lapic), LAPIC_CRYSTAL_HZ);
}

static uint64_t next_tsc_deadline(const struct lapic *lapic, uint64_t cycle)
{
    uint64_t tsc = cycle + lapic->tsc_offset;

    if (lapic->tsc_deadline == 0)
        return CLOCK_NEVER;
    if (lapic->tsc_deadline <= tsc)
        return cycle + 1;
    uint64_t distance = lapic->tsc_deadline - tsc;
    return distance > CLOCK_NEVER - cycle ? CLOCK_NEVER : cycle + distance;
}

static uint64_t next_deadline(const struct lapic *lapic, uint64_t cycle)
{
    /* A TSC deadline disarms itself when it passes, be it masked or not. */
    if (is_tsc_deadline(lapic))
        return next_tsc_deadline(lapic, cycle);
    return lapic->lvt[LVT_TIMER] & LVT_MASKED ? CLOCK_NEVER : next_expiry(lapic, cycle);
}

static void arm(struct lapic *lapic)
{
    struct clock *clock = &lapic->board->clock;
    uint64_t deadline = next_deadline(lapic, clock->now_cycles);

    if (deadline != lapic->deadline_cycles)
        clock_arm(clock, &lapic->deadline_cycles, deadline);
}

void lapic_timer_fire(void *context, uint64_t due_cycle)
{
    struct lapic *lapic = context;

    if (is_tsc_deadline(lapic))
        lapic->tsc_deadline = 0;
    lapic->deadline_cycles = next_deadline(lapic, due_cycle);
    lapic_raise_lvt(lapic, LVT_TIMER);
}

void lapic_timer_write_initial_count(struct lapic *lapic, uint32_t value)
{
    if (is_tsc_deadline(lapic))
        return;
    lapic->timer_initial = value;
    lapic->timer_count = value;
    lapic->timer_start_tick = tick_at(lapic->board->clock.now_cycles);
    arm(lapic);
}

/* The count goes on from where it stands; the divider starts anew. */
void lapic_timer_write_divide(struct lapic *lapic, uint32_t value)
{
    uint64_t tick = tick_at(lapic->board->clock.now_cycles);

    lapic->timer_count = count_at(lapic, tick);
    lapic->timer_start_tick = tick;
    lapic->timer_divide = value;
    arm(lapic);
}

void lapic_timer_write_lvt(struct lapic *lapic, uint32_t value)
{
    uint32_t old = lapic->lvt[LVT_TIMER];

    if (mode_of(value) != mode_of(old)) {
        uint64_t tick = tick_at(lapic->board->clock.now_cycles);
        uint64_t phase = (tick - lapic->timer_start_tick) % divisor(lapic);

        lapic->timer_count = count_at(lapic, tick);
        lapic->timer_start_tick = tick - phase;
        /* A change from or to TSC-deadline mode disarms both timers. */
        if (mode_of(value) == TIMER_TSC_DEADLINE || mode_of(old) == TIMER_TSC_DEADLINE) {
            lapic->timer_initial = 0;
            lapic->timer_count = 0;
            lapic->tsc_deadline = 0;
        }
    }
    lapic->lvt[LVT_TIMER] = value;
    arm(lapic);
}

uint64_t lapic_tsc_deadline(const struct lapic *lapic)
{
    return lapic->tsc_deadline;
}

void lapic_set_tsc_deadline(struct lapic *lapic, uint64_t value)
{
    if (!is_tsc_deadline(lapic))
        return;
    lapic->tsc_deadline = value;
    arm(lapic);
}

void lapic_set_tsc_offset(struct lapic *lapic, uint64_t tsc_offset)
{
    lapic->tsc_offset = tsc_offset;
    if (is_tsc_deadline(lapic))
        arm(lapic);
}
