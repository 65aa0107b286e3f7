/*
 * ACPI fixed hardware: the timer, its status bit and interrupt, the power button, S5.
 */
#include "devices/acpi_pm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct board board;
static struct acpi_pm pm;
static bool sci;

static void sci_set(void *context, unsigned line, bool level)
{
    (void)context;
    assert_int_equal(line, 9);
    sci = level;
}

static int setup(void **state)
{
    (void)state;
    sci = false;
    if (board_init(&board, 1 << 20, 0))
        return -1;
    acpi_pm_attach(&board, &pm, (struct wire){ sci_set, NULL, 9 });
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static uint64_t in(unsigned port, unsigned bytes)
{
    return bus_port_read(&board.bus, (uint16_t)port, bytes);
}

static void out(unsigned port, unsigned bytes, uint64_t value)
{
    bus_port_write(&board.bus, (uint16_t)port, bytes, value);
}

static void test_timer(void **state)
{
    (void)state;
    assert_int_equal(in(0x608, 4), 0);
    board.clock.now_cycles = CLOCK_HZ;
    assert_int_equal(in(0x608, 4), 3579545);
    assert_int_equal(in(0x609, 1), 3579545 >> 8 & 0xFF);
    board.clock.now_cycles = clock_cycle_of_tick(1ull << 32, ACPI_PM_TIMER_HZ);
    assert_int_equal(in(0x608, 4), 0);
    board.clock.now_cycles--;
    assert_int_equal(in(0x608, 4), 0xFFFFFFFF);
}

static void test_timer_status(void **state)
{
    uint64_t half = clock_cycle_of_tick(1ull << 31, ACPI_PM_TIMER_HZ);
    (void)state;

    assert_true(board.clock.next_cycles == CLOCK_NEVER);
    out(0x602, 2, 0x0001);
    assert_int_equal(board.clock.next_cycles, half);
    board.clock.now_cycles = half - 1;
    assert_int_equal(in(0x600, 2), 0);
    board.clock.now_cycles = half;
    clock_fire_due(&board.clock);
    assert_true(sci);
    assert_int_equal(in(0x600, 4), 0x00010001);
    assert_true(board.clock.next_cycles == CLOCK_NEVER);
    out(0x600, 2, 0x0001);
    assert_false(sci);
    assert_int_equal(board.clock.next_cycles, clock_cycle_of_tick(2ull << 31, ACPI_PM_TIMER_HZ));
    out(0x602, 1, 0);
    assert_true(board.clock.next_cycles == CLOCK_NEVER);
    board.clock.now_cycles = 2 * half;
    assert_int_equal(in(0x600, 1), 1); /* polled */
    assert_false(sci);
}

static void test_power(void **state)
{
    (void)state;
    assert_int_equal(in(0x604, 2), 1); /* SCI_EN */
    out(0x604, 2, 0);
    assert_int_equal(in(0x604, 2), 1);
    out(0x603, 1, 0x01); /* PWRBTN_EN by its byte */
    assert_int_equal(in(0x602, 2), 0x0100);
    acpi_pm_press_power_button(&pm);
    assert_true(sci);
    assert_int_equal(in(0x600, 2), 0x0100);
    out(0x601, 1, 0x01);
    assert_false(sci);
    out(0x602, 2, 0xFFFF);
    assert_int_equal(in(0x602, 2), 0x0721);

    out(0x604, 2, 1 << 10 | 0x2000); /* not offered */
    assert_int_equal(board.request, BOARD_RUN);
    out(0x604, 2, ACPI_SLP_TYP_S5 << 10);
    assert_int_equal(board.request, BOARD_RUN);
    assert_int_equal(in(0x604, 2), ACPI_SLP_TYP_S5 << 10 | 1);
    out(0x604, 2, ACPI_SLP_TYP_S5 << 10 | 0x2000);
    assert_int_equal(board.request, BOARD_POWER_OFF);
    assert_int_equal(in(0x604, 2) & 0x2000, 0);
}

static void test_gpe(void **state)
{
    (void)state;
    assert_int_equal(in(0x620, 4), 0);
    out(0x622, 2, 0xFFFF);
    out(0x620, 2, 0xFFFF);
    assert_int_equal(in(0x620, 4), 0xFFFF0000);
    assert_int_equal(in(0x623, 1), 0xFF);
    assert_false(sci);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gpe, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
