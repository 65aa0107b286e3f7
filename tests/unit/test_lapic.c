/*
 * Local APIC: priorities, TPR, EOI, pins, IPIs, errors, the timer's three modes, x2APIC and its MSRs.
 */
#include "devices/lapic_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { ID = 0x20, VER = 0x30, TPR = 0x80, PPR = 0xA0, EOI = 0xB0, LDR = 0xD0, DFR = 0xE0, SVR = 0xF0, ISR = 0x100 };
enum { TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR2 = 0x310, LVTT = 0x320, LINT0 = 0x350, LINT1 = 0x360 };
enum { LVTERR = 0x370, TMICT = 0x380, TMCCT = 0x390, DCR = 0x3E0 };

static struct board board;
static struct apic_bus bus;
static struct lapic lapics[4];
static uint8_t pic_vector;

static uint8_t inta(void *context)
{
    (void)context;
    apic_bus_set_lint(&bus, 0, false);
    return pic_vector;
}

static int setup(void **state)
{
    static const char *const names[] = { "lapic0", "lapic1", "lapic2", "lapic3" };

    (void)state;
    memset(&bus, 0, sizeof(bus));
    assert_int_equal(board_init(&board, 1 << 20, 1), 0);
    for (unsigned i = 0; i < 4; i++) {
        lapic_attach(&board, &bus, &lapics[i], names[i], i, i == 0, true);
        lapic_firmware_setup(&lapics[i]);
    }
    bus.extint_acknowledge = inta;
    board.clock.now_cycles = 12345;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&board);
    return 0;
}

static uint32_t get(unsigned offset)
{
    return (uint32_t)bus_mmio_read(&board.bus, LAPIC_DEFAULT_BASE + offset, 4);
}

static void set(unsigned offset, uint32_t value)
{
    bus_mmio_write(&board.bus, LAPIC_DEFAULT_BASE + offset, 4, value);
}

static void go_to(uint64_t cycle)
{
    while (board.clock.next_cycles <= cycle) {
        board.clock.now_cycles = board.clock.next_cycles;
        clock_fire_due(&board.clock);
    }
    board.clock.now_cycles = cycle;
}

static void send_self(uint8_t vector)
{
    set(ICR, 0x40000u | vector);
}

static void test_power_up(void **state)
{
    (void)state;
    lapic_init_reset(&lapics[0]);
    assert_int_equal(get(ID), 0);
    assert_int_equal(get(VER), 0x50014);
    assert_int_equal(get(SVR), 0xFF);
    assert_int_equal(get(DFR), 0xFFFFFFFF);
    assert_int_equal(get(LVTT), 0x10000);
    assert_int_equal(lapic_base_msr(&lapics[0]), 0xFEE00900);
    assert_int_equal(lapic_base_msr(&lapics[1]), 0xFEE00800);
    bus.current = 2;
    lapic_init_reset(&lapics[2]);
    assert_int_equal(get(ID), 2u << 24);
    set(LVTT, 0x30); /* software-disabled: stays masked */
    assert_int_equal(get(LVTT), 0x10030);
}

static void test_priorities(void **state)
{
    (void)state;
    board.attention = false;
    send_self(0x45);
    assert_true(board.attention);
    send_self(0x61);
    assert_int_equal(get(IRR + 0x20), 0x20);
    assert_int_equal(get(IRR + 0x30), 0x2);
    set(TPR, 0x60);
    assert_false(lapic_interrupt_pending(&lapics[0]));
    assert_int_equal(lapic_cr8(&lapics[0]), 6);
    lapic_set_cr8(&lapics[0], 5);
    assert_int_equal(get(TPR), 0x50);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x61);
    assert_int_equal(get(PPR), 0x60);
    assert_int_equal(get(ISR + 0x30), 0x2);
    set(TPR, 0);
    assert_false(lapic_interrupt_pending(&lapics[0]));
    board.attention = false;
    set(EOI, 0);
    assert_true(board.attention);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x45);
    send_self(0x4F); /* the same class does not interrupt */
    assert_false(lapic_interrupt_pending(&lapics[0]));
    set(EOI, 0);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x4F);
    set(EOI, 0);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0xFF); /* nothing there: the spurious vector */
    assert_int_equal(get(PPR), 0);
}

static void test_virtual_wire(void **state)
{
    (void)state;
    pic_vector = 8;
    apic_bus_set_lint(&bus, 0, true);
    assert_true(lapic_has_request(&lapics[0]));
    set(TPR, 0xF0); /* not subject to priorities */
    assert_int_equal(lapic_acknowledge(&lapics[0]), 8);
    assert_false(lapic_has_request(&lapics[0]));
    apic_bus_set_lint(&bus, 0, true);
    set(LINT0, 0x10700);
    assert_false(lapic_has_request(&lapics[0]));
    assert_true(lapic_set_base_msr(&lapics[0], 0xFEE00100)); /* disabled: LINT0 is the INTR pin */
    assert_true(lapic_has_request(&lapics[0]));
    assert_int_equal(lapic_acknowledge(&lapics[0]), 8);
    assert_int_equal(get(VER), 0xFFFFFFFF);
    apic_bus_set_lint(&bus, 1, true);
    assert_true(lapic_take_nmi(&lapics[0]));
    apic_bus_set_lint(&bus, 1, true);
    assert_false(lapic_take_nmi(&lapics[0]));
}

static void test_pins(void **state)
{
    (void)state;
    apic_bus_set_lint(&bus, 1, true);
    assert_true(lapic_take_nmi(&lapics[0]));
    set(LINT1, 0x33);
    apic_bus_set_lint(&bus, 1, false);
    apic_bus_set_lint(&bus, 1, true);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x33);
    set(EOI, 0);
    apic_bus_set_lint(&bus, 0, true);
    set(LINT0, 0x8044);
    assert_int_equal(get(LINT0), 0xC044);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x44);
    set(EOI, 0);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x44);
    apic_bus_set_lint(&bus, 0, false);
    set(EOI, 0);
    assert_false(lapic_interrupt_pending(&lapics[0]));
}

static unsigned pending_mask(void)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < 4; i++) {
        mask |= (unsigned)lapic_interrupt_pending(&lapics[i]) << i;
        while (lapic_interrupt_pending(&lapics[i])) {
            lapic_acknowledge(&lapics[i]);
            lapic_register_write(&lapics[i], EOI, 0);
        }
    }
    return mask;
}

static void test_ipi(void **state)
{
    (void)state;
    uint8_t vector;

    set(ICR2, 2u << 24);
    set(ICR, 0x50);
    assert_int_equal(pending_mask(), 1 << 2);
    set(ICR, 0x40050);
    assert_int_equal(pending_mask(), 1 << 0);
    set(ICR, 0x80050);
    assert_int_equal(pending_mask(), 15);
    set(ICR, 0xC0050);
    assert_int_equal(pending_mask(), 14);
    set(ICR2, 0xFFu << 24);
    set(ICR, 0x50);
    assert_int_equal(pending_mask(), 15);
    for (unsigned i = 0; i < 4; i++)
        lapic_register_write(&lapics[i], LDR, 1u << (24 + i));
    set(ICR2, 0x0Au << 24);
    set(ICR, 0x850);
    assert_int_equal(pending_mask(), 10);
    for (unsigned i = 0; i < 4; i++) { /* clusters 0 and 1 of two each */
        lapic_register_write(&lapics[i], DFR, 0);
        lapic_register_write(&lapics[i], LDR, (i >> 1) << 28 | 1u << (24 + (i & 1)));
    }
    set(ICR2, 0x13u << 24);
    set(ICR, 0x850);
    assert_int_equal(pending_mask(), 12);
    set(ICR2, 0xF1u << 24);
    set(ICR, 0x850);
    assert_int_equal(pending_mask(), 5);

    set(ICR2, 1u << 24);
    set(ICR, 0xC500);
    set(ICR, 0x8500); /* de-assert */
    set(ICR, 0x69A);
    assert_false(lapic_take_init(&lapics[2]));
    assert_true(lapic_take_init(&lapics[1]));
    assert_false(lapic_take_init(&lapics[1]));
    lapic_init_reset(&lapics[1]);
    assert_true(lapic_take_sipi(&lapics[1], &vector));
    assert_int_equal(vector, 0x9A);
    set(ICR, 0x400);
    assert_true(lapic_take_nmi(&lapics[1]));
}

static void test_errors(void **state)
{
    (void)state;
    set(LVTERR, 0x77);
    set(ICR, 0x4000F);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0x77);
    set(EOI, 0);
    assert_int_equal(get(ESR), 0);
    set(ESR, 0);
    assert_int_equal(get(ESR), 0x20);
    set(ESR, 0);
    assert_int_equal(get(ESR), 0);
    get(0x40);
    set(ESR, 0);
    assert_int_equal(get(ESR), 0x80);
    lapic_accept(&lapics[0], APIC_FIXED, 3, false);
    set(ESR, 0);
    assert_int_equal(get(ESR), 0x40);
    set(LVTERR, 0x02); /* its own vector is illegal: no endless chain */
    get(0x40);
    set(ESR, 0);
    assert_int_equal(get(ESR), 0xC0);
}

static void test_software_disable(void **state)
{
    (void)state;
    set(LVTT, 0x20030);
    set(SVR, 0xFF);
    assert_int_equal(get(LVTT), 0x30030);
    assert_int_equal(get(LINT0), 0x10700);
    assert_false(apic_bus_deliver(&bus, 0, false, APIC_FIXED, 0x40, false));
    assert_true(apic_bus_deliver(&bus, 0, false, APIC_NMI, 0, false));
    assert_true(lapic_take_nmi(&lapics[0]));
}

static void test_one_shot(void **state)
{
    (void)state;
    uint64_t start = clock_ticks(board.clock.now_cycles, LAPIC_CRYSTAL_HZ);

    set(DCR, 0xB);
    set(LVTT, 0xEC);
    set(TMICT, 1000);
    assert_int_equal(board.clock.next_cycles, clock_cycle_of_tick(start + 1000, LAPIC_CRYSTAL_HZ));
    go_to(clock_cycle_of_tick(start + 400, LAPIC_CRYSTAL_HZ));
    assert_int_equal(get(TMCCT), 600);
    go_to(clock_cycle_of_tick(start + 1000, LAPIC_CRYSTAL_HZ) - 1);
    assert_false(lapic_interrupt_pending(&lapics[0]));
    assert_int_equal(get(TMCCT), 1);
    go_to(board.clock.now_cycles + 1);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0xEC);
    assert_int_equal(get(TMCCT), 0);
    assert_int_equal(board.clock.next_cycles, CLOCK_NEVER);
    set(EOI, 0);
    set(TMICT, 10);
    set(TMICT, 0);
    go_to(board.clock.now_cycles + 100000);
    assert_false(lapic_interrupt_pending(&lapics[0]));
}

static void test_periodic(void **state)
{
    (void)state;
    uint64_t start = clock_ticks(board.clock.now_cycles, LAPIC_CRYSTAL_HZ);

    set(DCR, 0x3); /* by 16 */
    set(LVTT, 0x200EC);
    set(TMICT, 100);
    for (unsigned period = 1; period <= 5; period++) {
        uint64_t due = clock_cycle_of_tick(start + 1600 * period, LAPIC_CRYSTAL_HZ);
        go_to(due - 1);
        assert_int_equal(get(TMCCT), 1);
        assert_false(lapic_interrupt_pending(&lapics[0]));
        go_to(due);
        assert_int_equal(get(TMCCT), 100);
        assert_int_equal(lapic_acknowledge(&lapics[0]), 0xEC);
        set(EOI, 0);
    }
    set(LVTT, 0x300EC); /* masked: no event, but the count goes on */
    assert_int_equal(board.clock.next_cycles, CLOCK_NEVER);
    go_to(clock_cycle_of_tick(start + 1600 * 100 + 16 * 30, LAPIC_CRYSTAL_HZ));
    assert_int_equal(get(TMCCT), 70);
    set(LVTT, 0x200EC);
    assert_int_equal(board.clock.next_cycles, clock_cycle_of_tick(start + 1600 * 101, LAPIC_CRYSTAL_HZ));
    set(LVTT, 0xEC); /* to one-shot: goes on and ends */
    assert_int_equal(get(TMCCT), 70);
    go_to(clock_cycle_of_tick(start + 1600 * 101, LAPIC_CRYSTAL_HZ));
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0xEC);
    assert_int_equal(get(TMCCT), 0);
    set(LVTT, 0x200EC);
    assert_int_equal(get(TMCCT), 0);
}

static void test_tsc_deadline(void **state)
{
    (void)state;
    lapic_set_tsc_offset(&lapics[0], 1000000);
    lapic_set_tsc_deadline(&lapics[0], 5000000);
    assert_int_equal(lapic_tsc_deadline(&lapics[0]), 0); /* ignored in the other modes */
    set(LVTT, 0x400EC);
    set(TMICT, 55);
    assert_int_equal(get(TMICT), 0);
    lapic_set_tsc_deadline(&lapics[0], 5000000);
    assert_int_equal(lapic_tsc_deadline(&lapics[0]), 5000000);
    assert_int_equal(board.clock.next_cycles, 4000000);
    lapic_set_tsc_offset(&lapics[0], 2000000);
    assert_int_equal(board.clock.next_cycles, 3000000);
    go_to(3000000);
    assert_int_equal(lapic_acknowledge(&lapics[0]), 0xEC);
    assert_int_equal(lapic_tsc_deadline(&lapics[0]), 0);
    set(EOI, 0);
    lapic_set_tsc_deadline(&lapics[0], 1); /* long ago */
    assert_int_equal(board.clock.next_cycles, 3000001);
    lapic_set_tsc_deadline(&lapics[0], 0);
    assert_int_equal(board.clock.next_cycles, CLOCK_NEVER);
    lapic_set_tsc_deadline(&lapics[0], 1ull << 62);
    set(LVTT, 0xEC);
    assert_int_equal(lapic_tsc_deadline(&lapics[0]), 0);
    assert_int_equal(board.clock.next_cycles, CLOCK_NEVER);
    lapic_set_tsc_offset(&lapics[0], UINT64_MAX - 10); /* TSC below the cycle counter */
    set(LVTT, 0x400EC);
    lapic_set_tsc_deadline(&lapics[0], 3000100);
    assert_int_equal(board.clock.next_cycles, 3000111);
}

static void test_base_msr(void **state)
{
    (void)state;
    struct lapic *lapic = &lapics[0];

    assert_false(lapic_set_base_msr(lapic, 0xFEE00901));
    assert_false(lapic_set_base_msr(lapic, 0xFED00900)); /* moving is refused */
    assert_false(lapic_set_base_msr(lapic, 0xFEE00500)); /* EXTD without EN */
    assert_true(lapic_set_base_msr(lapic, 0xFEE00D00));
    assert_false(lapic_set_base_msr(lapic, 0xFEE00900)); /* from x2APIC only to disabled */
    assert_true(lapic_set_base_msr(lapic, 0xFEE00100));
    assert_false(lapic_set_base_msr(lapic, 0xFEE00D00));
    assert_true(lapic_set_base_msr(lapic, 0xFEE00900));
    lapic->has_x2apic = false;
    assert_false(lapic_set_base_msr(lapic, 0xFEE00D00));
}

static void test_x2apic(void **state)
{
    (void)state;
    struct lapic *lapic = &lapics[0];
    uint64_t value;

    lapics[3].id = 0x123;
    assert_false(lapic_x2apic_read(lapic, 0x802, &value));
    assert_true(lapic_set_base_msr(lapic, 0xFEE00D00));
    assert_true(lapic_set_base_msr(&lapics[3], 0xFEE00C00));
    assert_int_equal(get(VER), 0xFFFFFFFF);
    assert_true(lapic_x2apic_read(&lapics[3], 0x802, &value));
    assert_int_equal(value, 0x123);
    assert_true(lapic_x2apic_read(&lapics[3], 0x80D, &value));
    assert_int_equal(value, 0x120008);
    assert_false(lapic_x2apic_write(lapic, 0x802, 1));
    assert_false(lapic_x2apic_write(lapic, 0x80B, 1));
    assert_false(lapic_x2apic_read(lapic, 0x80B, &value));
    assert_false(lapic_x2apic_read(lapic, 0x80E, &value));
    assert_false(lapic_x2apic_read(lapic, 0x82F, &value));
    assert_false(lapic_x2apic_read(lapic, 0x831, &value));
    assert_false(lapic_x2apic_write(lapic, 0x808, 0x100));
    assert_false(lapic_x2apic_write(lapic, 0x839, 0));
    assert_false(lapic_x2apic_read(lapic, 0x83F, &value));
    assert_false(lapic_x2apic_read(lapic, 0x7FF, &value));
    assert_false(lapic_x2apic_read(lapic, 0x900, &value));
    assert_true(lapic_x2apic_write(lapic, 0x808, 0x20));
    assert_int_equal(lapic_cr8(lapic), 2);

    assert_true(lapic_x2apic_write(lapic, 0x83F, 0x41));
    assert_int_equal(lapic_acknowledge(lapic), 0x41);
    assert_true(lapic_x2apic_write(lapic, 0x80B, 0));
    assert_true(lapic_x2apic_write(lapic, 0x830, 0x123ull << 32 | 0x52));
    assert_int_equal(pending_mask(), 8);
    assert_true(lapic_x2apic_read(lapic, 0x830, &value));
    assert_int_equal(value, 0x123ull << 32 | 0x52);
    assert_true(lapic_x2apic_write(lapic, 0x830, 0x120008ull << 32 | 0x852));
    assert_int_equal(pending_mask(), 8);
    assert_true(lapic_x2apic_write(lapic, 0x830, 0xFFFFFFFFull << 32 | 0x52));
    assert_int_equal(pending_mask(), 15);
    assert_false(lapic_x2apic_write(lapic, 0x830, 0x100052));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_power_up), TEST(test_priorities),   TEST(test_virtual_wire),     TEST(test_pins),
        TEST(test_ipi),      TEST(test_errors),       TEST(test_software_disable), TEST(test_one_shot),
        TEST(test_periodic), TEST(test_tsc_deadline), TEST(test_base_msr),         TEST(test_x2apic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
