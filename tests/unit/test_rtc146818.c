/*
 * The MC146818: calendar against a second implementation, formats, SET, UIP, divider reset, the three interrupts.
 */
#include "devices/rtc146818.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define SECOND CLOCK_HZ

static struct board board;
static struct rtc146818 rtc;
static bool irq;
static unsigned edges;

static void irq_set(void *context, unsigned line, bool level)
{
    (void)context;
    assert_int_equal(line, 8);
    edges += level && !irq;
    irq = level;
}

static void start(uint64_t seconds)
{
    irq = false;
    edges = 0;
    assert_int_equal(board_init(&board, 1 << 20, 0), 0);
    rtc146818_attach(&board, &rtc, seconds, (struct wire){ irq_set, NULL, 8 });
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static unsigned get(unsigned reg)
{
    bus_port_write(&board.bus, 0x70, 1, reg);
    return (unsigned)bus_port_read(&board.bus, 0x71, 1);
}

static void put(unsigned reg, unsigned value)
{
    bus_port_write(&board.bus, 0x70, 1, reg);
    bus_port_write(&board.bus, 0x71, 1, value);
}

/* Goes to a cycle event by event, as the engine does. */
static void go_to(uint64_t cycle)
{
    while (board.clock.next_cycles <= cycle) {
        board.clock.now_cycles = board.clock.next_cycles;
        clock_fire_due(&board.clock);
    }
    board.clock.now_cycles = cycle;
}

static unsigned bcd(int value)
{
    return (unsigned)(value / 10 << 4 | value % 10);
}

static void expect_time(uint64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;

    gmtime_r(&t, &tm);
    assert_int_equal(get(0), bcd(tm.tm_sec));
    assert_int_equal(get(2), bcd(tm.tm_min));
    assert_int_equal(get(4), bcd(tm.tm_hour));
    assert_int_equal(get(6), tm.tm_wday + 1);
    assert_int_equal(get(7), bcd(tm.tm_mday));
    assert_int_equal(get(8), bcd(tm.tm_mon + 1));
    assert_int_equal(get(9), bcd(tm.tm_year % 100));
    assert_int_equal(get(0x32), bcd((tm.tm_year + 1900) / 100));
}

static void test_calendar(void **state)
{
    static const uint64_t starts[] = { 0, 951782399, 951868799, 946684799, 1700000000, 4107542399, 253402300799 };
    (void)state;

    for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        start(starts[i]);
        expect_time(starts[i]);
        go_to(SECOND - 1);
        expect_time(starts[i]);
        if (starts[i] < 253402300799) { /* else the year 9999 ends */
            go_to(SECOND);
            expect_time(starts[i] + 1);
        }
        board_destroy(&board);
    }
    start(1000000000);
    uint64_t at = 0;
    for (uint64_t i = 0; i < 500; i++) {
        at += entropy_draw(3, 1, i) % 40000000; /* up to 463 days */
        if (at > UINT64_MAX / SECOND - 1)
            break;
        go_to(at * SECOND);
        expect_time(1000000000 + at);
    }
}

static void test_formats(void **state)
{
    (void)state;
    start(0);
    put(0x0A, 0x20); /* no periodic flag */
    put(0x0B, 0x82); /* SET */
    put(0x00, 0x59);
    put(0x02, 0x59);
    put(0x04, 0x23);
    put(0x06, 0x07);
    put(0x07, 0x31);
    put(0x08, 0x12);
    put(0x09, 0x99);
    put(0x32, 0x19);
    go_to(5 * SECOND + 1);
    assert_int_equal(get(0), 0x59);
    assert_int_equal(get(0x0C), 0);
    put(0x0B, 0x02);
    go_to(6 * SECOND);
    assert_int_equal(get(0), 0);
    assert_int_equal(get(4), 0);
    assert_int_equal(get(6), 1);
    assert_int_equal(get(7), 1);
    assert_int_equal(get(8), 1);
    assert_int_equal(get(9), 0);
    assert_int_equal(get(0x32), 0x20);

    put(0x0B, 0x84); /* binary, 12 hours */
    put(0x00, 59);
    put(0x02, 59);
    put(0x04, 11);
    put(0x0B, 0x04);
    go_to(7 * SECOND);
    assert_int_equal(get(4), 0x80 | 12);
    put(0x0B, 0x84);
    put(0x00, 59);
    put(0x02, 59);
    put(0x0B, 0x04);
    go_to(8 * SECOND);
    assert_int_equal(get(4), 0x80 | 1);
    put(0x0B, 0x84);
    put(0x00, 59);
    put(0x02, 59);
    put(0x04, 0x80 | 11);
    put(0x07, 31);
    put(0x08, 1);
    put(0x0B, 0x04);
    go_to(9 * SECOND);
    assert_int_equal(get(4), 12);
    assert_int_equal(get(7), 1);
    assert_int_equal(get(8), 2);
    assert_int_equal(get(0x0D), 0x80);
    put(0x0D, 0);
    assert_int_equal(get(0x0D), 0x80);
    assert_int_equal(bus_port_read(&board.bus, 0x70, 1), 0xFF);
    put(0x8F, 0xAB); /* bit 7 of the index is the NMI mask */
    assert_int_equal(get(0x0F), 0xAB);
}

static void test_update_in_progress(void **state)
{
    (void)state;
    start(100);
    go_to(SECOND - 2228001);
    assert_int_equal(get(0x0A), 0x26);
    go_to(SECOND - 2228000);
    assert_int_equal(get(0x0A), 0xA6);
    go_to(SECOND - 1);
    assert_int_equal(get(0x0A), 0xA6);
    put(0x0B, 0x82);
    assert_int_equal(get(0x0A), 0x26);
    put(0x0B, 0x02);
    go_to(SECOND);
    assert_int_equal(get(0x0A), 0x26);
    assert_int_equal(get(0), 0x41);

    put(0x0A, 0x76); /* divider held: time stands still */
    go_to(10 * SECOND);
    assert_int_equal(get(0), 0x41);
    put(0x0A, 0x26);
    go_to(10 * SECOND + SECOND / 2 - 1);
    assert_int_equal(get(0), 0x41);
    go_to(10 * SECOND + SECOND / 2);
    assert_int_equal(get(0), 0x42);
}

static void test_update_interrupt(void **state)
{
    (void)state;
    start(0);
    put(0x0A, 0x20); /* no periodic flag */
    assert_true(board.clock.next_cycles == CLOCK_NEVER);
    put(0x0B, 0x12);
    assert_int_equal(board.clock.next_cycles, SECOND);
    go_to(SECOND);
    assert_true(irq);
    assert_true(board.clock.next_cycles == CLOCK_NEVER); /* nothing more can happen before C is read */
    go_to(3 * SECOND + 5);
    assert_int_equal(get(0x0C), 0x90);
    assert_false(irq);
    assert_int_equal(get(0x0C), 0);
    assert_int_equal(board.clock.next_cycles, 4 * SECOND);
    put(0x0B, 0x92); /* SET clears UIE */
    assert_int_equal(get(0x0B), 0x82);
    assert_true(board.clock.next_cycles == CLOCK_NEVER);
    put(0x0B, 0x02);
    go_to(5 * SECOND);
    assert_int_equal(get(0x0C), 0x10); /* the flag comes without the enable, the line does not */
    assert_int_equal(edges, 1);
}

static void test_alarm(void **state)
{
    (void)state;
    start(12 * 3600 + 34 * 60 + 56);
    put(0x0A, 0x20); /* no periodic flag */
    put(0x01, 0x10);
    put(0x03, 0x35);
    put(0x05, 0x12);
    put(0x0B, 0x22);
    assert_int_equal(board.clock.next_cycles, 14 * SECOND);
    go_to(14 * SECOND);
    assert_true(irq);
    assert_int_equal(get(0x0C), 0xB0);
    assert_int_equal(board.clock.next_cycles, (14 + 86400) * SECOND);
    put(0x05, 0xFF); /* any hour */
    assert_int_equal(board.clock.next_cycles, (14 + 3600) * SECOND);
    put(0x03, 0xC0);
    assert_int_equal(board.clock.next_cycles, (14 + 60) * SECOND);
    put(0x01, 0xFF);
    assert_int_equal(board.clock.next_cycles, 15 * SECOND);
    put(0x01, 0x75); /* never */
    assert_true(board.clock.next_cycles == CLOCK_NEVER);
    put(0x01, 0x00); /* 12:36:00, 50 seconds on */
    put(0x0B, 0x02);
    go_to((14 + 49) * SECOND);
    assert_int_equal(get(0x0C), 0x10);
    go_to((14 + 50) * SECOND);
    assert_int_equal(get(0x0C), 0x30); /* polled, without an event */
}

static void test_periodic(void **state)
{
    (void)state;
    start(0);
    go_to(100);
    put(0x0B, 0x42); /* 1024 Hz */
    unsigned count = 0;
    while (board.clock.next_cycles <= 3 * SECOND) {
        uint64_t tick = ++count;
        assert_int_equal(board.clock.next_cycles, (tick * SECOND + 1023) / 1024);
        go_to(board.clock.next_cycles);
        assert_true(irq);
        assert_int_equal(get(0x0C) & 0xE0, 0xC0);
        assert_false(irq);
    }
    assert_int_equal(count, 3072);
    put(0x0A, 0x2F); /* 2 Hz */
    assert_int_equal(board.clock.next_cycles, 3 * SECOND + SECOND / 2);
    put(0x0A, 0x21); /* 256 Hz */
    assert_int_equal(board.clock.next_cycles, 3 * SECOND + SECOND / 256);
    put(0x0A, 0x23); /* 8192 Hz */
    assert_int_equal(board.clock.next_cycles, 3 * SECOND + (SECOND + 8191) / 8192);
    put(0x0A, 0x20);
    assert_true(board.clock.next_cycles == CLOCK_NEVER);
    put(0x0A, 0x2F);
    put(0x0B, 0x02);
    go_to(4 * SECOND - 1);
    assert_int_equal(get(0x0C) & 0xE0, 0x40); /* polled */
    assert_int_equal(get(0x0C), 0);
    put(0x0A, 0x7F); /* held, and let go in the first half second's phase */
    put(0x0A, 0x2F);
    put(0x0B, 0x42);
    assert_int_equal(board.clock.next_cycles, 4 * SECOND - 1 + SECOND / 2);
}

/* Odd bytes in the time registers are the guest's affair, but must do no harm. */
static void test_odd_bytes(void **state)
{
    (void)state;
    start(0);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t draw = entropy_draw(9, 1, i);
        put(draw % 12 == 11 ? 0x32 : draw % 12, draw >> 8 & 0xFF);
        go_to(board.clock.now_cycles + (draw >> 16) % (SECOND * 3));
        get(draw >> 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_calendar, teardown),
        cmocka_unit_test_teardown(test_formats, teardown),
        cmocka_unit_test_teardown(test_update_in_progress, teardown),
        cmocka_unit_test_teardown(test_update_interrupt, teardown),
        cmocka_unit_test_teardown(test_alarm, teardown),
        cmocka_unit_test_teardown(test_periodic, teardown),
        cmocka_unit_test_teardown(test_odd_bytes, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
