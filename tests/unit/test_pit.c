/*
 * 8254: the waveforms of the data sheet, tick by tick, and counts read while they run.
 */
#include "devices/pit8254.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct board board;
static struct pit pit;
static bool irq0;
static unsigned rises;

static void irq0_set(void *context, unsigned line, bool level)
{
    (void)context;
    (void)line;
    rises += level && !irq0;
    irq0 = level;
}

static int setup(void **state)
{
    (void)state;
    irq0 = false;
    assert_int_equal(board_init(&board, 1 << 20, 1), 0);
    pit_attach(&board, &pit, (struct wire){ irq0_set, NULL, 0 });
    board.clock.now_cycles = clock_cycle_of_tick(1000, PIT_HZ);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static uint8_t in(unsigned port)
{
    return (uint8_t)bus_port_read(&board.bus, (uint16_t)port, 1);
}

static void out(unsigned port, unsigned value)
{
    bus_port_write(&board.bus, (uint16_t)port, 1, value);
}

static uint64_t tick(void)
{
    return clock_ticks(board.clock.now_cycles, PIT_HZ);
}

/* Goes to the first cycle of a tick, with the events on the way. */
static void go_to(uint64_t to)
{
    uint64_t cycle = clock_cycle_of_tick(to, PIT_HZ);

    while (board.clock.next_cycles <= cycle) {
        board.clock.now_cycles = board.clock.next_cycles;
        clock_fire_due(&board.clock);
    }
    board.clock.now_cycles = cycle;
}

static void write_count(unsigned counter, unsigned count)
{
    out(0x40 + counter, count & 0xFF);
    out(0x40 + counter, count >> 8);
}

static unsigned read_count(unsigned counter)
{
    out(0x43, counter << 6);
    unsigned low = in(0x40 + counter);
    return low | (unsigned)in(0x40 + counter) << 8;
}

/* OUT and count of counter 0 over some ticks, as "H4 H3 L2 ...", compared with the expected picture. */
static void expect_wave(const char *expected)
{
    char seen[256] = "";
    size_t length = 0;

    while (length < strlen(expected)) {
        unsigned count = read_count(0);
        length += (size_t)snprintf(seen + length, sizeof(seen) - length, "%s%c%X", length ? " " : "", irq0 ? 'H' : 'L',
                                   count);
        go_to(tick() + 1);
    }
    assert_string_equal(seen, expected);
}

static void test_mode0(void **state)
{
    (void)state;
    out(0x43, 0x30);
    assert_false(irq0);
    write_count(0, 4);
    go_to(tick() + 1);
    expect_wave("L4 L3 L2 L1 H0 HFFFF HFFFE");
    out(0x40, 3); /* the first byte stops the count and lowers OUT */
    expect_wave("LFFFD LFFFD");
    out(0x40, 0);
    go_to(tick() + 1);
    expect_wave("L3 L2 L1 H0 HFFFF");
}

static void test_mode2(void **state)
{
    (void)state;
    out(0x43, 0x34);
    assert_true(irq0);
    write_count(0, 4);
    go_to(tick() + 1);
    expect_wave("H4 H3 H2 L1 H4 H3");
    write_count(0, 3); /* takes force at the end of the period */
    expect_wave("H2 L1 H3 H2 L1 H3 H2 L1");
}

static void test_mode3(void **state)
{
    (void)state;
    out(0x43, 0x36);
    write_count(0, 6);
    go_to(tick() + 1);
    expect_wave("H6 H4 H2 L6 L4 L2 H6 H4");
    write_count(0, 5);
    expect_wave("H2 L4 L2 H4 H2 H0 L4 L2 H4 H2 H0 L4");
}

static void test_mode4(void **state)
{
    (void)state;
    out(0x43, 0x38);
    write_count(0, 3);
    go_to(tick() + 1);
    expect_wave("H3 H2 H1 L0 HFFFF HFFFE");
    write_count(0, 2);
    go_to(tick() + 1);
    expect_wave("H2 H1 L0 HFFFF");
}

static void test_gate2_modes(void **state)
{
    (void)state;
    uint64_t start;

    out(0x43, 0xB2); /* mode 1 */
    write_count(2, 3);
    go_to(tick() + 5);
    assert_true(pit_out2(&pit));
    start = tick();
    pit_set_gate2(&pit, true);
    for (unsigned i = 1; i <= 5; i++) {
        go_to(start + i);
        assert_int_equal(pit_out2(&pit), i >= 4);
    }
    pit_set_gate2(&pit, false);

    out(0x43, 0xBA); /* mode 5 */
    write_count(2, 3);
    start = tick();
    pit_set_gate2(&pit, true);
    for (unsigned i = 1; i <= 6; i++) {
        go_to(start + i);
        assert_int_equal(pit_out2(&pit), i != 4);
    }
    pit_set_gate2(&pit, false);

    out(0x43, 0xB0); /* mode 0: the gate stops the count, the full count included */
    write_count(2, 0);
    go_to(tick() + 1);
    assert_int_equal(read_count(2), 0);
    go_to(tick() + 100);
    assert_int_equal(read_count(2), 0);
    assert_false(pit_out2(&pit));
    start = tick();
    pit_set_gate2(&pit, true);
    go_to(start + 0x8000);
    assert_int_equal(read_count(2), 0x8000);
    pit_set_gate2(&pit, false);
    go_to(start + 0x9000);
    assert_int_equal(read_count(2), 0x8000);
    pit_set_gate2(&pit, true);
    go_to(start + 0x10FFF);
    assert_false(pit_out2(&pit));
    go_to(start + 0x11000);
    assert_true(pit_out2(&pit));

    out(0x43, 0xB4); /* mode 2: a rising gate starts the period anew */
    write_count(2, 10);
    go_to(tick() + 5);
    assert_int_equal(read_count(2), 6);
    pit_set_gate2(&pit, false);
    go_to(tick() + 100);
    assert_true(pit_out2(&pit));
    pit_set_gate2(&pit, true);
    go_to(tick() + 1);
    assert_int_equal(read_count(2), 10);
}

static void test_bcd(void **state)
{
    (void)state;
    out(0x43, 0x31);
    write_count(0, 0x0100);
    go_to(tick() + 2);
    assert_int_equal(read_count(0), 0x0099);
    go_to(tick() + 100);
    assert_int_equal(read_count(0), 0x9999);
    out(0x43, 0x31);
    write_count(0, 0);
    go_to(tick() + 2);
    assert_int_equal(read_count(0), 0x9999);
}

static void test_access_and_read_back(void **state)
{
    (void)state;
    out(0x43, 0x14); /* LSB only, mode 2 */
    out(0x43, 0xE2); /* status */
    assert_int_equal(in(0x40), 0x80 | 0x40 | 0x14);
    out(0x40, 200);
    go_to(tick() + 1);
    out(0x43, 0xC2); /* count and status: the status comes first, a second latch is ignored */
    go_to(tick() + 1);
    out(0x43, 0xC2);
    assert_int_equal(in(0x40), 0x80 | 0x14);
    assert_int_equal(in(0x40), 200);
    assert_int_equal(in(0x40), 199);

    out(0x43, 0x24); /* MSB only */
    out(0x40, 2);
    go_to(tick() + 2);
    assert_int_equal(in(0x40), 1);
    assert_int_equal(in(0x43), 0xFF);
}

/* A second of interrupts at the usual rates: no drift, whatever was read meanwhile. */
static void test_no_drift(void **state)
{
    (void)state;
    static const unsigned counts[] = { 4773, 11932, 1193, 2, 65536 };

    for (unsigned i = 0; i < 5; i++) {
        for (unsigned mode = 2; mode <= 3; mode++) {
            out(0x43, 0x30 | mode << 1);
            write_count(0, counts[i] & 0xFFFF);
            uint64_t start = tick() + 1;
            rises = 0;
            for (unsigned step = 1; step <= 10; step++) {
                go_to(start + 11931 * step);
                read_count(0);
            }
            assert_int_equal(rises, 119310 / counts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mode0, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode3, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode4, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gate2_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bcd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_access_and_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_drift, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
