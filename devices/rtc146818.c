/*
 * MC146818A real-time clock (data sheet: address map figure 11, registers A to D, update cycle).
 *
 *   00H seconds  02H minutes  04H hours (bit 7: PM)  06H day of week  07H day  08H month  09H year  32H century
 *   01H, 03H, 05H alarm seconds, minutes, hours; C0H-FFH match any
 *   0AH A  rate 3:0, divider 6:4 (11x: held in reset), UIP 7
 *   0BH B  24-hour 1, binary 2, UIE 4, AIE 5, PIE 6, SET 7
 *   0CH C  UF 4, AF 5, PF 6, IRQF 7; reading clears        0DH D  VRT 7
 *
 * The time registers are bytes that an update each second advances. Updates, alarms and periodic ticks are computed
 * when somebody looks (catch_up); an event exists only while one of them would raise the interrupt line, so that an
 * idle machine need not wake each second. Writing a time, odd bytes included, just writes the bytes.
 */
#include "devices/rtc146818.h"

#include <string.h>

enum {
    REG_SECONDS = 0x00,
    REG_SECONDS_ALARM = 0x01,
    REG_MINUTES = 0x02,
    REG_MINUTES_ALARM = 0x03,
    REG_HOURS = 0x04,
    REG_HOURS_ALARM = 0x05,
    REG_WEEKDAY = 0x06,
    REG_DAY = 0x07,
    REG_MONTH = 0x08,
    REG_YEAR = 0x09,
    REG_A = 0x0A,
    REG_B = 0x0B,
    REG_C = 0x0C,
    REG_D = 0x0D,

    A_UIP = 0x80,
    A_DIVIDER_RESET = 0x60,
    B_SET = 0x80,
    B_UIE = 0x10,
    B_BINARY = 0x04,
    B_24_HOURS = 0x02,
    C_UF = 0x10,
    C_AF = 0x20,
    C_PF = 0x40,
    C_IRQF = 0x80,
    C_FLAGS = C_UF | C_AF | C_PF, /* B has the enables at the same bits */
    D_VRT = 0x80,

    HOURS_PM = 0x80,
    ALARM_ANY = 0xC0,

    CRYSTAL_HZ = 32768,
    /* The update cycle takes 1984 us and UIP announces it 244 us ahead; the new time and UF come at its end. */
    UIP_CYCLES = 2228000,
    SECONDS_A_DAY = 86400,
};

const struct field rtc146818_fields[] = {
    FIELD(struct rtc146818, deadline_cycles), FIELD(struct rtc146818, next_update_cycles),
    FIELD(struct rtc146818, periodic_cycles), FIELD_ARRAY(struct rtc146818, cmos),
    FIELD(struct rtc146818, index),           FIELD_CACHED(struct rtc146818, reserved),
    FIELD_CACHED(struct rtc146818, board),    FIELD_CACHED(struct rtc146818, irq),
};
const unsigned rtc146818_field_count = FIELD_COUNT(rtc146818_fields);

/* --- calendar --- */

static unsigned from_register(const struct rtc146818 *rtc, uint8_t value)
{
    return rtc->cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

static uint8_t to_register(const struct rtc146818 *rtc, unsigned value)
{
    return (uint8_t)(rtc->cmos[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned hours_from_register(const struct rtc146818 *rtc, uint8_t value)
{
    if (rtc->cmos[REG_B] & B_24_HOURS)
        return from_register(rtc, value);
    return from_register(rtc, value & 0x7F) % 12 + (value & HOURS_PM ? 12 : 0);
}

static uint8_t hours_to_register(const struct rtc146818 *rtc, unsigned hours)
{
    if (rtc->cmos[REG_B] & B_24_HOURS)
        return to_register(rtc, hours);
    return to_register(rtc, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? HOURS_PM : 0);
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    if (month < 1 || month > 12)
        return 31; /* written so by software; the chip counts to 31 as well */
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* The seconds since midnight that the registers show; below a day unless software wrote odd bytes. */
static uint64_t seconds_of_day(const struct rtc146818 *rtc)
{
    return hours_from_register(rtc, rtc->cmos[REG_HOURS]) * 3600u + from_register(rtc, rtc->cmos[REG_MINUTES]) * 60u +
           from_register(rtc, rtc->cmos[REG_SECONDS]);
}

static void set_seconds_of_day(struct rtc146818 *rtc, unsigned seconds)
{
    rtc->cmos[REG_SECONDS] = to_register(rtc, seconds % 60);
    rtc->cmos[REG_MINUTES] = to_register(rtc, seconds / 60 % 60);
    rtc->cmos[REG_HOURS] = hours_to_register(rtc, seconds / 3600);
}

/* Moves the date on by whole days. 400 years have 146097 days, so the walk by months is bounded. */
static void advance_days(struct rtc146818 *rtc, uint64_t days)
{
    unsigned weekday = from_register(rtc, rtc->cmos[REG_WEEKDAY]);
    unsigned month = from_register(rtc, rtc->cmos[REG_MONTH]);
    unsigned year = from_register(rtc, rtc->cmos[RTC_CENTURY]) * 100 + from_register(rtc, rtc->cmos[REG_YEAR]);
    uint64_t day = from_register(rtc, rtc->cmos[REG_DAY]) + days % 146097;

    year += (unsigned)(days / 146097 % 25) * 400; /* 25 such cycles bring the four digits back to where they were */
    while (day > days_of_month(year, month)) {
        day -= days_of_month(year, month);
        year += month >= 12;
        month = month >= 12 ? 1 : month + 1;
    }
    rtc->cmos[REG_WEEKDAY] = to_register(rtc, (unsigned)((weekday + 6 + days % 7) % 7) + 1);
    rtc->cmos[REG_DAY] = to_register(rtc, (unsigned)day);
    rtc->cmos[REG_MONTH] = to_register(rtc, month);
    rtc->cmos[REG_YEAR] = to_register(rtc, year % 100);
    rtc->cmos[RTC_CENTURY] = to_register(rtc, year / 100 % 100);
}

static void advance_seconds(struct rtc146818 *rtc, uint64_t seconds)
{
    uint64_t total = seconds_of_day(rtc) + seconds;

    set_seconds_of_day(rtc, (unsigned)(total % SECONDS_A_DAY));
    if (total >= SECONDS_A_DAY)
        advance_days(rtc, total / SECONDS_A_DAY);
}

/* --- alarm --- */

static bool alarm_matches(uint8_t alarm, unsigned decoded, unsigned value)
{
    return alarm >= ALARM_ANY || decoded == value;
}

/* Seconds, 1 to 86400, until the alarm registers match the time next; 0 if they never do. */
static uint64_t seconds_to_alarm(const struct rtc146818 *rtc)
{
    const uint8_t *cmos = rtc->cmos;
    unsigned hours = hours_from_register(rtc, cmos[REG_HOURS_ALARM]);
    unsigned minutes = from_register(rtc, cmos[REG_MINUTES_ALARM]);
    unsigned seconds = from_register(rtc, cmos[REG_SECONDS_ALARM]);
    uint64_t start = seconds_of_day(rtc);
    uint64_t at = start + 1;

    while (at <= start + SECONDS_A_DAY) { /* skips whole hours and minutes that cannot match */
        if (!alarm_matches(cmos[REG_HOURS_ALARM], hours, (unsigned)(at / 3600 % 24)))
            at += 3600 - at % 3600;
        else if (!alarm_matches(cmos[REG_MINUTES_ALARM], minutes, (unsigned)(at / 60 % 60)))
            at += 60 - at % 60;
        else if (!alarm_matches(cmos[REG_SECONDS_ALARM], seconds, (unsigned)(at % 60)))
            at++;
        else
            return at - start;
    }
    return 0;
}

/* --- updates and periodic ticks --- */

static bool divider_held(const struct rtc146818 *rtc)
{
    return (rtc->cmos[REG_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

/* The period of the periodic interrupt in crystal ticks, 0 if off. Rates 1 and 2 are those of 8 and 9 (data sheet,
 * table 5). */
static unsigned periodic_ticks(const struct rtc146818 *rtc)
{
    unsigned rate = rtc->cmos[REG_A] & 15;

    if (rate == 0 || divider_held(rtc))
        return 0;
    return 1u << (rate < 3 ? rate + 6 : rate - 1);
}

/* The first periodic tick behind a cycle that is before the next update. Ticks are aligned to the second of the
 * updates. */
static uint64_t next_periodic(const struct rtc146818 *rtc, uint64_t cycle)
{
    uint64_t phase = CLOCK_HZ - 1 - (rtc->next_update_cycles - 1 - cycle) % CLOCK_HZ; /* cycles into that second */
    uint64_t period = periodic_ticks(rtc);
    uint64_t tick = (clock_ticks(phase, CRYSTAL_HZ) / period + 1) * period;

    return cycle + (clock_cycle_of_tick(tick, CRYSTAL_HZ) - phase);
}

/* Brings time, UF, AF and PF to what they are now. */
static void catch_up(struct rtc146818 *rtc)
{
    uint64_t now = rtc->board->clock.now_cycles;

    if (!divider_held(rtc) && now >= rtc->next_update_cycles) {
        uint64_t seconds = (now - rtc->next_update_cycles) / CLOCK_HZ + 1;

        rtc->next_update_cycles += seconds * CLOCK_HZ;
        if (!(rtc->cmos[REG_B] & B_SET)) { /* SET stops the updates, not the divider */
            uint64_t alarm = seconds_to_alarm(rtc);

            rtc->cmos[REG_C] |= C_UF;
            if (alarm && alarm <= seconds)
                rtc->cmos[REG_C] |= C_AF;
            advance_seconds(rtc, seconds);
        }
    }
    if (periodic_ticks(rtc) && next_periodic(rtc, rtc->periodic_cycles) <= now)
        rtc->cmos[REG_C] |= C_PF;
    rtc->periodic_cycles = now;
}

/* The cycle at which the line would rise by itself. Call after catch_up(). */
static uint64_t next_interrupt(const struct rtc146818 *rtc)
{
    uint8_t wanted = rtc->cmos[REG_B] & ~rtc->cmos[REG_C] & C_FLAGS;
    bool updates = !divider_held(rtc) && !(rtc->cmos[REG_B] & B_SET);
    uint64_t next = CLOCK_NEVER;

    if (wanted & C_UF && updates)
        next = rtc->next_update_cycles;
    if (wanted & C_AF && updates && seconds_to_alarm(rtc)) {
        uint64_t alarm = rtc->next_update_cycles + (seconds_to_alarm(rtc) - 1) * CLOCK_HZ;
        next = alarm < next ? alarm : next;
    }
    if (wanted & C_PF && periodic_ticks(rtc)) {
        uint64_t periodic = next_periodic(rtc, rtc->periodic_cycles);
        next = periodic < next ? periodic : next;
    }
    return next;
}

/* After any change: IRQF, the line, and the deadline. */
static void update(struct rtc146818 *rtc)
{
    bool requested = rtc->cmos[REG_B] & rtc->cmos[REG_C] & C_FLAGS;
    uint64_t next = next_interrupt(rtc);

    rtc->cmos[REG_C] = (uint8_t)((rtc->cmos[REG_C] & C_FLAGS) | (requested ? C_IRQF : 0));
    if (next != rtc->deadline_cycles)
        clock_arm(&rtc->board->clock, &rtc->deadline_cycles, next);
    wire_set(&rtc->irq, requested);
}

static void rtc_fire(void *chip, uint64_t due_cycle)
{
    struct rtc146818 *rtc = (struct rtc146818 *)chip;

    (void)due_cycle;
    catch_up(rtc);
    update(rtc);
}

/* --- registers --- */

static void write_a(struct rtc146818 *rtc, uint8_t value)
{
    bool was_held = divider_held(rtc);

    rtc->cmos[REG_A] = value & (uint8_t)~A_UIP;
    if (was_held && !divider_held(rtc)) /* the first update comes half a second after the divider is let go */
        rtc->next_update_cycles = rtc->board->clock.now_cycles + CLOCK_HZ / 2;
}

static bool update_in_progress(const struct rtc146818 *rtc)
{
    return !divider_held(rtc) && !(rtc->cmos[REG_B] & B_SET) &&
           rtc->next_update_cycles - rtc->board->clock.now_cycles <= UIP_CYCLES;
}

static uint64_t rtc_read(void *device, uint64_t offset, unsigned bytes)
{
    struct rtc146818 *rtc = (struct rtc146818 *)device;
    unsigned reg = rtc->index & 0x7F;
    uint8_t value;

    (void)bytes;
    if (offset == 0)
        return 0xFF; /* the index cannot be read */
    catch_up(rtc);
    update(rtc);
    value = rtc->cmos[reg];
    if (reg == REG_A && update_in_progress(rtc))
        value |= A_UIP;
    if (reg == REG_C) {
        rtc->cmos[REG_C] = 0;
        update(rtc);
    }
    return value;
}

static void rtc_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct rtc146818 *rtc = (struct rtc146818 *)device;
    unsigned reg = rtc->index & 0x7F;
    uint8_t byte = (uint8_t)value;

    (void)bytes;
    if (offset == 0) {
        rtc->index = byte;
        return;
    }
    catch_up(rtc);
    switch (reg) {
    case REG_A:
        write_a(rtc, byte);
        break;
    case REG_B:
        rtc->cmos[REG_B] = byte & B_SET ? byte & (uint8_t)~B_UIE : byte; /* SET takes UIE back */
        break;
    case REG_C:
    case REG_D:
        break;
    default:
        rtc->cmos[reg] = byte;
        break;
    }
    update(rtc);
}

void rtc146818_set_cmos(struct rtc146818 *rtc, uint8_t index, uint8_t value)
{
    if (index > REG_D && index < sizeof(rtc->cmos))
        rtc->cmos[index] = value;
}

void rtc146818_attach(struct board *board, struct rtc146818 *rtc, uint64_t start_seconds, struct wire irq)
{
    struct bus_range ports = { .base = 0x70, .length = 2, .width_max = 1, .read = rtc_read, .write = rtc_write };
    struct chip chip = {
        .part = { "rtc", rtc, sizeof(*rtc), rtc146818_field_count, rtc146818_fields },
        .ports = &ports,
        .port_count = 1,
        .event = { &rtc->deadline_cycles, rtc_fire, rtc },
    };

    memset(rtc, 0, sizeof(*rtc));
    rtc->deadline_cycles = CLOCK_NEVER;
    rtc->next_update_cycles = CLOCK_HZ;
    rtc->cmos[REG_A] = 0x26; /* 32768 Hz crystal, 1024 Hz periodic rate */
    rtc->cmos[REG_B] = B_24_HOURS;
    rtc->cmos[REG_D] = D_VRT;
    /* 1970-01-01 was a Thursday, day 5. */
    rtc->cmos[REG_WEEKDAY] = 5;
    rtc->cmos[REG_DAY] = 1;
    rtc->cmos[REG_MONTH] = 1;
    rtc->cmos[REG_YEAR] = to_register(rtc, 70);
    rtc->cmos[RTC_CENTURY] = to_register(rtc, 19);
    advance_seconds(rtc, start_seconds);
    rtc->board = board;
    rtc->irq = irq;
    board_attach(board, &chip);
}
