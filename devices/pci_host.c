/*
 * PCI host bridge, mechanism 1 (PCI Local Bus 3.0, section 3.2.2.3.2).
 *
 *   CF8H CONFIG_ADDRESS  enable 31, bus 23:16, device 15:11, function 10:8, register 7:2; 32-bit accesses only
 *   CF9H reset control   SYS_RST 1 (hard or soft), RST_CPU 2: its rise resets; 8-bit accesses only
 *   CFCH CONFIG_DATA     any width
 *
 * The bridge shows the identity of the generic host bridge of virtual machines: kernels know no quirk for it and bind
 * no driver to it.
 */
#include "devices/pci_host.h"

#include <string.h>

enum {
    ADDRESS_WRITABLE = 0x00FFFFFC,
    COMMAND_WRITABLE = 0x0007, /* I/O, memory, bus master */
    RESET_SYS_RST = 0x02,
    RESET_RST_CPU = 0x04,
};
#define ADDRESS_ENABLE 0x80000000u

const struct field pci_host_fields[] = {
    FIELD(struct pci_host, config_address), FIELD(struct pci_host, command),
    FIELD(struct pci_host, interrupt_line), FIELD(struct pci_host, reset_control),
    FIELD_CACHED(struct pci_host, board),
};
const unsigned pci_host_field_count = FIELD_COUNT(pci_host_fields);

/* The dword of the bridge's configuration header at a register (a multiple of 4). */
static uint32_t bridge_register(const struct pci_host *host, unsigned reg)
{
    switch (reg) {
    case 0x00:
        return 0x00081B36; /* device, vendor */
    case 0x04:
        return host->command; /* status: no capabilities, no errors */
    case 0x08:
        return 0x06000000; /* class 06 00 00, revision 0 */
    case 0x3C:
        return host->interrupt_line; /* no interrupt pin */
    default:
        return 0; /* header type 0, no BARs, no expansion ROM */
    }
}

/* True if CONFIG_ADDRESS is enabled and names the one function there is: bus 0, device 0, function 0. */
static bool bridge_selected(const struct pci_host *host)
{
    return (host->config_address & 0x80FFFF00u) == ADDRESS_ENABLE;
}

static uint64_t data_read(void *device, uint64_t offset, unsigned bytes)
{
    struct pci_host *host = (struct pci_host *)device;

    (void)bytes;
    if (!bridge_selected(host))
        return UINT64_MAX;
    return (uint64_t)bridge_register(host, host->config_address & 0xFC) >> 8 * offset;
}

static void data_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct pci_host *host = (struct pci_host *)device;
    uint32_t mask = (uint32_t)(((uint64_t)1 << 8 * bytes) - 1) << 8 * offset;
    uint32_t placed = (uint32_t)value << 8 * offset & mask;

    if (!bridge_selected(host))
        return;
    if ((host->config_address & 0xFC) == 0x04)
        host->command = (uint16_t)((host->command & ~(mask & COMMAND_WRITABLE)) | (placed & COMMAND_WRITABLE));
    else if ((host->config_address & 0xFC) == 0x3C && mask & 0xFF)
        host->interrupt_line = (uint8_t)placed;
}

static uint64_t address_read(void *device, uint64_t offset, unsigned bytes)
{
    struct pci_host *host = (struct pci_host *)device;

    if (bytes == 4)
        return host->config_address;
    if (bytes == 1 && offset == 1)
        return host->reset_control;
    return UINT64_MAX;
}

static void address_write(void *device, uint64_t offset, unsigned bytes, uint64_t value)
{
    struct pci_host *host = (struct pci_host *)device;

    if (bytes == 4) {
        host->config_address = (uint32_t)value & (ADDRESS_ENABLE | ADDRESS_WRITABLE);
    } else if (bytes == 1 && offset == 1) {
        bool rises = value & RESET_RST_CPU && !(host->reset_control & RESET_RST_CPU);

        host->reset_control = (uint8_t)value & (RESET_SYS_RST | RESET_RST_CPU);
        if (rises)
            board_request_stop(host->board, BOARD_RESET, 0);
    }
}

void pci_host_attach(struct board *board, struct pci_host *host)
{
    const struct bus_range ports[] = {
        { "pci_config_address", PCI_CONFIG_ADDRESS_PORT, 4, 4, host, address_read, address_write },
        { "pci_config_data", PCI_CONFIG_DATA_PORT, 4, 4, host, data_read, data_write },
    };
    struct chip chip = {
        .part = { "pci_host", host, sizeof(*host), pci_host_field_count, pci_host_fields },
        .ports = ports,
        .port_count = FIELD_COUNT(ports),
    };

    memset(host, 0, sizeof(*host));
    host->board = board;
    board_attach(board, &chip);
}
