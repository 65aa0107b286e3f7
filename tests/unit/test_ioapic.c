/*
 * I/O APIC: registers, edge and level messages, remote IRR and EOI, delivery modes, with real local APICs behind it.
 */
#include "devices/ioapic.h"
#include "devices/lapic_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct board board;
static struct apic_bus bus;
static struct lapic lapics[3];
static struct ioapic ioapic;

static int setup(void **state)
{
    static const char *const names[] = { "lapic0", "lapic1", "lapic2" };

    (void)state;
    memset(&bus, 0, sizeof(bus));
    assert_int_equal(board_init(&board, 1 << 20, 1), 0);
    for (unsigned i = 0; i < 3; i++) {
        lapic_attach(&board, &bus, &lapics[i], names[i], i, i == 0, true);
        lapic_firmware_setup(&lapics[i]);
        lapic_register_write(&lapics[i], 0xD0, 1u << (24 + i));
    }
    ioapic_attach(&board, &bus, &ioapic, IOAPIC_DEFAULT_BASE, 5);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static uint32_t get(unsigned index)
{
    bus_mmio_write(&board.bus, IOAPIC_DEFAULT_BASE, 1, index);
    return (uint32_t)bus_mmio_read(&board.bus, IOAPIC_DEFAULT_BASE + 0x10, 4);
}

static void set(unsigned index, uint32_t value)
{
    bus_mmio_write(&board.bus, IOAPIC_DEFAULT_BASE, 4, index);
    bus_mmio_write(&board.bus, IOAPIC_DEFAULT_BASE + 0x10, 4, value);
}

static void route(unsigned line, uint32_t destination, uint32_t low)
{
    set(0x11 + 2 * line, destination << 24);
    set(0x10 + 2 * line, low);
}

static void eoi(struct lapic *lapic)
{
    lapic_register_write(lapic, 0xB0, 0);
}

static void test_registers(void **state)
{
    (void)state;
    assert_int_equal(get(0), 5u << 24);
    assert_int_equal(get(1), 0x00170020);
    assert_int_equal(get(2), 5u << 24);
    assert_int_equal(get(3), 0);
    assert_int_equal(get(0x10), 0x10000);
    assert_int_equal(get(0x3F), 0);
    assert_int_equal(get(0x40), 0);
    set(0, 0xFFFFFFFF);
    assert_int_equal(get(0), 15u << 24);
    set(0x12, 0xFFFFFFFF);
    set(0x13, 0xFFFFFFFF);
    assert_int_equal(get(0x12), 0x1AFFF);
    assert_int_equal(get(0x13), 0xFF000000);
}

static void test_edge(void **state)
{
    (void)state;
    ioapic_set_line(&ioapic, 4, true);
    route(4, 1, 0x31);
    assert_false(lapic_interrupt_pending(&lapics[1])); /* that edge came while masked */
    ioapic_set_line(&ioapic, 4, false);
    board.attention = false;
    ioapic_set_line(&ioapic, 4, true);
    assert_true(board.attention);
    assert_false(lapic_interrupt_pending(&lapics[0]));
    assert_true(lapic_interrupt_pending(&lapics[1]));
    assert_int_equal(lapic_acknowledge(&lapics[1]), 0x31);
    ioapic_set_line(&ioapic, 4, true);
    eoi(&lapics[1]);
    assert_false(lapic_interrupt_pending(&lapics[1]));
}

static void test_level(void **state)
{
    (void)state;
    ioapic_set_line(&ioapic, 9, true);
    route(9, 0, 0x8041);
    assert_int_equal(get(0x10 + 18), 0xC041);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x41);
    assert_false(lapic_interrupt_pending(&lapics[0]));
    eoi(&lapics[0]);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x41); /* still asserted */
    ioapic_set_line(&ioapic, 9, false);
    eoi(&lapics[0]);
    assert_int_equal(get(0x10 + 18), 0x8041);
    assert_false(lapic_interrupt_pending(&lapics[0]));

    ioapic_set_line(&ioapic, 9, true);
    set(0x10 + 18, 0x18041); /* masked: remote IRR stays */
    assert_int_equal(get(0x10 + 18), 0x1C041);
    set(0x10 + 18, 0x10041); /* becomes edge-triggered: it goes */
    assert_int_equal(get(0x10 + 18), 0x10041);

    set(0x10 + 18, 0x8041);
    lapic_acknowledge(&lapics[0]);
    ioapic_set_line(&ioapic, 9, false);
    bus_mmio_write(&board.bus, IOAPIC_DEFAULT_BASE + 0x40, 4, 0x41);
    assert_int_equal(get(0x10 + 18), 0x8041);
}

static void test_untaken_level(void **state)
{
    (void)state;
    lapic_register_write(&lapics[2], 0xF0, 0xFF);
    ioapic_set_line(&ioapic, 9, true);
    route(9, 2, 0x8041);
    assert_int_equal(get(0x10 + 18), 0x8041);
    lapic_register_write(&lapics[2], 0xF0, 0x1FF);
    ioapic_set_line(&ioapic, 9, true);
    assert_true(lapic_interrupt_pending(&lapics[2]));
}

static void test_destinations(void **state)
{
    (void)state;
    route(3, 0x06, 0x0855); /* logical, flat: 1 and 2 */
    ioapic_set_line(&ioapic, 3, true);
    assert_false(lapic_interrupt_pending(&lapics[0]));
    assert_int_equal(lapic_acknowledge(&lapics[1]), 0x55);
    assert_int_equal(lapic_acknowledge(&lapics[2]), 0x55);
    eoi(&lapics[1]);

    route(5, 0x07, 0x0960); /* lowest priority: 2 serves 55H, 0 has a high TPR */
    lapic_set_cr8(&lapics[0], 15);
    ioapic_set_line(&ioapic, 5, true);
    assert_true(lapic_interrupt_pending(&lapics[1]));
    assert_false(lapic_interrupt_pending(&lapics[2]));
    lapic_set_cr8(&lapics[0], 0);
    assert_false(lapic_interrupt_pending(&lapics[0]));

    route(6, 0xFF, 0x0061); /* physical broadcast */
    ioapic_set_line(&ioapic, 6, true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(lapic_acknowledge(&lapics[i]), 0x61);
}

static void test_modes(void **state)
{
    (void)state;
    uint8_t vector;

    route(7, 1, 0x0400);
    ioapic_set_line(&ioapic, 7, true);
    assert_true(lapic_take_nmi(&lapics[1]));
    assert_false(lapic_take_nmi(&lapics[1]));
    assert_false(lapic_take_nmi(&lapics[0]));
    route(8, 2, 0x8500);
    ioapic_set_line(&ioapic, 8, true);
    assert_true(lapic_take_init(&lapics[2]));
    assert_false(lapic_take_sipi(&lapics[2], &vector));
}

static uint8_t inta(void *context)
{
    ioapic_set_line(&ioapic, 0, true); /* the 8259 has another one at once */
    return *(uint8_t *)context;
}

static void test_extint(void **state)
{
    (void)state;
    uint8_t vector = 8;

    bus.extint_acknowledge = inta;
    bus.extint_context = &vector;
    route(0, 0, 0x0700);
    ioapic_set_line(&ioapic, 0, true);
    assert_true(lapic_interrupt_pending(&lapics[0]));
    assert_int_equal(lapic_acknowledge(&lapics[0]), 8);
    assert_true(lapic_interrupt_pending(&lapics[0]));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registers),    TEST(test_edge),  TEST(test_level),  TEST(test_untaken_level),
        TEST(test_destinations), TEST(test_modes), TEST(test_extint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
