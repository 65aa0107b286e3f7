/*
 * The state of a local APIC, and how the machine puts it together; its use by the vCPU is in devices/lapic.h.
 */
#ifndef DEVICES_LAPIC_STATE_H
#define DEVICES_LAPIC_STATE_H

#include "devices/apic_bus.h"
#include "devices/lapic.h"

#define APIC_BASE_BSP  (1u << 8) /* IA32_APIC_BASE */
#define APIC_BASE_EXTD (1u << 10)
#define APIC_BASE_EN   (1u << 11)
#define SVR_ENABLE     (1u << 8)
#define LVT_MASKED     (1u << 16)

/* Local vector table in the order of its registers 320H to 370H. */
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic {
    uint64_t deadline_cycles;  /* of the timer; CLOCK_NEVER if it stands or is masked */
    uint64_t base_msr;         /* IA32_APIC_BASE */
    uint64_t timer_start_tick; /* absolute tick of LAPIC_CRYSTAL_HZ at which the timer held timer_count */
    uint64_t tsc_deadline;     /* IA32_TSC_DEADLINE; 0 disarmed */
    uint64_t tsc_offset;       /* as the vCPU told it */
    uint64_t icr;              /* as x2APIC has it: in xAPIC mode the destination is in bits 63:56 */
    uint32_t id;               /* 32 bits; xAPIC mode shows the low 8 */
    uint32_t tpr;
    uint32_t ldr; /* xAPIC mode; x2APIC derives it from the id */
    uint32_t dfr;
    uint32_t svr;
    uint32_t esr;         /* as it is read */
    uint32_t esr_pending; /* errors since the last write to it */
    uint32_t isr[8];
    uint32_t tmr[8];
    uint32_t irr[8];
    uint32_t lvt[LVT_COUNT];
    uint32_t timer_initial; /* TMICT */
    uint32_t timer_count;   /* 0: it stands */
    uint32_t timer_divide;  /* DCR */
    bool lint[2];           /* levels of the pins */
    bool extint_pending;    /* an ExtINT message from the I/O APIC */
    bool nmi_pending;
    bool init_pending;
    bool sipi_pending;
    uint8_t sipi_vector;
    uint8_t reserved[1];

    /* wiring */
    struct board *board;
    struct apic_bus *bus;
    uint64_t has_x2apic; /* the CPU model's */
};

extern const struct field lapic_fields[];
extern const unsigned lapic_field_count;

/*
 * Joins a local APIC to board and bus, in its power-up state. name: of the part, "lapic0"; id: the initial APIC id;
 * bootstrap: the BSP flag of IA32_APIC_BASE; has_x2apic: CPUID.1:ECX[21]. The first one brings the window at FEE00000H.
 */
void lapic_attach(struct board *board, struct apic_bus *bus, struct lapic *lapic, const char *name, uint32_t id,
                  bool bootstrap, bool has_x2apic);

/*
 * What firmware leaves behind on the bootstrap processor: enabled with spurious vector FFH, in virtual wire mode (LINT0
 * ExtINT, LINT1 NMI; MultiProcessor Specification 1.4, section 3.6.2.2). Loaders that start a kernel without firmware
 * call it.
 */
void lapic_firmware_setup(struct lapic *lapic);

/* A message from the bus that is meant for this local APIC. False if it does not take it. */
bool lapic_accept(struct lapic *lapic, enum apic_delivery_mode mode, uint8_t vector, bool level);
/* True if a message with this destination is meant for it. */
bool lapic_is_addressed(const struct lapic *lapic, uint32_t destination, bool logical);
/* The processor priority, for the arbitration of lowest-priority messages. */
uint32_t lapic_ppr(const struct lapic *lapic);
/* Level of pin LINT0 or LINT1. */
void lapic_set_lint(struct lapic *lapic, unsigned pin, bool level);

/* The register at an offset of 0 to FF0H as the window shows it; x2APIC's MSRs use the same numbers, shifted by 4. */
uint32_t lapic_register_read(struct lapic *lapic, uint32_t offset);
void lapic_register_write(struct lapic *lapic, uint32_t offset, uint32_t value);

/* All registers to their power-up values but id and IA32_APIC_BASE; requests that wait for the vCPU stay. */
void lapic_reset_registers(struct lapic *lapic);
/* The LDR of x2APIC mode: cluster and member, from the id. */
uint32_t lapic_x2apic_ldr(const struct lapic *lapic);
/* x2APIC's SELF IPI register. */
void lapic_send_self_ipi(struct lapic *lapic, uint8_t vector);
/* Puts the interrupt of an LVT entry of fixed mode into the IRR, unless it is masked. */
void lapic_raise_lvt(struct lapic *lapic, enum lapic_lvt entry);

/* lapic_timer.c: what the registers of the timer do. */
void lapic_timer_fire(void *lapic, uint64_t due_cycle);
uint32_t lapic_timer_current_count(const struct lapic *lapic);
void lapic_timer_write_initial_count(struct lapic *lapic, uint32_t value);
void lapic_timer_write_divide(struct lapic *lapic, uint32_t value);
void lapic_timer_write_lvt(struct lapic *lapic, uint32_t value);

/* apic_bus.c: the window, a range of 4 KiB, for lapic_attach. */
void apic_bus_add_window(struct board *board, struct apic_bus *bus);

#endif
