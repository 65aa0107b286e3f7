/*
 * The 16550A: the probe of a PC driver, transmit and receive interrupts, trigger levels, timeout, overrun, loopback.
 */
#include "devices/uart16550.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define BASE 0x3F8

struct fixture {
    struct board board;
    struct uart16550 uart;
    bool irq;
    unsigned edges;
    char sent[64];
    unsigned sent_count;
};

static void irq_set(void *context, unsigned line, bool level)
{
    struct fixture *f = context;

    assert_int_equal(line, 4);
    f->edges += level && !f->irq;
    f->irq = level;
}

static void transmit(void *context, uint8_t byte)
{
    struct fixture *f = context;

    f->sent[f->sent_count++] = (char)byte;
}

static struct fixture fixture;

static int setup(void **state)
{
    memset(&fixture, 0, sizeof(fixture));
    if (board_init(&fixture.board, 1 << 20, 0))
        return -1;
    uart16550_attach(&fixture.board, &fixture.uart, "uart0", BASE, (struct wire){ irq_set, &fixture, 4 }, transmit,
                     &fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    board_destroy(&fixture.board);
    return 0;
}

static unsigned in(unsigned offset)
{
    return (unsigned)bus_port_read(&fixture.board.bus, (uint16_t)(BASE + offset), 1);
}

static void out(unsigned offset, unsigned value)
{
    bus_port_write(&fixture.board.bus, (uint16_t)(BASE + offset), 1, value);
}

static void advance(uint64_t cycles)
{
    fixture.board.clock.now_cycles += cycles;
    clock_fire_due(&fixture.board.clock);
}

static void test_probe(void **state)
{
    (void)state;
    out(1, 0);
    assert_int_equal(in(1), 0);
    out(1, 0xFF);
    assert_int_equal(in(1), 0x0F);
    out(1, 0);
    out(4, 0x1A); /* loopback, OUT2, RTS */
    assert_int_equal(in(6) & 0xF0, 0x90);
    out(4, 0x08);
    assert_int_equal(in(6) & 0xF0, 0xB0);
    assert_int_equal(in(2), 0x01);
    out(2, 0x01);
    assert_int_equal(in(2), 0xC1);
    out(2, 0x21); /* no 64-byte FIFO of a 16750 */
    assert_int_equal(in(2) & 0x20, 0);
    out(2, 0);
    assert_int_equal(in(2), 0x01);
    out(7, 0xA5);
    assert_int_equal(in(7), 0xA5);
    out(3, 0x83);
    out(0, 0x01);
    out(1, 0x02);
    assert_int_equal(in(0), 0x01);
    assert_int_equal(in(1), 0x02);
    out(3, 0x03);
    assert_int_equal(in(1), 0);
    assert_int_equal(in(5), 0x60);
    assert_int_equal(fixture.sent_count, 0);
}

static void test_transmit_interrupt(void **state)
{
    (void)state;
    out(3, 0x03);
    out(1, 0x02);
    assert_false(fixture.irq); /* OUT2 gates */
    out(4, 0x0B);
    assert_true(fixture.irq);
    assert_int_equal(in(2), 0x02);
    assert_false(fixture.irq);
    assert_int_equal(in(2), 0x01);
    out(1, 0x02); /* no new edge of the enable bit */
    assert_false(fixture.irq);
    out(1, 0);
    out(1, 0x02);
    assert_true(fixture.irq);
    unsigned edges = fixture.edges;
    out(0, 'h');
    out(0, 'i');
    assert_int_equal(fixture.edges, edges + 2);
    assert_true(fixture.irq);
    assert_memory_equal(fixture.sent, "hi", 2);
    out(1, 0);
    assert_false(fixture.irq);
}

static void test_receive_fifo(void **state)
{
    (void)state;
    out(3, 0x83);
    out(0, 1);
    out(3, 0x03);
    out(2, 0x81); /* FIFO, trigger level 8 */
    out(4, 0x08);
    out(1, 0x05);
    for (unsigned i = 0; i < 7; i++)
        uart_receive(&fixture.uart, (uint8_t)('a' + i));
    assert_false(fixture.irq);
    uart_receive(&fixture.uart, 'h');
    assert_true(fixture.irq);
    assert_int_equal(in(2), 0xC4);
    assert_int_equal(in(0), 'a');
    assert_false(fixture.irq);

    /* 4 characters of 10 bits at 115200 baud: 40 / 115200 s = 347222.2 ns, rounded up. */
    assert_int_equal(fixture.board.clock.next_cycles, fixture.board.clock.now_cycles + 347223);
    advance(347222);
    assert_false(fixture.irq);
    advance(1);
    assert_true(fixture.irq);
    assert_int_equal(in(2), 0xCC);
    assert_int_equal(in(0), 'b');
    assert_int_equal(in(2), 0xC1);
    for (unsigned i = 2; i < 8; i++)
        assert_int_equal(in(0), 'a' + i);
    assert_int_equal(in(5), 0x60);
    assert_true(fixture.board.clock.next_cycles == CLOCK_NEVER);

    for (unsigned i = 0; i < 16; i++) {
        assert_true(uart_can_receive(&fixture.uart));
        uart_receive(&fixture.uart, (uint8_t)i);
    }
    assert_false(uart_can_receive(&fixture.uart));
    uart_receive(&fixture.uart, 0x99); /* lost */
    assert_int_equal(in(2), 0xC6);
    assert_int_equal(in(5), 0x63);
    assert_int_equal(in(5), 0x61);
    assert_int_equal(in(2), 0xC4);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(0), i);
    uart_receive(&fixture.uart, 1);
    out(2, 0x83); /* receiver reset */
    assert_int_equal(in(5), 0x60);
    assert_true(fixture.board.clock.next_cycles == CLOCK_NEVER);
}

static void test_receive_without_fifo(void **state)
{
    (void)state;
    out(3, 0x03);
    out(4, 0x08);
    out(1, 0x01);
    assert_true(uart_can_receive(&fixture.uart));
    uart_receive(&fixture.uart, 'x');
    assert_true(fixture.irq);
    assert_false(uart_can_receive(&fixture.uart));
    uart_receive(&fixture.uart, 'y'); /* overwrites */
    assert_int_equal(in(5), 0x63);
    assert_int_equal(in(0), 'y');
    assert_false(fixture.irq);
    assert_true(fixture.board.clock.next_cycles == CLOCK_NEVER);
}

static void test_loopback(void **state)
{
    (void)state;
    out(3, 0x03);
    out(2, 0x01);
    out(4, 0x1F);
    assert_false(uart_can_receive(&fixture.uart));
    uart_receive(&fixture.uart, 'z');
    assert_int_equal(in(5), 0x60);
    out(0, 0x42);
    assert_int_equal(fixture.sent_count, 0);
    assert_int_equal(in(0), 0x42);
    in(6);
    out(4, 0x1B); /* OUT1 falls: trailing edge of RI */
    assert_int_equal(in(6), 0xB4);
    out(4, 0x1F); /* a rising edge is none */
    assert_int_equal(in(6), 0xF0);
    out(1, 0x08);
    out(4, 0x08);
    assert_true(fixture.irq);
    assert_int_equal(in(2) & 0x0F, 0x00);
    in(6);
    assert_false(fixture.irq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transmit_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_fifo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_without_fifo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loopback, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
