/*
 * 8254 programmable interval timer (Intel data sheet 231164).
 *
 *   40H, 41H, 42H  counters 0 to 2 (r/w)
 *   43H            control word (w): SC 7:6, RW 5:4, M 3:1, BCD 0; SC = 3 is read-back; reads float
 *
 * Nothing is counted step by step: a counter remembers what it held at one absolute tick, and all else follows from the
 * tick that the cycle counter shows. advance() brings that memory forward over loads, terminal counts and periods.
 */
#include "devices/pit8254.h"

#include <string.h>

#define CHANNEL_FIELDS(n)                                                                                              \
    FIELD(struct pit, channel[n].origin_tick), FIELD(struct pit, channel[n].strobe_tick),                              \
        FIELD(struct pit, channel[n].start_count), FIELD(struct pit, channel[n].count_register),                       \
        FIELD(struct pit, channel[n].latched_count), FIELD(struct pit, channel[n].mode),                               \
        FIELD(struct pit, channel[n].bcd), FIELD(struct pit, channel[n].access), FIELD(struct pit, channel[n].phase),  \
        FIELD(struct pit, channel[n].gate), FIELD(struct pit, channel[n].second_half),                                 \
        FIELD(struct pit, channel[n].expired), FIELD(struct pit, channel[n].null_count),                               \
        FIELD(struct pit, channel[n].write_msb), FIELD(struct pit, channel[n].read_msb),                               \
        FIELD(struct pit, channel[n].count_latched), FIELD(struct pit, channel[n].status_latched),                     \
        FIELD(struct pit, channel[n].latched_status), FIELD_CACHED(struct pit, channel[n].reserved)

const struct field pit_fields[] = {
    FIELD(struct pit, deadline_cycles),
    CHANNEL_FIELDS(0),
    CHANNEL_FIELDS(1),
    CHANNEL_FIELDS(2),
    FIELD_CACHED(struct pit, board),
    FIELD_CACHED(struct pit, irq0),
};
const unsigned pit_field_count = FIELD_COUNT(pit_fields);

/* The count that stands in the count register, 1 to 65536 (BCD: to 10000; digits above 9 are taken at their weight). */
static uint32_t programmed_count(const struct pit_channel *channel)
{
    uint32_t digits = channel->count_register;

    if (!channel->bcd)
        return digits ? digits : 0x10000;
    uint32_t count = (digits >> 12) * 1000 + (digits >> 8 & 15) * 100 + (digits >> 4 & 15) * 10 + (digits & 15);
    count %= 10000;
    return count ? count : 10000;
}

/* A count as it is read: in 16 bits, binary or BCD. */
static uint16_t encoded_count(const struct pit_channel *channel, uint32_t count)
{
    if (!channel->bcd)
        return (uint16_t)count;
    count %= 10000;
    return (uint16_t)(count / 1000 << 12 | count / 100 % 10 << 8 | count / 10 % 10 << 4 | count % 10);
}

static bool is_periodic(const struct pit_channel *channel)
{
    return channel->mode == 2 || channel->mode == 3;
}

static bool is_triggered(const struct pit_channel *channel)
{
    return channel->mode == 1 || channel->mode == 5;
}

/* Ticks from origin_tick to the next reload: a period, or in mode 3 a half of it (the high one is longer if odd). */
static uint32_t reload_ticks(const struct pit_channel *channel)
{
    if (channel->mode == 2)
        return channel->start_count;
    /* The low half of a count of 1, which the data sheet forbids, would take no time: OUT then stays high. */
    if (channel->start_count == 1)
        return 1;
    return channel->second_half ? channel->start_count / 2 : (channel->start_count + 1) / 2;
}

static void reload(struct pit_channel *channel)
{
    channel->start_count = programmed_count(channel);
    channel->null_count = false;
}

/* The load pulse at origin_tick. */
static void load(struct pit_channel *channel)
{
    reload(channel);
    channel->second_half = false;
    channel->expired = false;
    channel->phase = channel->gate || is_triggered(channel) ? PIT_COUNTING : PIT_HALTED;
}

static void advance_period(struct pit_channel *channel, uint64_t tick)
{
    for (;;) {
        uint32_t ticks = reload_ticks(channel);

        if (tick - channel->origin_tick < ticks)
            return;
        channel->origin_tick += ticks;
        reload(channel);
        channel->second_half = channel->mode == 3 && channel->start_count != 1 && !channel->second_half;
        /* From here on all periods are alike: the whole ones are skipped at once. */
        channel->origin_tick += (tick - channel->origin_tick) / channel->start_count * channel->start_count;
    }
}

/* Brings the counter to this tick: the load pulse, the terminal count, the reloads that lie behind. */
static void advance(struct pit_channel *channel, uint64_t tick)
{
    if (channel->phase == PIT_LOADING && tick >= channel->origin_tick)
        load(channel);
    if (channel->phase != PIT_COUNTING)
        return;
    if (is_periodic(channel)) {
        advance_period(channel, tick);
    } else if (!channel->expired && tick - channel->origin_tick >= channel->start_count) {
        channel->expired = true;
        channel->strobe_tick = channel->origin_tick + channel->start_count;
    }
}

/* The counting element, after advance(). One-shot modes count on below zero. */
static uint32_t counting_element(const struct pit_channel *channel, uint64_t tick)
{
    if (channel->phase != PIT_COUNTING)
        return channel->start_count;

    uint64_t elapsed = tick - channel->origin_tick;
    if (channel->mode == 2)
        return channel->start_count - (uint32_t)elapsed;
    if (channel->mode == 3)
        return (channel->start_count == 1 ? 1 : channel->start_count & ~1u) - 2 * (uint32_t)elapsed;
    if (elapsed <= channel->start_count)
        return channel->start_count - (uint32_t)elapsed;
    uint32_t modulus = channel->bcd ? 10000 : 0x10000;
    return (modulus - (uint32_t)((elapsed - channel->start_count) % modulus)) % modulus;
}

/* OUT, after advance(). */
static bool out(const struct pit_channel *channel, uint64_t tick)
{
    switch (channel->mode) {
    case 0:
        return channel->expired;
    case 1:
        return channel->expired;
    case 2: {
        bool last = channel->phase == PIT_COUNTING && counting_element(channel, tick) == 1;
        return !last || channel->start_count == 1;
    }
    case 3:
        return !(channel->phase == PIT_COUNTING && channel->second_half);
    default:
        return !(channel->expired && tick == channel->strobe_tick);
    }
}

/* The next tick after this one at which OUT changes, after advance(); CLOCK_NEVER if nothing but the guest changes it.
 */
static uint64_t next_change(const struct pit_channel *channel, uint64_t tick)
{
    if (channel->mode > 3 && channel->expired && tick <= channel->strobe_tick)
        return channel->strobe_tick + 1;
    if (channel->phase == PIT_LOADING)
        return channel->origin_tick;
    if (channel->phase != PIT_COUNTING)
        return CLOCK_NEVER;
    if (!is_periodic(channel))
        return channel->expired ? CLOCK_NEVER : channel->origin_tick + channel->start_count;
    if (channel->start_count == 1)
        return channel->null_count ? channel->origin_tick + 1 : CLOCK_NEVER;
    uint64_t end = channel->origin_tick + reload_ticks(channel);
    return channel->mode == 2 && tick < end - 1 ? end - 1 : end;
}

static uint64_t now_tick(const struct pit *pit)
{
    return clock_ticks(pit->board->clock.now_cycles, PIT_HZ);
}

/* After any change of counter 0. */
static void update_irq0(struct pit *pit, uint64_t tick)
{
    struct pit_channel *channel = &pit->channel[0];

    advance(channel, tick);
    wire_set(&pit->irq0, out(channel, tick));
    uint64_t change = next_change(channel, tick);
    clock_arm(&pit->board->clock, &pit->deadline_cycles,
              change == CLOCK_NEVER ? CLOCK_NEVER : clock_cycle_of_tick(change, PIT_HZ));
}

static void fire(void *chip, uint64_t due_cycle)
{
    struct pit *pit = chip;
    struct pit_channel *channel = &pit->channel[0];
    uint64_t tick = clock_ticks(due_cycle, PIT_HZ);

    advance(channel, tick);
    wire_set(&pit->irq0, out(channel, tick));
    uint64_t change = next_change(channel, tick);
    pit->deadline_cycles = change == CLOCK_NEVER ? CLOCK_NEVER : clock_cycle_of_tick(change, PIT_HZ);
}

/* The counting element stands still from now on, at the value it has. */
static void freeze(struct pit_channel *channel, uint64_t tick, enum pit_phase phase)
{
    channel->start_count = counting_element(channel, tick);
    channel->phase = (uint8_t)phase;
}

static void begin_loading(struct pit_channel *channel, uint64_t tick)
{
    freeze(channel, tick, PIT_LOADING);
    channel->origin_tick = tick + 1;
}

static void latch_count(struct pit_channel *channel, uint64_t tick)
{
    if (channel->count_latched)
        return;
    channel->count_latched = true;
    channel->latched_count = encoded_count(channel, counting_element(channel, tick));
}

static void latch_status(struct pit_channel *channel, uint64_t tick)
{
    if (channel->status_latched)
        return;
    channel->status_latched = true;
    channel->latched_status = (uint8_t)(out(channel, tick) << 7 | channel->null_count << 6 | channel->access << 4 |
                                        channel->mode << 1 | channel->bcd);
}

static void read_back(struct pit *pit, uint8_t command, uint64_t tick)
{
    for (unsigned i = 0; i < 3; i++) {
        struct pit_channel *channel = &pit->channel[i];

        if (!(command >> (i + 1) & 1))
            continue;
        advance(channel, tick);
        if (!(command & 0x20))
            latch_count(channel, tick);
        if (!(command & 0x10))
            latch_status(channel, tick);
    }
}

static void program(struct pit_channel *channel, uint8_t word, uint64_t tick)
{
    freeze(channel, tick, PIT_WAITING);
    channel->access = word >> 4 & 3;
    channel->mode = word >> 1 & 7;
    if (channel->mode > 5)
        channel->mode &= 3; /* bit 2 is "don't care" in modes 2 and 3 */
    channel->bcd = word & 1;
    channel->second_half = false;
    /* OUT starts low in mode 0 and high in all others; in modes 4 and 5 no strobe lies at a coming tick. */
    channel->expired = channel->mode == 1;
    channel->strobe_tick = 0;
    channel->null_count = true;
    channel->write_msb = channel->access == 2;
    channel->read_msb = channel->access == 2;
    channel->count_latched = false;
    channel->status_latched = false;
}

static void write_control(struct pit *pit, uint8_t word, uint64_t tick)
{
    unsigned select = word >> 6;

    if (select == 3) {
        read_back(pit, word, tick);
        return;
    }
    struct pit_channel *channel = &pit->channel[select];
    advance(channel, tick);
    if ((word & 0x30) == 0)
        latch_count(channel, tick);
    else
        program(channel, word, tick);
}

/* The count register is complete: modes 0 and 4 load it, 2 and 3 only if they do not count yet, 1 and 5 wait. */
static void count_written(struct pit_channel *channel, uint64_t tick)
{
    channel->null_count = true;
    if (channel->mode == 0)
        channel->expired = false;
    if (channel->mode == 0 || channel->mode == 4 || (is_periodic(channel) && channel->phase == PIT_WAITING))
        begin_loading(channel, tick);
}

static void write_count(struct pit_channel *channel, uint8_t byte, uint64_t tick)
{
    advance(channel, tick);
    if (channel->access == 3 && !channel->write_msb) {
        channel->count_register = (uint16_t)((channel->count_register & 0xFF00) | byte);
        channel->write_msb = true;
        /* In mode 0 the first byte of two stops the counting and sets OUT low. */
        if (channel->mode == 0) {
            freeze(channel, tick, PIT_WAITING);
            channel->expired = false;
        }
        return;
    }
    if (channel->access == 3) {
        channel->count_register = (uint16_t)((channel->count_register & 0x00FF) | byte << 8);
        channel->write_msb = false;
    } else {
        channel->count_register = (uint16_t)(channel->access == 2 ? byte << 8 : byte);
    }
    count_written(channel, tick);
}

static uint8_t read_count(struct pit_channel *channel, uint64_t tick)
{
    advance(channel, tick);
    if (channel->status_latched) {
        channel->status_latched = false;
        return channel->latched_status;
    }

    uint16_t count =
        channel->count_latched ? channel->latched_count : encoded_count(channel, counting_element(channel, tick));
    uint8_t byte = (uint8_t)(channel->read_msb ? count >> 8 : count);
    bool first_of_two = channel->access == 3 && !channel->read_msb;
    if (channel->access == 3)
        channel->read_msb = !channel->read_msb;
    if (!first_of_two)
        channel->count_latched = false;
    return byte;
}

static uint64_t pit_read(void *device, uint64_t offset, unsigned bytes)
{
    struct pit *pit = device;

    (void)bytes;
    return offset < 3 ? read_count(&pit->channel[offset], now_tick(pit)) : 0xFF;
}

static void pit_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct pit *pit = device;
    uint64_t tick = now_tick(pit);

    (void)bytes;
    if (offset < 3)
        write_count(&pit->channel[offset], (uint8_t)value, tick);
    else
        write_control(pit, (uint8_t)value, tick);
    update_irq0(pit, tick);
}

void pit_set_gate2(struct pit *pit, bool level)
{
    struct pit_channel *channel = &pit->channel[2];
    uint64_t tick = now_tick(pit);
    bool rises = level && !channel->gate;

    advance(channel, tick);
    channel->gate = level;
    if (is_triggered(channel)) {
        if (rises)
            begin_loading(channel, tick);
    } else if (!level && channel->phase == PIT_COUNTING) {
        freeze(channel, tick, PIT_HALTED);
    } else if (rises && channel->phase == PIT_HALTED) {
        if (is_periodic(channel)) {
            begin_loading(channel, tick);
        } else {
            channel->phase = PIT_COUNTING;
            channel->origin_tick = tick;
        }
    }
}

bool pit_out2(struct pit *pit)
{
    uint64_t tick = now_tick(pit);

    advance(&pit->channel[2], tick);
    return out(&pit->channel[2], tick);
}

void pit_attach(struct board *board, struct pit *pit, struct wire irq0)
{
    memset(pit, 0, sizeof(*pit));
    pit->deadline_cycles = CLOCK_NEVER;
    pit->board = board;
    pit->irq0 = irq0;
    for (unsigned i = 0; i < 3; i++) {
        program(&pit->channel[i], 0x36, 0);
        pit->channel[i].gate = i != 2;
    }

    struct bus_range ports = { "pit", PIT_PORT, 4, 1, pit, pit_read, pit_write };
    struct chip chip = { .part = { "pit", pit, sizeof(*pit), pit_field_count, pit_fields },
                         .ports = &ports,
                         .port_count = 1,
                         .event = { &pit->deadline_cycles, fire, pit } };
    board_attach(board, &chip);
    wire_set(&irq0, true);
}
