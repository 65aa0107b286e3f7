/*
 * The odd ports of a PC that belong to no chip of their own: 61H, 80H, 92H, E9H and the debug exit F4H.
 *
 * Port CF9H is in devices/pci_host.h.
 */
#ifndef DEVICES_MISC_PORTS_H
#define DEVICES_MISC_PORTS_H

#include "devices/board.h"

struct misc_ports_wiring {
    struct wire timer_gate2;     /* gate of the timer's channel 2: port 61H bit 0 */
    bool (*out2)(void *context); /* its output: port 61H bit 5; NULL reads 0 */
    void *out2_context;
    void (*debug_out)(void *context, uint8_t byte); /* port E9H; NULL drops the byte; must not call into the machine */
    void *debug_out_context;
};

struct misc_ports {
    uint8_t port_61; /* bits 3:0 */
    uint8_t port_80; /* last POST code */
    uint8_t port_92; /* bit 0 */
    uint8_t reserved[5];

    /* wiring */
    struct board *board;
    struct misc_ports_wiring wiring;
};

extern const struct field misc_ports_fields[];
extern const unsigned misc_ports_field_count;

void misc_ports_attach(struct board *board, struct misc_ports *misc, const struct misc_ports_wiring *wiring);

#endif
