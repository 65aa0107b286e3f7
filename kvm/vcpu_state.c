/*
 * State between `struct cpu` and a KVM vCPU (vcpu.h), by the ioctls that hold each part of it.
 *
 * MSRs stand in one table; which of them the host's kernel holds is found out by writing each once. The others stay
 * ours: an access by the guest exits (KVM_CAP_X86_USER_SPACE_MSR) and cpu/msr.c answers.
 */
#include "kvm/vcpu.h"

#include "cpu/debug.h"
#include "cpu/flags.h"
#include "cpu/model.h"
#include "devices/lapic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

const char *const vcpu_state_lacks[] = {
    "retired",  "entropy_index", "tsc_offset", "activity",     "msr.pkrs",       "segment[SEG_FLAT].base",
    "reserved", "x87.fcs",       "x87.fds",    "x87.reserved", "reserved_state", NULL,
};

/* --- MSRs --- */

struct msr_place {
    uint32_t index;
    uint32_t offset; /* in struct cpu */
    const char *field;
};
#define PLACE(number, member) { number, offsetof(struct cpu, msr.member), "msr." #member }
/* One element of an array: the field's name is the array's. */
#define ELEMENT(number, member, i) { number, offsetof(struct cpu, msr.member[i]), "msr." #member }
static const struct msr_place msr_places[] = {
    PLACE(0xC0000081, star),
    PLACE(0xC0000082, lstar),
    PLACE(0xC0000083, cstar),
    PLACE(0xC0000084, sfmask),
    PLACE(0xC0000102, kernel_gs_base),
    PLACE(0x174, sysenter_cs),
    PLACE(0x175, sysenter_esp),
    PLACE(0x176, sysenter_eip),
    PLACE(0x277, pat),
    PLACE(0xC0000103, tsc_aux),
    PLACE(0x3B, tsc_adjust),
    PLACE(0x1A0, misc_enable),
    PLACE(0x3A, feature_control),
    PLACE(0x8B, bios_sign_id),
    PLACE(0x2FF, mtrr_def_type),
    PLACE(0x17A, mcg_status),
    PLACE(0x17B, mcg_ctl),
    PLACE(0xDA0, xss),
    PLACE(0x48, spec_ctrl),
    PLACE(0x1D9, debugctl),
    ELEMENT(0x250, mtrr_fixed, 0),
    ELEMENT(0x258, mtrr_fixed, 1),
    ELEMENT(0x259, mtrr_fixed, 2),
    ELEMENT(0x268, mtrr_fixed, 3),
    ELEMENT(0x269, mtrr_fixed, 4),
    ELEMENT(0x26A, mtrr_fixed, 5),
    ELEMENT(0x26B, mtrr_fixed, 6),
    ELEMENT(0x26C, mtrr_fixed, 7),
    ELEMENT(0x26D, mtrr_fixed, 8),
    ELEMENT(0x26E, mtrr_fixed, 9),
    ELEMENT(0x26F, mtrr_fixed, 10),
    ELEMENT(0x200, mtrr_physical, 0),
    ELEMENT(0x201, mtrr_physical, 1),
    ELEMENT(0x202, mtrr_physical, 2),
    ELEMENT(0x203, mtrr_physical, 3),
    ELEMENT(0x204, mtrr_physical, 4),
    ELEMENT(0x205, mtrr_physical, 5),
    ELEMENT(0x206, mtrr_physical, 6),
    ELEMENT(0x207, mtrr_physical, 7),
    ELEMENT(0x208, mtrr_physical, 8),
    ELEMENT(0x209, mtrr_physical, 9),
    ELEMENT(0x20A, mtrr_physical, 10),
    ELEMENT(0x20B, mtrr_physical, 11),
    ELEMENT(0x20C, mtrr_physical, 12),
    ELEMENT(0x20D, mtrr_physical, 13),
    ELEMENT(0x20E, mtrr_physical, 14),
    ELEMENT(0x20F, mtrr_physical, 15),
};
#define MSR_PLACES (sizeof(msr_places) / sizeof(msr_places[0]))
_Static_assert(MSR_PLACES <= VCPU_MSRS_MAX, "accepts_msr has a bit for each");

/* struct kvm_msrs, with room. */
struct msr_list {
    uint32_t nmsrs, pad;
    struct kvm_msr_entry entries[VCPU_MSRS_MAX];
};

static bool accepted(const struct vcpu *vcpu, unsigned i)
{
    return vcpu->accepts_msr[i / 8] >> (i % 8) & 1;
}

static uint64_t *msr_value(const struct cpu *cpu, unsigned i)
{
    return (uint64_t *)(void *)((char *)(uintptr_t)cpu + msr_places[i].offset);
}

/* The host's kernel holds an MSR if it takes the value and gives the same back. */
static void probe_msrs(struct vcpu *vcpu, const struct cpu *cpu)
{
    for (unsigned i = 0; i < MSR_PLACES; i++) {
        struct msr_list list = { .nmsrs = 1 };
        list.entries[0] = (struct kvm_msr_entry){ .index = msr_places[i].index, .data = *msr_value(cpu, i) };
        if (ioctl(vcpu->fd, KVM_SET_MSRS, &list) != 1)
            continue;
        list.entries[0].data = ~*msr_value(cpu, i);
        if (ioctl(vcpu->fd, KVM_GET_MSRS, &list) == 1 && list.entries[0].data == *msr_value(cpu, i))
            vcpu->accepts_msr[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    vcpu->msrs_probed = true;
}

static int load_msrs(struct vcpu *vcpu, const struct cpu *cpu)
{
    struct msr_list list = { 0 };
    if (!vcpu->msrs_probed)
        probe_msrs(vcpu, cpu);
    for (unsigned i = 0; i < MSR_PLACES; i++)
        if (accepted(vcpu, i))
            list.entries[list.nmsrs++] =
                (struct kvm_msr_entry){ .index = msr_places[i].index, .data = *msr_value(cpu, i) };
    return ioctl(vcpu->fd, KVM_SET_MSRS, &list) == (int)list.nmsrs ? 0 : -EINVAL;
}

static int store_msrs(struct vcpu *vcpu, struct cpu *cpu)
{
    struct msr_list list = { 0 };
    unsigned next = 0;
    for (unsigned i = 0; i < MSR_PLACES; i++)
        if (accepted(vcpu, i))
            list.entries[list.nmsrs++].index = msr_places[i].index;
    if (ioctl(vcpu->fd, KVM_GET_MSRS, &list) != (int)list.nmsrs)
        return -EINVAL;
    for (unsigned i = 0; i < MSR_PLACES; i++)
        if (accepted(vcpu, i))
            *msr_value(cpu, i) = list.entries[next++].data;
    return 0;
}

/* MSRs that the guest reaches without an exit. */
static const struct {
    uint32_t first, count;
    bool writes;
} native_msrs[] = {
    { 0x10, 1, false },      /* IA32_TIME_STAMP_COUNTER: a write moves our offset */
    { 0x48, 1, true },       /* IA32_SPEC_CTRL */
    { 0x174, 3, false },     /* IA32_SYSENTER_CS, ESP, EIP: KVM takes addresses that are not canonical */
    { 0xC0000080, 5, true }, /* IA32_EFER, STAR, LSTAR, CSTAR, FMASK */
    { 0xC0000100, 4, true }, /* FS.base, GS.base, KERNEL_GS_BASE, TSC_AUX */
};
#define NATIVE_RANGES (sizeof(native_msrs) / sizeof(native_msrs[0]))

void vcpu_filter_msrs(struct vcpu *vcpu)
{
    static uint8_t all = 0xFF; /* KVM only reads it */
    struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
    _Static_assert(NATIVE_RANGES <= KVM_MSR_FILTER_MAX_RANGES, "a filter has room for every range");
    for (unsigned i = 0; i < NATIVE_RANGES; i++)
        filter.ranges[i] = (struct kvm_msr_filter_range){
            .flags = KVM_MSR_FILTER_READ | (native_msrs[i].writes ? KVM_MSR_FILTER_WRITE : 0),
            .base = native_msrs[i].first,
            .nmsrs = native_msrs[i].count,
            .bitmap = &all,
        };
    if (vcpu->user_msrs)
        ioctl(vcpu->vm, KVM_X86_SET_MSR_FILTER, &filter);
}

bool vcpu_msr_exits(uint32_t index, bool writes)
{
    for (unsigned i = 0; i < NATIVE_RANGES; i++)
        if (index - native_msrs[i].first < native_msrs[i].count)
            return writes && !native_msrs[i].writes;
    return true;
}

bool vcpu_put_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    struct msr_list list = { .nmsrs = 1, .entries[0] = { .index = index, .data = value } };
    return ioctl(vcpu->fd, KVM_SET_MSRS, &list) == 1;
}

bool vcpu_holds_field(const struct vcpu *vcpu, const char *field)
{
    for (unsigned i = 0; vcpu_state_lacks[i]; i++)
        if (strcmp(vcpu_state_lacks[i], field) == 0)
            return false;
    for (unsigned i = 0; i < MSR_PLACES; i++)
        if (strcmp(msr_places[i].field, field) == 0 && !accepted(vcpu, i))
            return false;
    return true;
}

/* --- general registers --- */

void vcpu_put_regs(const struct cpu *cpu, struct kvm_regs *r)
{
    const uint64_t *g = cpu->gpr;
    *r = (struct kvm_regs){ .rax = g[RAX],
                            .rbx = g[RBX],
                            .rcx = g[RCX],
                            .rdx = g[RDX],
                            .rsi = g[RSI],
                            .rdi = g[RDI],
                            .rsp = g[RSP],
                            .rbp = g[RBP],
                            .r8 = g[R8],
                            .r9 = g[R9],
                            .r10 = g[R10],
                            .r11 = g[R11],
                            .r12 = g[R12],
                            .r13 = g[R13],
                            .r14 = g[R14],
                            .r15 = g[R15],
                            .rip = g[GPR_RIP],
                            .rflags = cpu->rflags };
}

void vcpu_take_regs(const struct kvm_regs *r, struct cpu *cpu)
{
    const uint64_t g[17] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi, r->r8,
                             r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip };
    memcpy(cpu->gpr, g, sizeof(g));
    cpu->gpr[GPR_ZERO] = 0;
    cpu->rflags = r->rflags | FLAGS_FIXED;
    flags_set_status(cpu, cpu->rflags);
}

/* --- segments and control registers --- */

static struct kvm_segment put_segment(const struct segment *s)
{
    uint32_t a = s->attributes;
    return (struct kvm_segment){ .base = s->base,
                                 .limit = s->limit,
                                 .selector = s->selector,
                                 .type = (uint8_t)SEG_TYPE(a),
                                 .present = a >> 7 & 1,
                                 .dpl = (uint8_t)SEG_DPL(a),
                                 .db = a >> 14 & 1,
                                 .s = a >> 4 & 1,
                                 .l = a >> 13 & 1,
                                 .g = a >> 15 & 1,
                                 .avl = a >> 12 & 1,
                                 .unusable = a >> 16 & 1 };
}

static struct segment take_segment(const struct kvm_segment *s)
{
    return (struct segment){ .base = s->base,
                             .limit = s->limit,
                             .selector = s->selector,
                             .attributes = (uint32_t)(s->type & 15) | (uint32_t)(s->s & 1) << 4 |
                                           (uint32_t)(s->dpl & 3) << 5 | (uint32_t)(s->present & 1) << 7 |
                                           (uint32_t)(s->avl & 1) << 12 | (uint32_t)(s->l & 1) << 13 |
                                           (uint32_t)(s->db & 1) << 14 | (uint32_t)(s->g & 1) << 15 |
                                           (uint32_t)(s->unusable & 1) << 16 };
}

#define SREGS_SEGMENTS(s) { &(s)->es, &(s)->cs, &(s)->ss, &(s)->ds, &(s)->fs, &(s)->gs }

void vcpu_put_sregs(const struct cpu *cpu, struct kvm_sregs *s)
{
    struct kvm_segment *const segments[] = SREGS_SEGMENTS(s);
    memset(s, 0, sizeof(*s));
    for (unsigned i = ES; i <= GS; i++)
        *segments[i] = put_segment(&cpu->segment[i]);
    s->ldt = put_segment(&cpu->ldtr);
    s->tr = put_segment(&cpu->tr);
    s->gdt = (struct kvm_dtable){ .base = cpu->gdtr.base, .limit = cpu->gdtr.limit };
    s->idt = (struct kvm_dtable){ .base = cpu->idtr.base, .limit = cpu->idtr.limit };
    s->cr0 = cpu->cr0;
    s->cr2 = cpu->cr2;
    s->cr3 = cpu->cr3;
    s->cr4 = cpu->cr4;
    s->efer = cpu->efer;
    s->cr8 = cpu->lapic ? lapic_cr8(cpu->lapic) : 0;
    s->apic_base = cpu->lapic ? lapic_base_msr(cpu->lapic) : LAPIC_DEFAULT_BASE | 0x900;
}

void vcpu_take_sregs(const struct kvm_sregs *s, struct cpu *cpu)
{
    const struct kvm_segment *const segments[] = SREGS_SEGMENTS(s);
    for (unsigned i = ES; i <= GS; i++)
        cpu->segment[i] = take_segment(segments[i]);
    cpu->ldtr = take_segment(&s->ldt);
    cpu->tr = take_segment(&s->tr);
    cpu->gdtr = (struct table_register){ .base = s->gdt.base, .limit = s->gdt.limit };
    cpu->idtr = (struct table_register){ .base = s->idt.base, .limit = s->idt.limit };
    cpu->cr0 = s->cr0;
    cpu->cr2 = s->cr2;
    cpu->cr3 = s->cr3;
    cpu->cr4 = s->cr4;
    cpu->efer = s->efer;
    cpu->cpl = (uint8_t)(!(s->cr0 & CR0_PE) ? 0 : cpu->rflags & FLAG_VM ? 3 : s->ss.dpl & 3);
}

static bool uses_pdptes(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LMA);
}

/* struct kvm_sregs2 begins like struct kvm_sregs; instead of the interrupt bitmap it has flags and the PDPTEs. */
static int load_sregs(struct vcpu *vcpu, const struct cpu *cpu)
{
    struct kvm_sregs s;
    struct kvm_sregs2 s2;
    vcpu_put_sregs(cpu, &s);
    if (!vcpu->has_sregs2 || !uses_pdptes(cpu->cr0, cpu->cr4, cpu->efer))
        return ioctl(vcpu->fd, KVM_SET_SREGS, &s) ? -errno : 0;
    memset(&s2, 0, sizeof(s2));
    memcpy(&s2, &s, offsetof(struct kvm_sregs2, flags));
    s2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
    memcpy(s2.pdptrs, cpu->pdpte, sizeof(s2.pdptrs));
    return ioctl(vcpu->fd, KVM_SET_SREGS2, &s2) ? -errno : 0;
}

static int store_sregs(struct vcpu *vcpu, struct cpu *cpu)
{
    struct kvm_sregs s;
    struct kvm_sregs2 s2;
    if (ioctl(vcpu->fd, KVM_GET_SREGS, &s))
        return -errno;
    vcpu_take_sregs(&s, cpu);
    if (!vcpu->has_sregs2 || !uses_pdptes(cpu->cr0, cpu->cr4, cpu->efer))
        return 0;
    if (ioctl(vcpu->fd, KVM_GET_SREGS2, &s2))
        return -errno;
    if (s2.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
        memcpy(cpu->pdpte, s2.pdptrs, sizeof(cpu->pdpte));
    return 0;
}

/* --- XSAVE area, XCR0 --- */

static int load_vectors(struct vcpu *vcpu, const struct cpu *cpu)
{
    /* the functions write through neither of these */
    struct cpu *source = (struct cpu *)(uintptr_t)cpu;
    struct xsave_registers registers = { &source->x87, source->zmm, source->opmask, &source->mxcsr, &source->pkru };
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = cpu->xcr0 } };
    uint8_t *image = calloc(1, vcpu->xsave_bytes);
    if (!image)
        return -ENOMEM;
    xsave_image_put(&vcpu->xsave, image, &registers);
    int error = ioctl(vcpu->fd, KVM_SET_XSAVE, image) ? -errno : 0;
    free(image);
    if (!error && cpu->cr4 & CR4_OSXSAVE && ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs))
        error = -errno;
    return error;
}

static int store_vectors(struct vcpu *vcpu, struct cpu *cpu)
{
    struct xsave_registers registers = { &cpu->x87, cpu->zmm, cpu->opmask, &cpu->mxcsr, &cpu->pkru };
    struct kvm_xcrs xcrs;
    uint8_t *image = calloc(1, vcpu->xsave_bytes);
    if (!image)
        return -ENOMEM;
    int error = ioctl(vcpu->fd, vcpu->xsave_bytes > 4096 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, image) ? -errno : 0;
    if (!error)
        xsave_image_get(&vcpu->xsave, image, &registers);
    free(image);
    if (error || !(cpu->cr4 & CR4_OSXSAVE))
        return error;
    if (ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs))
        return -errno;
    for (unsigned i = 0; i < xcrs.nr_xcrs; i++)
        if (xcrs.xcrs[i].xcr == 0)
            cpu->xcr0 = xcrs.xcrs[i].value;
    return 0;
}

/* --- debug registers and events --- */

static int load_debug(struct vcpu *vcpu, const struct cpu *cpu)
{
    struct kvm_debugregs d = { .dr6 = cpu->dr6, .dr7 = cpu->dr7 };
    memcpy(d.db, cpu->dr, sizeof(d.db));
    return ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d) ? -errno : 0;
}

static int store_debug(struct vcpu *vcpu, struct cpu *cpu)
{
    struct kvm_debugregs d;
    if (ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &d))
        return -errno;
    memcpy(cpu->dr, d.db, sizeof(d.db));
    cpu->dr6 = d.dr6;
    cpu->dr7 = d.dr7;
    return 0;
}

static int load_events(struct vcpu *vcpu, const struct cpu *cpu)
{
    struct kvm_vcpu_events events;
    memset(&events, 0, sizeof(events));
    events.flags = KVM_VCPUEVENT_VALID_SHADOW | (vcpu->payload ? KVM_VCPUEVENT_VALID_PAYLOAD : 0);
    events.interrupt.shadow = (uint8_t)((cpu->shadow & SHADOW_STI ? KVM_X86_SHADOW_INT_STI : 0) |
                                        (cpu->shadow & SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0));
    events.nmi.masked = cpu->nmi_blocked;
    if (cpu->pending_db & (uint8_t)~PENDING_DB_NO_STEP) {
        events.exception.pending = 1;
        events.exception.nr = VEC_DB;
        events.exception_has_payload = vcpu->payload;
        events.exception_payload = debug_pending_dr6(cpu);
    }
    return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) ? -errno : 0;
}

static int store_events(struct vcpu *vcpu, struct cpu *cpu)
{
    struct kvm_vcpu_events events;
    if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events))
        return -errno;
    cpu->shadow = (uint8_t)((events.interrupt.shadow & KVM_X86_SHADOW_INT_STI ? SHADOW_STI : 0) |
                            (events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? SHADOW_MOV_SS : 0));
    cpu->nmi_blocked = events.nmi.masked;
    cpu->pending_db = 0;
    if (events.exception.pending && events.exception.nr == VEC_DB && events.exception_has_payload)
        cpu->pending_db = (uint8_t)((events.exception_payload & DR6_B_MASK) |
                                    (events.exception_payload & DR6_BS ? PENDING_DB_STEP : 0) |
                                    (events.exception_payload & DR6_BT ? PENDING_DB_TASK : 0));
    return 0;
}

/* --- everything --- */

static int load_regs(struct vcpu *vcpu, const struct cpu *cpu)
{
    struct kvm_regs regs;
    vcpu_put_regs(cpu, &regs);
    return ioctl(vcpu->fd, KVM_SET_REGS, &regs) ? -errno : 0;
}

static int store_regs(struct vcpu *vcpu, struct cpu *cpu)
{
    struct kvm_regs regs;
    if (ioctl(vcpu->fd, KVM_GET_REGS, &regs))
        return -errno;
    vcpu_take_regs(&regs, cpu);
    return 0;
}

/* In this order: EFER.LMA and CR4 decide what is legal in the other parts, RFLAGS what CPL means. */
static const struct {
    const char *name;
    int (*load)(struct vcpu *vcpu, const struct cpu *cpu);
    int (*store)(struct vcpu *vcpu, struct cpu *cpu);
} state_parts[] = {
    { "general registers", load_regs, store_regs },
    { "segments and control registers", load_sregs, store_sregs },
    { "MSRs", load_msrs, store_msrs },
    { "XSAVE area", load_vectors, store_vectors },
    { "debug registers", load_debug, store_debug },
    { "pending events", load_events, store_events },
};

int vcpu_load(struct vcpu *vcpu, const struct cpu *cpu, const char **what)
{
    int error = 0;
    for (unsigned i = 0; i < sizeof(state_parts) / sizeof(state_parts[0]) && !error; i++) {
        error = state_parts[i].load(vcpu, cpu);
        if (error && what)
            *what = state_parts[i].name;
    }
    return error;
}

int vcpu_store(struct vcpu *vcpu, struct cpu *cpu, const char **what)
{
    int error = 0;
    for (unsigned i = 0; i < sizeof(state_parts) / sizeof(state_parts[0]) && !error; i++) {
        error = state_parts[i].store(vcpu, cpu);
        if (error && what)
            *what = state_parts[i].name;
    }
    return error;
}
