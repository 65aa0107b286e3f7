/*
 * User code under RFLAGS.TF (cosim_user.h).
 *
 * KVM does not see what the host writes into page tables that it shadows, so a mapping is only ever added; to forget
 * them the guest's own memory slot is taken away and given back, which drops every shadow.
 */
#include "kvm/cosim_user.h"

#include "cpu/flags.h"
#include "kvm/vcpu_ram.h"
#include "kvm/small_guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define OWN_BYTES   (8u << 20)
#define RAM_BASE    (1ull << 38)
#define RAM_SLOT    1u
#define LIMIT_NS    2000000000ull
#define TRIES_MAX   40u /* pages that one instruction may touch, and then some */
#define PTE_PRESENT 1ull
#define PTE_LARGE   0x80ull
#define PTE_ADDRESS 0x000FFFFFFFFFF000ull
/* Of RFLAGS a program at CPL 3 decides these. */
#define USER_FLAGS ((uint64_t)FLAGS_STATUS | FLAG_DF | FLAG_ID)

/* The frame that a handler leaves on its stack. */
struct frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct cosim_user {
    struct small_guest guest;
    uint8_t *ram;
    uint64_t ram_bytes;
    struct ram layout; /* for ram_page_at() alone */
    uint64_t mark;
    uint64_t frame_at; /* physical address of the frame of the last exception */
    uint8_t image[XSAVE_IMAGE_BYTES_MAX];
    /* state at the start of the instruction, to start it anew */
    struct kvm_regs regs;
    uint64_t fs_base, gs_base;
    uint64_t flags;  /* USER_FLAGS, and AC if CR0.AM is set: a page-table-based KVM has the host's CR0.AM */
    bool in_handler; /* the guest stands in a handler: it goes on by itself */
};

static void install_handlers(struct cosim_user *user)
{
    uint64_t at = small_guest_take(&user->guest, 1), stack = small_guest_take(&user->guest, 1);
    for (unsigned vector = 0; vector < 32; vector++) {
        bool has_error = vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
        /* [push 0]; push vector; out 55h, al; add rsp, 16; iretq */
        const uint8_t code[12] = { 0x6A, 0x00, 0x6A, (uint8_t)vector, 0xE6, 0x55, 0x48, 0x83, 0xC4, 0x10, 0x48, 0xCF };
        memcpy(small_guest_at(&user->guest, at + 16 * vector), code + (has_error ? 2 : 0), has_error ? 10u : 12u);
        small_guest_gate(&user->guest, vector, SMALL_GUEST_KERNEL + at + 16 * vector,
                         vector == VEC_BP || vector == VEC_OF ? 3 : 0);
    }
    small_guest_stack(&user->guest, SMALL_GUEST_KERNEL + stack + 4096);
    user->frame_at = stack + 4096 - sizeof(struct frame);
}

struct cosim_user *cosim_user_open(uint8_t *ram, uint64_t ram_bytes, const char **why)
{
    struct cosim_user *user = calloc(1, sizeof(*user));
    *why = "no memory";
    if (!user)
        return NULL;
    if (small_guest_open(&user->guest, OWN_BYTES, why)) {
        free(user);
        return NULL;
    }
    user->ram = ram;
    user->ram_bytes = ram_bytes;
    user->layout.size_bytes = ram_bytes;
    install_handlers(user);
    user->mark = user->guest.next_free;
    user->guest.vcpu.run->kvm_valid_regs = user->guest.vcpu.sync_regs & KVM_SYNC_X86_REGS;
    if (vcpu_ram_map(&user->guest.vcpu, RAM_SLOT, RAM_BASE, ram, ram_bytes) == 0)
        return user;
    *why = "KVM does not take the guest's RAM";
    cosim_user_close(user);
    return NULL;
}

void cosim_user_close(struct cosim_user *user)
{
    if (!user)
        return;
    small_guest_close(&user->guest);
    free(user);
}

static struct frame *frame_of(struct cosim_user *user)
{
    return (struct frame *)(void *)((uint8_t *)small_guest_at(&user->guest, user->frame_at));
}

/* Enters CPL 3 with the registers of user->regs. */
static int enter(struct cosim_user *user)
{
    struct vcpu *vcpu = &user->guest.vcpu;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
    memset(&events, 0, sizeof(events));
    small_guest_sregs(&user->guest, 3, &sregs);
    sregs.cr4 |= CR4_OSXSAVE;
    sregs.fs = (struct kvm_segment){ .base = user->fs_base, .unusable = 1 };
    sregs.gs = (struct kvm_segment){ .base = user->gs_base, .unusable = 1 };
    user->in_handler = false;
    return ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) ||
                   ioctl(vcpu->fd, KVM_SET_REGS, &user->regs)
               ? -errno
               : 0;
}

static int put_vectors(struct cosim_user *user, const struct cpu *cpu)
{
    /* nothing is written through the pointers */
    struct cpu *from = (struct cpu *)(uintptr_t)cpu;
    const struct xsave_registers registers = { &from->x87, from->zmm, from->opmask, &from->mxcsr, NULL };
    memset(user->image, 0, sizeof(user->image));
    xsave_image_put(&user->guest.vcpu.xsave, user->image, &registers);
    return ioctl(user->guest.vcpu.fd, KVM_SET_XSAVE, user->image) ? -errno : 0;
}

int cosim_user_override(struct cosim_user *user, const struct cpu *cpu)
{
    struct small_guest *guest = &user->guest;
    small_guest_forget(guest, user->mark);
    int error = vcpu_map(&guest->vcpu, 0, 0, guest->memory, 0, 0);
    if (!error)
        error = vcpu_map(&guest->vcpu, 0, 0, guest->memory, guest->memory_bytes, 0);
    vcpu_put_regs(cpu, &user->regs);
    user->flags = USER_FLAGS | (cpu->cr0 & CR0_AM ? FLAG_AC : 0);
    user->regs.rflags = (user->regs.rflags & user->flags) | FLAGS_FIXED | FLAG_TF | FLAG_IF;
    user->fs_base = cpu->segment[FS].base;
    user->gs_base = cpu->segment[GS].base;
    if (!error)
        error = put_vectors(user, cpu);
    return error ? error : enter(user);
}

/* --- pages --- */

static bool read_entry(const struct cosim_user *user, uint64_t physical, uint64_t *entry)
{
    uint64_t page = ram_page_at(&user->layout, physical);
    if (page == RAM_NO_PAGE)
        return false;
    memcpy(entry, user->ram + page * RAM_PAGE_BYTES + physical % RAM_PAGE_BYTES, 8);
    return true;
}

/* Maps the page of a linear address as the guest's own tables do, for user code or not. False: they do not map it. */
static bool map_page(struct cosim_user *user, uint64_t cr3, uint64_t linear)
{
    uint64_t table = cr3 & PTE_ADDRESS, flags = SMALL_GUEST_WRITE | SMALL_GUEST_USER, entry = 0;
    uint64_t no_execute = 0;
    unsigned shift = 39;
    if (linear >> 47)
        return false;
    for (;; shift -= 9) {
        if (!read_entry(user, table + 8 * (linear >> shift & 511), &entry) || !(entry & PTE_PRESENT))
            return false;
        flags &= entry;
        no_execute |= entry & SMALL_GUEST_NO_EXECUTE;
        table = entry & PTE_ADDRESS;
        if (shift == 12 || (shift < 39 && entry & PTE_LARGE))
            break;
    }
    uint64_t within = (1ull << shift) - 1;
    uint64_t physical = ((table & ~within) | (linear & within)) & ~4095ull;
    if (ram_page_at(&user->layout, physical) == RAM_NO_PAGE)
        return false;
    return small_guest_map(&user->guest, linear & ~4095ull, RAM_BASE + physical, flags | no_execute);
}

static bool is_mapped(struct cosim_user *user, uint64_t linear)
{
    return small_guest_maps(&user->guest, linear);
}

/* --- steps --- */

static struct cosim_step skipped(const char *reason)
{
    return (struct cosim_step){ .result = COSIM_SKIPPED, .reason = reason };
}

/* What the guest stands at now becomes the start of the next instruction. */
static void take_registers(struct cosim_user *user)
{
    const struct frame *frame = frame_of(user);
    struct vcpu *vcpu = &user->guest.vcpu;
    if (vcpu->run->kvm_valid_regs & KVM_SYNC_X86_REGS)
        user->regs = vcpu->run->s.regs.regs;
    else
        ioctl(vcpu->fd, KVM_GET_REGS, &user->regs);
    user->regs.rip = frame->rip;
    user->regs.rsp = frame->rsp;
    user->regs.rflags = frame->rflags;
}

struct cosim_step cosim_user_step(struct cosim_user *user, uint64_t cr3)
{
    struct vcpu *vcpu = &user->guest.vcpu;
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        int exit = vcpu_run(vcpu, LIMIT_NS);
        if (exit == KVM_EXIT_INTR && !vcpu->timed_out)
            continue;
        if (exit == KVM_EXIT_INTERNAL_ERROR)
            return skipped("KVM gave up on it at CPL 3");
        if (exit != KVM_EXIT_IO || vcpu->run->io.port != 0x55)
            return skipped("KVM left the guest in an unexpected way");
        const struct frame frame = *frame_of(user);
        user->in_handler = true;
        if (frame.vector == VEC_DB) {
            take_registers(user);
            /* POPF takes TF away; and AC is not to be where it has no effect */
            user->regs.rflags = (user->regs.rflags & user->flags) | FLAGS_FIXED | FLAG_TF | FLAG_IF;
            frame_of(user)->rflags = user->regs.rflags;
            return (struct cosim_step){ .result = COSIM_STEPPED };
        }
        struct kvm_sregs sregs;
        if (frame.vector == VEC_PF && !ioctl(vcpu->fd, KVM_GET_SREGS, &sregs)) {
            if (!is_mapped(user, sregs.cr2) && map_page(user, cr3, sregs.cr2)) {
                if (enter(user))
                    return skipped("KVM does not take the registers back");
                continue;
            }
        } else {
            sregs.cr2 = 0;
        }
        bool has_error =
            frame.vector == VEC_DF || (frame.vector >= VEC_TS && frame.vector <= VEC_PF) || frame.vector == VEC_AC;
        return (struct cosim_step){ .result = COSIM_FAULTED,
                                    .fault = { .vector = (uint8_t)frame.vector,
                                               .error = (uint32_t)frame.error,
                                               .has_error = has_error,
                                               .cr2 = sregs.cr2 } };
    }
    return skipped("too many pages for one instruction");
}

void cosim_user_position(const struct cosim_user *user, uint64_t *rip, uint64_t *rcx)
{
    *rip = user->regs.rip;
    *rcx = user->regs.rcx;
}

int cosim_user_store(struct cosim_user *user, struct cpu *cpu)
{
    struct vcpu *vcpu = &user->guest.vcpu;
    const struct xsave_registers registers = { &cpu->x87, cpu->zmm, cpu->opmask, &cpu->mxcsr, NULL };
    uint64_t system_flags = cpu->rflags & ~user->flags;
    vcpu_take_regs(&user->regs, cpu);
    cpu->rflags = (cpu->rflags & user->flags) | system_flags;
    flags_set_status(cpu, cpu->rflags);
    if (ioctl(vcpu->fd, vcpu->xsave_bytes > 4096 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, user->image))
        return -errno;
    xsave_image_get(&vcpu->xsave, user->image, &registers);
    return 0;
}

void cosim_user_put_flags(struct cosim_user *user, const struct cpu *cpu)
{
    user->regs.rflags = (cpu->rflags & user->flags) | (user->regs.rflags & ~user->flags);
    if (user->in_handler)
        frame_of(user)->rflags = user->regs.rflags;
}

void cosim_user_written(struct cosim_user *user, uint64_t *bitmap)
{
    vcpu_ram_written(&user->guest.vcpu, RAM_SLOT, user->ram_bytes, bitmap);
}
