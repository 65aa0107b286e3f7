/*
 * Delivery of exceptions and interrupts (SDM vol. 3A, chapter 6; real mode 21.1.4; virtual-8086 mode 21.3).
 *
 * Everything here runs at an instruction boundary. One attempt either delivers the event, or leaves the vCPU as it was
 * (but for CR2 and accessed bits) with the fault it met in cpu->fault; the loop in deliver() then decides between that
 * fault, a double fault, and shutdown.
 */
#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/segment.h"

enum event_kind {
    EVENT_FAULT,    /* exception of the fault or abort class: RIP is that of the instruction */
    EVENT_TRAP,     /* #DB after an instruction */
    EVENT_SOFTWARE, /* INT n, INT3, INTO: the gate's DPL is checked, EXT is clear */
    EVENT_ICEBP,    /* INT1: neither */
    EVENT_EXTERNAL, /* interrupt or NMI */
};

struct event {
    struct fault fault;
    enum event_kind kind;
    unsigned ext;         /* EXT bit of error codes that its delivery raises */
    uint64_t flags_image; /* RFLAGS to push */
};

#define GATE_ERROR(event) ((uint32_t)(event)->fault.vector * 8 + 2 + (event)->ext)

static bool checks_gate_dpl(const struct event *event)
{
    return event->kind == EVENT_SOFTWARE;
}

/* What the handler finds in RFLAGS: IF cleared by interrupt gates, the rest by every gate. */
static void enter_flags(struct cpu *cpu, bool interrupt_gate)
{
    cpu->rflags &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM);
    if (interrupt_gate)
        cpu->rflags &= ~(uint64_t)FLAG_IF;
}

/* --- real mode -------------------------------------------------------------------------------------------------- */

static bool deliver_real(struct cpu *cpu, const struct event *event)
{
    uint64_t entry;
    unsigned at = event->fault.vector * 4u;
    if (at + 3 > cpu->idtr.limit)
        return fault_raise(cpu, VEC_GP, true, GATE_ERROR(event));
    if (!mem_read_uint(cpu, (cpu->idtr.base + at) & 0xFFFFFFFF, 4, ACCESS_READ | access_system(cpu), &entry))
        return false;
    uint64_t frame[3] = { event->flags_image & 0xFFFF, cpu->segment[CS].selector, cpu_rip(cpu) & 0xFFFF };
    struct stack stack = stack_current(cpu);
    if (!stack_probe_frame(cpu, &stack, 3, 2) || !stack_push_frame(cpu, &stack, frame, 3, 2))
        return false;
    cpu->gpr[RSP] = stack_pointer(&stack);
    cpu->segment[CS] = segment_real(&cpu->segment[CS], (uint16_t)(entry >> 16));
    cpu->gpr[GPR_RIP] = entry & 0xFFFF;
    enter_flags(cpu, true);
    cpu->rflags &= ~(uint64_t)FLAG_AC;
    return true;
}

/* --- protected mode and IA-32e mode ----------------------------------------------------------------------------- */

struct gate {
    unsigned type, dpl, ist;
    bool present;
    uint16_t selector;
    uint64_t offset;
    unsigned width; /* of what is pushed, in bytes */
};

/* Reads and checks the IDT entry. */
static bool read_gate(struct cpu *cpu, const struct event *event, struct gate *gate)
{
    bool long_mode = cpu->efer & EFER_LMA;
    unsigned bytes = long_mode ? 16 : 8, at = event->fault.vector * bytes;
    uint64_t low, high = 0, address = cpu->idtr.base + at;
    if (at + bytes - 1 > cpu->idtr.limit)
        return fault_raise(cpu, VEC_GP, true, GATE_ERROR(event));
    if (!mem_read_uint(cpu, long_mode ? address : address & 0xFFFFFFFF, 8, ACCESS_READ | access_system(cpu), &low))
        return false;
    if (long_mode && !mem_read_uint(cpu, address + 8, 8, ACCESS_READ | access_system(cpu), &high))
        return false;
    gate->type = (low >> 40) & 31;
    gate->dpl = (low >> 45) & 3;
    gate->present = (low >> 47) & 1;
    gate->ist = long_mode ? (low >> 32) & 7 : 0;
    gate->selector = (uint16_t)(low >> 16);
    gate->offset = (low & 0xFFFF) | ((low >> 32) & 0xFFFF0000) | high << 32;
    gate->width = long_mode ? 8 : (gate->type & 8) ? 4 : 2;
    bool valid = gate->type == TYPE_INTERRUPT_GATE || gate->type == TYPE_TRAP_GATE;
    if (!long_mode)
        valid = valid || gate->type == TYPE_INTERRUPT_GATE16 || gate->type == TYPE_TRAP_GATE16 ||
                gate->type == TYPE_TASK_GATE;
    if (!valid || (checks_gate_dpl(event) && gate->dpl < cpu->cpl))
        return fault_raise(cpu, VEC_GP, true, GATE_ERROR(event));
    if (!gate->present)
        return fault_raise(cpu, VEC_NP, true, GATE_ERROR(event));
    if (gate->width == 2)
        gate->offset &= 0xFFFF;
    return true;
}

static bool deliver_task_gate(struct cpu *cpu, struct event *event, const struct gate *gate)
{
    struct descriptor tss;
    if (gate->selector & SELECTOR_TI)
        return fault_raise(cpu, VEC_GP, true, (gate->selector & 0xFFFCu) | event->ext);
    if (!descriptor_read(cpu, gate->selector, VEC_GP, event->ext, &tss))
        return false;
    unsigned type = tss.attributes & 31;
    if (type != TYPE_TSS && type != TYPE_TSS16)
        return fault_raise(cpu, VEC_GP, true, (gate->selector & 0xFFFCu) | event->ext);
    if (!(tss.attributes & SEG_P))
        return fault_raise(cpu, VEC_NP, true, (gate->selector & 0xFFFCu) | event->ext);
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAG_RF) | (event->flags_image & FLAG_RF);
    if (!task_switch(cpu, gate->selector, &tss, TASK_INTERRUPT, event->ext, cpu_rip(cpu))) {
        if (FAULT_OF_NEW_TASK(cpu->fault))
            event->fault.reserved[0] = 0; /* the fault is the new task's: its RIP stands */
        return false;
    }
    event->fault.reserved[0] = 0;
    if (event->fault.has_error) {
        uint64_t error = event->fault.error;
        unsigned width = type == TYPE_TSS ? 4 : 2;
        struct stack stack = stack_current(cpu);
        stack.error = event->ext;
        if (!stack_probe_frame(cpu, &stack, 1, width) || !stack_push_frame(cpu, &stack, &error, 1, width))
            return false;
        cpu->gpr[RSP] = stack_pointer(&stack);
    }
    return true;
}

/* The stack that an inner level brings, from the TSS; *ss is its segment register. */
static bool inner_stack(struct cpu *cpu, const struct event *event, const struct gate *gate, unsigned cpl,
                        struct descriptor *ss_descriptor, struct stack *stack)
{
    uint16_t selector;
    uint64_t sp;
    if (cpu->efer & EFER_LMA) {
        /* IST n stands behind the three RSPs, 24H + 8n */
        if (gate->ist) {
            unsigned at = 0x1C + gate->ist * 8;
            if (at + 7 > cpu->tr.limit)
                return fault_raise(cpu, VEC_TS, true, (cpu->tr.selector & 0xFFFCu) | event->ext);
            if (!mem_read_uint(cpu, cpu->tr.base + at, 8, ACCESS_READ | access_system(cpu), &sp))
                return false;
        } else if (!tss_inner_stack(cpu, cpl, event->ext, &selector, &sp)) {
            return false;
        }
        struct segment null = segment_null((uint16_t)cpl);
        null.attributes |= cpl << 5;
        *stack = stack_inner(&null, sp, true, event->ext, cpl);
        return true;
    }
    if (!tss_inner_stack(cpu, cpl, event->ext, &selector, &sp))
        return false;
    if (SELECTOR_NULL(selector))
        return fault_raise(cpu, VEC_TS, true, event->ext);
    if (!segment_check_ss(cpu, selector, cpl, VEC_TS, event->ext, ss_descriptor))
        return false;
    struct segment ss = segment_of(selector, ss_descriptor);
    *stack = stack_inner(&ss, sp, false, (selector & 0xFFFCu) | event->ext, cpl);
    return true;
}

static bool read_target(struct cpu *cpu, const struct event *event, const struct gate *gate, struct descriptor *cs,
                        unsigned *cpl)
{
    uint32_t error = (gate->selector & 0xFFFCu) | event->ext;
    if (SELECTOR_NULL(gate->selector))
        return fault_raise(cpu, VEC_GP, true, event->ext);
    if (!descriptor_read(cpu, gate->selector, VEC_GP, event->ext, cs))
        return false;
    unsigned dpl = SEG_DPL(cs->attributes);
    if (!descriptor_is_code(cs) || dpl > cpu->cpl)
        return fault_raise(cpu, VEC_GP, true, error);
    if ((cpu->efer & EFER_LMA) && (cs->attributes & (SEG_L | SEG_DB)) != SEG_L)
        return fault_raise(cpu, VEC_GP, true, error);
    if (!(cs->attributes & SEG_P))
        return fault_raise(cpu, VEC_NP, true, error);
    *cpl = descriptor_is_conforming(cs) ? cpu->cpl : dpl;
    if ((cpu->rflags & FLAG_VM) && *cpl != 0)
        return fault_raise(cpu, VEC_GP, true, error);
    if ((cpu->efer & EFER_LMA) ? !address_canonical(cpu, gate->offset) : gate->offset > cs->limit)
        return fault_raise(cpu, VEC_GP, true, event->ext);
    return true;
}

static bool deliver_gate(struct cpu *cpu, const struct event *event, const struct gate *gate)
{
    struct descriptor cs, ss = { .attributes = SEG_TYPE_ACCESSED };
    struct stack stack;
    unsigned cpl, count = 0;
    bool long_mode = cpu->efer & EFER_LMA, vm86 = cpu->rflags & FLAG_VM;
    uint64_t frame[10];

    if (!read_target(cpu, event, gate, &cs, &cpl))
        return false;
    bool inner = cpl < cpu->cpl;
    if (inner || gate->ist) {
        if (!inner_stack(cpu, event, gate, cpl, &ss, &stack))
            return false;
    } else {
        stack = stack_current(cpu);
        stack.flat = long_mode;
        stack.error = event->ext;
        stack.access = ACCESS_STACK | (cpl == 3 ? ACCESS_AS_USER : ACCESS_SYSTEM);
    }
    if (long_mode)
        stack.sp &= ~(uint64_t)15;

    if (vm86) {
        frame[count++] = cpu->segment[GS].selector;
        frame[count++] = cpu->segment[FS].selector;
        frame[count++] = cpu->segment[DS].selector;
        frame[count++] = cpu->segment[ES].selector;
    }
    if (inner || long_mode) {
        frame[count++] = cpu->segment[SS].selector;
        frame[count++] = cpu->gpr[RSP];
    }
    frame[count++] = event->flags_image;
    frame[count++] = cpu->segment[CS].selector;
    frame[count++] = cpu_rip(cpu);
    if (event->fault.has_error)
        frame[count++] = event->fault.error;
    if (!stack_probe_frame(cpu, &stack, count, gate->width))
        return false;
    if (!descriptor_set_accessed(cpu, &cs) || !descriptor_set_accessed(cpu, &ss) ||
        !stack_push_frame(cpu, &stack, frame, count, gate->width))
        return false;

    /* nothing can fault any more */
    cpu->gpr[RSP] = stack_pointer(&stack);
    if (inner) {
        cpu->segment[SS] = stack.ss;
        if (!long_mode)
            cpu->segment[SS].attributes |= SEG_TYPE_ACCESSED;
    }
    if (vm86)
        for (unsigned seg = 0; seg < SEGMENT_SLOTS; seg++)
            if (seg == ES || seg == DS || seg == FS || seg == GS)
                cpu->segment[seg] = segment_null(0);
    cpu->segment[CS] = segment_of((uint16_t)((gate->selector & 0xFFFCu) | cpl), &cs);
    cpu->cpl = (uint8_t)cpl;
    cpu->gpr[GPR_RIP] = gate->offset;
    enter_flags(cpu, !(gate->type & 1));
    return true;
}

/* --- one event -------------------------------------------------------------------------------------------------- */

/* RF in the pushed image (SDM vol. 3B, 18.3.1.1): set for faults, but not for instruction breakpoints nor aborts. */
static bool pushes_rf(const struct event *event)
{
    if (event->kind != EVENT_FAULT || event->fault.vector == VEC_DF || event->fault.vector == VEC_MC)
        return false;
    return event->fault.vector != VEC_DB || !(event->fault.cr2 & 15);
}

static bool deliver_once(struct cpu *cpu, struct event *event)
{
    bool hardware = event->kind == EVENT_FAULT || event->kind == EVENT_TRAP;
    if (hardware && event->fault.vector == VEC_PF)
        cpu->cr2 = event->fault.cr2;
    if (hardware && event->fault.vector == VEC_DB)
        debug_enter(cpu, event->fault.cr2);
    event->flags_image = cpu->rflags | (pushes_rf(event) ? FLAG_RF : 0);
    if (!(cpu->cr0 & CR0_PE))
        return deliver_real(cpu, event);
    struct gate gate;
    if (!read_gate(cpu, event, &gate))
        return false;
    if (gate.type == TYPE_TASK_GATE)
        return deliver_task_gate(cpu, event, &gate);
    return deliver_gate(cpu, event, &gate);
}

/* SDM vol. 3A, table 6-5: benign, contributory, page fault; and the double fault itself. */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class classify(const struct event *event)
{
    if (event->kind != EVENT_FAULT)
        return BENIGN;
    switch (event->fault.vector) {
    case VEC_DE:
    case VEC_TS:
    case VEC_NP:
    case VEC_SS:
    case VEC_GP:
        return CONTRIBUTORY;
    case VEC_PF:
        return PAGE_FAULT;
    case VEC_DF:
        return DOUBLE_FAULT;
    default:
        return BENIGN;
    }
}

/* The event that follows when delivering `first` met the fault `met`. False: shutdown. */
static bool combine(const struct event *first, struct fault met, struct event *next)
{
    enum fault_class before = classify(first);
    *next = (struct event){ .fault = met, .kind = EVENT_FAULT, .ext = 1 };
    enum fault_class now = classify(next);
    if (before == DOUBLE_FAULT)
        return false;
    if (now != BENIGN && (before == PAGE_FAULT || (before == CONTRIBUTORY && now == CONTRIBUTORY)))
        next->fault = fault_make(VEC_DF, true, 0);
    return true;
}

static void cause_add(struct shutdown_cause *cause, const struct fault *fault)
{
    if (cause->count < sizeof(cause->chain) / sizeof(cause->chain[0]))
        cause->chain[cause->count++] = *fault;
}

static void deliver(struct cpu *cpu, struct event event)
{
    struct shutdown_cause cause = { .cycle = cpu->cycle,
                                    .rip = cpu_rip(cpu),
                                    .rsp = cpu->gpr[RSP],
                                    .cs = cpu->segment[CS].selector,
                                    .count = 1,
                                    .external = event.kind == EVENT_EXTERNAL,
                                    .chain = { event.fault } };
    flags_fold(cpu);
    cpu->shadow = 0;
    while (!deliver_once(cpu, &event)) {
        struct event next;
        struct fault met = cpu->fault;
        /* faults met on the way carry EXT; a page fault's code has no such bit */
        if (met.has_error && met.vector != VEC_PF)
            met.error |= event.ext;
        if (met.vector == VEC_PF)
            cpu->cr2 = met.cr2; /* even if a double fault comes of it */
        /* a software interrupt that cannot be delivered is a fault of its instruction */
        if (event.kind == EVENT_SOFTWARE || event.kind == EVENT_ICEBP)
            cpu->gpr[GPR_RIP] -= event.fault.reserved[0];
        cause_add(&cause, &met);
        if (!combine(&event, met, &next)) {
            cpu->activity = SHUTDOWN;
            cpu->shutdown = cause;
            board_request_stop(cpu->board, BOARD_TRIPLE_FAULT, 0);
            break;
        }
        if (next.fault.vector == VEC_DF)
            cause_add(&cause, &next.fault);
        event = next;
    }
    cpu->pending_db &=
        PENDING_DB_TASK; /* what was due after an instruction that did not complete, or is reported now */
    flags_set_status(cpu, cpu->rflags); /* a task switch loads new ones */
    cpu->cycle++;
    cpu->board->clock.now_cycles = cpu->cycle;
    cpu_update_mode(cpu);
}

void exception_deliver(struct cpu *cpu, struct fault fault, bool software)
{
    struct event event = { .fault = fault, .kind = EVENT_FAULT, .ext = 1 };
    if (software) {
        event.kind = fault.error == FAULT_ICEBP ? EVENT_ICEBP : EVENT_SOFTWARE;
        event.ext = event.kind == EVENT_ICEBP;
        event.fault.has_error = false;
    }
    if (!(cpu->cr0 & CR0_PE))
        event.fault.has_error = false;
    deliver(cpu, event);
}

void interrupt_deliver(struct cpu *cpu, uint8_t vector)
{
    struct event event = { .fault = { .vector = vector }, .kind = EVENT_EXTERNAL, .ext = 1 };
    deliver(cpu, event);
}

/* --- sampling --------------------------------------------------------------------------------------------------- */

static void start_at_sipi(struct cpu *cpu, uint8_t vector)
{
    cpu->segment[CS] = segment_real(&cpu->segment[CS], (uint16_t)(vector << 8));
    cpu->gpr[GPR_RIP] = 0;
    cpu->activity = ACTIVE;
    cpu_update_mode(cpu);
}

static bool spend_cycle(struct cpu *cpu)
{
    cpu->cycle++;
    cpu->board->clock.now_cycles = cpu->cycle;
    return true;
}

/* The order is that of SDM vol. 3A, table 6-2. */
bool cpu_sample_interrupts(struct cpu *cpu)
{
    uint8_t vector;
    if (!cpu->pending_db && !lapic_has_request(cpu->lapic))
        return false;
    cpu->cycle = cpu->board->clock.now_cycles; /* the clock went on while the vCPU was halted */
    if (lapic_take_init(cpu->lapic)) {
        cpu_reset(cpu, true);
        return spend_cycle(cpu);
    }
    if (cpu->activity == WAIT_FOR_SIPI) {
        if (!lapic_take_sipi(cpu->lapic, &vector))
            return false;
        start_at_sipi(cpu, vector);
        return spend_cycle(cpu);
    }
    (void)lapic_take_sipi(cpu->lapic, &vector); /* ignored by a processor that does not wait for it */
    if (cpu->activity == SHUTDOWN)
        return false;
    if (cpu->pending_db & PENDING_DB_NO_STEP)
        cpu->pending_db &= (uint8_t)~(PENDING_DB_NO_STEP | PENDING_DB_STEP);
    if (cpu->pending_db && !(cpu->shadow & SHADOW_MOV_SS)) {
        struct event event = { .fault = fault_make(VEC_DB, false, 0), .kind = EVENT_TRAP, .ext = 1 };
        event.fault.cr2 = debug_pending_dr6(cpu);
        cpu->pending_db = 0;
        cpu->activity = ACTIVE;
        deliver(cpu, event);
        return true;
    }
    if (!cpu->nmi_blocked && !(cpu->shadow & SHADOW_MOV_SS) && lapic_take_nmi(cpu->lapic)) {
        cpu->nmi_blocked = 1;
        cpu->activity = ACTIVE;
        interrupt_deliver(cpu, VEC_NMI);
        return true;
    }
    if ((cpu->rflags & FLAG_IF) && !cpu->shadow && lapic_interrupt_pending(cpu->lapic)) {
        cpu->activity = ACTIVE;
        interrupt_deliver(cpu, lapic_acknowledge(cpu->lapic));
        return true;
    }
    return false;
}
