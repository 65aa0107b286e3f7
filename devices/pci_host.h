/*
 * PCI host bridge with configuration mechanism 1 (PCI Local Bus 3.0, section 3.2.2.3.2), and the reset control
 * register.
 *
 * Bus 0 holds one function, the bridge itself; all others are absent. Port CF9H lies inside the address register's
 * four bytes and is told from it by the width of the access, so both live in this chip, as they do in chip sets.
 */
#ifndef DEVICES_PCI_HOST_H
#define DEVICES_PCI_HOST_H

#include "devices/board.h"

#define PCI_CONFIG_ADDRESS_PORT 0xCF8u
#define PCI_CONFIG_DATA_PORT    0xCFCu
#define PCI_RESET_CONTROL_PORT  0xCF9u /* the FADT's RESET_REG */
#define PCI_RESET_CONTROL_VALUE 0x06u  /* the FADT's RESET_VALUE */

struct pci_host {
    uint32_t config_address;
    uint16_t command;       /* of the bridge, 04H */
    uint8_t interrupt_line; /* of the bridge, 3CH: a scratch byte for software */
    uint8_t reset_control;  /* CF9H */

    /* wiring */
    struct board *board;
};

extern const struct field pci_host_fields[];
extern const unsigned pci_host_field_count;

void pci_host_attach(struct board *board, struct pci_host *host);

#endif
