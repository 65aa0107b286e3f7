/*
 * The PCI host bridge and the odd ports of a PC.
 */
#include "devices/misc_ports.h"
#include "devices/pci_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct board board;
static struct misc_ports misc;
static struct pci_host host;
static bool gate, out2;
static char debug[8];

static void gate_set(void *context, unsigned line, bool level)
{
    (void)context, (void)line;
    gate = level;
}

static bool out2_get(void *context)
{
    (void)context;
    return out2;
}

static void debug_put(void *context, uint8_t byte)
{
    (void)context;
    debug[strlen(debug)] = (char)byte;
}

static int setup(void **state)
{
    struct misc_ports_wiring wiring = { { gate_set, NULL, 0 }, out2_get, NULL, debug_put, NULL };
    (void)state;

    gate = out2 = false;
    memset(debug, 0, sizeof(debug));
    if (board_init(&board, 1 << 20, 0))
        return -1;
    misc_ports_attach(&board, &misc, &wiring);
    pci_host_attach(&board, &host);
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

static void test_pci_config(void **state)
{
    (void)state;
    out(0xCFB, 1, 1); /* the probe for mechanism 1 */
    out(0xCF8, 4, 0x80000000);
    assert_int_equal(in(0xCF8, 4), 0x80000000);
    assert_int_equal(in(0xCFC, 4), 0x00081B36);
    assert_int_equal(in(0xCFE, 2), 0x0008);
    out(0xCF8, 4, 0x80000008);
    assert_int_equal(in(0xCFC, 4), 0x06000000);
    assert_int_equal(in(0xCFF, 1), 0x06);
    out(0xCF8, 4, 0x80000004);
    out(0xCFC, 2, 0xFFFF);
    assert_int_equal(in(0xCFC, 4), 0x00000007);
    out(0xCF8, 4, 0x8000003C);
    out(0xCFC, 1, 11);
    assert_int_equal(in(0xCFC, 4), 11);
    out(0xCF8, 4, 0x80000010); /* sizing a BAR that is not there */
    out(0xCFC, 4, 0xFFFFFFFF);
    assert_int_equal(in(0xCFC, 4), 0);
    out(0xCF8, 4, 0x80000800); /* device 1 */
    assert_int_equal(in(0xCFC, 4), 0xFFFFFFFF);
    out(0xCFC, 4, 0);
    out(0xCF8, 4, 0x80000100); /* function 1 */
    assert_int_equal(in(0xCFC, 2), 0xFFFF);
    out(0xCF8, 4, 0x80010000); /* bus 1 */
    assert_int_equal(in(0xCFC, 1), 0xFF);
    out(0xCF8, 4, 0x00000000); /* disabled */
    assert_int_equal(in(0xCFC, 4), 0xFFFFFFFF);
    assert_int_equal(in(0xCF8, 1), 0xFF);
    assert_int_equal(board.request, BOARD_RUN);
}

static void test_reset_control(void **state)
{
    (void)state;
    out(0xCF8, 4, 0x80000600); /* sets no bit of CF9H */
    assert_int_equal(in(0xCF9, 1), 0);
    out(0xCF9, 1, 0x02);
    assert_int_equal(board.request, BOARD_RUN);
    assert_int_equal(in(0xCF8, 4), 0x80000600);
    out(0xCF9, 1, PCI_RESET_CONTROL_VALUE);
    assert_int_equal(board.request, BOARD_RESET);
}

static void test_port_61(void **state)
{
    (void)state;
    assert_int_equal(in(0x61, 1), 0);
    out(0x61, 1, 0xFF);
    assert_true(gate);
    assert_int_equal(in(0x61, 1), 0x0F);
    out2 = true;
    out(0x61, 1, 0x02);
    assert_false(gate);
    assert_int_equal(in(0x61, 1), 0x22);
    board.clock.now_cycles = 15085;
    assert_int_equal(in(0x61, 1), 0x32);
    board.clock.now_cycles = 2 * 15085;
    assert_int_equal(in(0x61, 1), 0x22);
}

static void test_debug_ports(void **state)
{
    (void)state;
    out(0x80, 1, 0x5A);
    assert_int_equal(in(0x80, 1), 0x5A);
    assert_int_equal(in(0xE9, 1), 0xE9);
    out(0xE9, 1, 'o');
    out(0xE9, 1, 'k');
    assert_string_equal(debug, "ok");
    out(0xF5, 1, 9);
    assert_int_equal(board.request, BOARD_RUN);
    out(0xF4, 4, 0x11223344);
    assert_int_equal(board.request, BOARD_DEBUG_EXIT);
    assert_int_equal(board.request_code, 0x44);
}

static void test_port_92(void **state)
{
    (void)state;
    assert_int_equal(in(0x92, 1), 0x02);
    out(0x92, 1, 0x00);
    assert_int_equal(in(0x92, 1), 0x02);
    assert_int_equal(board.request, BOARD_RUN);
    out(0x92, 1, 0x03);
    assert_int_equal(board.request, BOARD_RESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pci_config, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_61, setup, teardown),
        cmocka_unit_test_setup_teardown(test_debug_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_92, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
