/*
 * 8259A pair: initialization, priorities, edge and level requests, the EOI commands, spurious interrupts, polling.
 */
#include "devices/pic8259.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct board board;
static struct pic pic;
static bool intr;

static void intr_set(void *context, unsigned line, bool level)
{
    (void)context;
    (void)line;
    intr = level;
}

static uint8_t in(unsigned port)
{
    return (uint8_t)bus_port_read(&board.bus, (uint16_t)port, 1);
}

static void out(unsigned port, unsigned value)
{
    bus_port_write(&board.bus, (uint16_t)port, 1, value);
}

static void initialize(unsigned icw4)
{
    out(0x20, 0x11);
    out(0x21, 0x30);
    out(0x21, 0x04);
    out(0x21, icw4);
    out(0xA0, 0x11);
    out(0xA1, 0x38);
    out(0xA1, 0x02);
    out(0xA1, icw4);
    out(0x21, 0);
    out(0xA1, 0);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(board_init(&board, 1 << 20, 1), 0);
    pic_attach(&board, &pic, (struct wire){ intr_set, NULL, 0 });
    initialize(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static void pulse(unsigned line)
{
    pic_set_line(&pic, line, false);
    pic_set_line(&pic, line, true);
}

static void test_power_up(void **state)
{
    (void)state;
    memset(&pic, 0, sizeof(pic));
    struct board other;
    assert_int_equal(board_init(&other, 1 << 20, 1), 0);
    pic_attach(&other, &pic, (struct wire){ intr_set, NULL, 0 });
    pulse(0);
    assert_false(pic_intr(&pic));
    bus_port_write(&other.bus, 0x21, 1, 0xFE);
    assert_true(pic_intr(&pic));
    assert_int_equal(pic_acknowledge(&pic), 8);
    board_destroy(&other);
}

static void test_edge(void **state)
{
    (void)state;
    pulse(4);
    assert_true(intr);
    assert_int_equal(in(0x20), 0x10);
    assert_int_equal(pic_acknowledge(&pic), 0x34);
    assert_false(intr);
    out(0x20, 0x0B);
    assert_int_equal(in(0x20), 0x10);
    out(0x20, 0x20);
    assert_int_equal(in(0x20), 0);
    assert_false(intr); /* the line is still high: no second edge */
    out(0x21, 0x10);
    pulse(4);
    assert_false(intr);
    out(0x21, 0);
    assert_true(intr); /* the latch remembers behind the mask */
    pic_set_line(&pic, 4, false);
    assert_false(intr); /* and forgets when the line falls */
    assert_int_equal(pic_acknowledge(&pic), 0x37);
    assert_int_equal(in(0x20), 0); /* spurious: nothing in service */
}

static void test_level(void **state)
{
    (void)state;
    out(0x4D0, 0xFF);
    out(0x4D1, 0xFF);
    assert_int_equal(in(0x4D0), 0xF8);
    assert_int_equal(in(0x4D1), 0xDE);
    pic_set_line(&pic, 11, true);
    assert_int_equal(pic_acknowledge(&pic), 0x3B);
    assert_false(intr);
    out(0xA0, 0x20);
    out(0x20, 0x20);
    assert_true(intr); /* still asserted */
    pic_set_line(&pic, 11, false);
    assert_false(intr);
}

static void test_priorities(void **state)
{
    (void)state;
    pulse(12);
    assert_int_equal(pic_acknowledge(&pic), 0x3C);
    pulse(3);
    assert_false(intr); /* lower than the cascade in service */
    pulse(1);
    assert_int_equal(pic_acknowledge(&pic), 0x31);
    pulse(8);
    out(0x20, 0x61);    /* specific EOI */
    assert_false(intr); /* the master blocks the cascade while it is in service */
    out(0x20, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x38);
    out(0xA0, 0x20);
    out(0x20, 0x20);
    out(0xA0, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x33);
}

static void test_special_fully_nested(void **state)
{
    (void)state;
    initialize(0x11);
    pulse(12);
    assert_int_equal(pic_acknowledge(&pic), 0x3C);
    pulse(13);
    assert_false(intr);
    pulse(8);
    assert_true(intr);
    assert_int_equal(pic_acknowledge(&pic), 0x38);
}

static void test_slave_spurious(void **state)
{
    (void)state;
    pulse(9);
    assert_true(intr);
    pic_set_line(&pic, 9, false);
    assert_false(intr);
    assert_int_equal(pic_acknowledge(&pic), 0x37);
}

static void test_rotation(void **state)
{
    (void)state;
    pulse(3);
    assert_int_equal(pic_acknowledge(&pic), 0x33);
    out(0x20, 0xA0); /* rotate on non-specific EOI: 3 is lowest now */
    pulse(3);
    pulse(5);
    assert_int_equal(pic_acknowledge(&pic), 0x35);
    out(0x20, 0xC4); /* set priority: 5 is highest */
    pulse(4);
    assert_false(intr);
    out(0x20, 0x20);
    assert_int_equal(pic_acknowledge(&pic), 0x33);
    out(0x20, 0xE3);
    assert_int_equal(pic_acknowledge(&pic), 0x34);
}

static void test_special_mask(void **state)
{
    (void)state;
    pulse(3);
    assert_int_equal(pic_acknowledge(&pic), 0x33);
    pulse(6);
    assert_false(intr);
    out(0x21, 0x08);
    out(0x20, 0x68);
    assert_true(intr);
    assert_int_equal(pic_acknowledge(&pic), 0x36);
    out(0x20, 0x20); /* ends 6, not the masked 3 */
    out(0x20, 0x0B);
    assert_int_equal(in(0x20), 0x08);
    out(0x20, 0x48);
    pulse(6);
    assert_false(intr);
}

static void test_auto_eoi(void **state)
{
    (void)state;
    initialize(3);
    pulse(3);
    assert_int_equal(pic_acknowledge(&pic), 0x33);
    out(0x20, 0x0B);
    assert_int_equal(in(0x20), 0);
    out(0x20, 0x80);
    pulse(3);
    assert_int_equal(pic_acknowledge(&pic), 0x33);
    pulse(3);
    pulse(7);
    assert_int_equal(pic_acknowledge(&pic), 0x37);
}

static void test_poll(void **state)
{
    (void)state;
    out(0x20, 0x0C);
    assert_int_equal(in(0x20), 0);
    pulse(5);
    out(0x20, 0x0C);
    assert_int_equal(in(0x20), 0x85);
    out(0x20, 0x0B);
    assert_int_equal(in(0x20), 0x20);
}

static void test_initialization_clears(void **state)
{
    (void)state;
    pulse(5);
    pulse(6);
    assert_int_equal(pic_acknowledge(&pic), 0x35);
    out(0x20, 0x11);
    assert_false(intr);
    out(0x21, 0x47);
    out(0x21, 0x04);
    out(0x21, 0x01);
    assert_false(intr);
    assert_int_equal(in(0x21), 0);
    pulse(1);
    assert_int_equal(pic_acknowledge(&pic), 0x41);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_power_up),
        TEST(test_edge),
        TEST(test_level),
        TEST(test_priorities),
        TEST(test_special_fully_nested),
        TEST(test_slave_spurious),
        TEST(test_rotation),
        TEST(test_special_mask),
        TEST(test_auto_eoi),
        TEST(test_poll),
        TEST(test_initialization_clears),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
