/*
 * The i8042: the probe of a PC driver, interrupts, A20, reset.
 */
#include "devices/i8042.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct board board;
static struct i8042 kbc;
static bool irq[16];

static void irq_set(void *context, unsigned line, bool level)
{
    (void)context;
    irq[line] = level;
}

static int setup(void **state)
{
    (void)state;
    memset(irq, 0, sizeof(irq));
    if (board_init(&board, 1 << 20, 0))
        return -1;
    i8042_attach(&board, &kbc, (struct wire){ irq_set, NULL, 1 }, (struct wire){ irq_set, NULL, 12 });
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static unsigned status(void)
{
    return (unsigned)bus_port_read(&board.bus, 0x64, 1);
}

static unsigned data(void)
{
    return (unsigned)bus_port_read(&board.bus, 0x60, 1);
}

static void command(unsigned value)
{
    bus_port_write(&board.bus, 0x64, 1, value);
}

static void parameter(unsigned value)
{
    bus_port_write(&board.bus, 0x60, 1, value);
}

static unsigned ask(unsigned value)
{
    command(value);
    assert_int_equal(status() & 0x23, 0x01);
    return data();
}

static void test_probe(void **state)
{
    (void)state;
    assert_int_equal(status(), 0x14);
    assert_int_equal(ask(0x20), 0x65);
    command(0x60);
    parameter(0x74);
    assert_int_equal(status() & 1, 0);
    assert_int_equal(ask(0x20), 0x74);
    assert_int_equal(ask(0xAA), 0x55);
    assert_int_equal(ask(0xAB), 0x00);
    assert_true(ask(0xA9) != 0 && kbc.output != 0xFA && kbc.output != 0xFF); /* no aux port */
    command(0xD3);
    parameter(0x5A);
    assert_int_equal(status() & 0x21, 0x01);
    assert_int_equal(data(), 0x5A);
    command(0xA8);
    assert_int_equal(ask(0x20) & 0x20, 0);
    command(0xA7);
    assert_int_equal(ask(0x20) & 0x20, 0x20);
    command(0xAE);
    assert_int_equal(ask(0x20) & 0x10, 0);
    command(0xAD);
    assert_int_equal(ask(0x20) & 0x10, 0x10);
    command(0xEE); /* unknown */
    assert_int_equal(status() & 1, 0);
    assert_int_equal(board.request, BOARD_RUN);
}

static void test_absent_devices(void **state)
{
    (void)state;
    parameter(0xF2); /* identify, to the keyboard */
    assert_int_equal(status() & 0x61, 0x41);
    assert_true(irq[1]);
    assert_int_equal(data(), 0xFE);
    assert_false(irq[1]);
    assert_int_equal(status() & 0x61, 0);
    command(0x60);
    parameter(0x47);
    command(0xD4);
    parameter(0xFF);
    assert_true(irq[12]);
    assert_false(irq[1]);
    assert_int_equal(status() & 0x61, 0x61);
    assert_int_equal(data(), 0xFE);
    assert_false(irq[12]);
}

static void test_a20_and_reset(void **state)
{
    (void)state;
    assert_int_equal(ask(0xD0) & 0x03, 0x03);
    command(0xD1);
    parameter(0xDD);
    assert_int_equal(ask(0xD0) & 0x03, 0x01);
    assert_int_equal(board.request, BOARD_RUN);
    command(0xFF); /* pulses nothing */
    assert_int_equal(board.request, BOARD_RUN);
    command(0xFE);
    assert_int_equal(board.request, BOARD_RESET);
    board.request = BOARD_RUN;
    command(0xD1);
    parameter(0xDE);
    assert_int_equal(board.request, BOARD_RESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_absent_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a20_and_reset, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
