/*
 * Lowering: decoded instructions become the ops of a block.
 *
 * Choosing a handler is all there is to it: specialised by shape and width where the row has such handlers, without
 * flag computation where nobody reads the flags, and a raising op where mode or privilege forbid the instruction (SDM
 * vol. 2A, 2.4 and 2.5; vol. 3A, 5.9).
 */
#include "cpu/block.h"
#include "cpu/fused.h"
#include "cpu/handler.h"
#include "cpu/insn.h"
#include "cpu/model.h"
#include "cpu/profile.h"
#include "cpu/undefined.h"

/* --- ops that stand for no instruction --- */

/* The block goes on elsewhere: page end, block full. */
static OP(block_end)
{
    BRANCH_BY(op, 0, INSN_AT, return NULL);
}
/* The instruction before may have changed modes or events. */
static OP(block_leave)
{
    cpu->gpr[GPR_RIP] += INSN_AT;
    LEAVE;
}

/* The instruction exists but raises a fault whatever its operands are. */
static OP(raise_ud)
{
    FAULT(VEC_UD);
}
static OP(raise_nm)
{
    FAULT(VEC_NM);
}
static OP(raise_gp)
{
    FAULT_CODE(VEC_GP, 0);
}
/* A row without handler: the summary names it. */
static OP(raise_lacking)
{
    const struct isa_row *row = &isa_rows[OPERAND(imm)];
    tally_count(&cpu->board->tally, TALLY_LACKING, OPERAND(imm), row->mnemonic);
    FAULT(VEC_UD);
}

/* --- the fault a mode forces on a row, or NULL --- */

static op_fn *forced_fault(const struct isa_row *row, uint32_t mode)
{
    bool em = mode & MODE_EM, ts = mode & MODE_TS, osfxsr = mode & MODE_OSFXSR;
    bool real = !(mode & MODE_PROTECTED) || mode & MODE_VM86;
    if (row->attributes & ISA_PROTECTED && real)
        return op_raise_ud;
    switch ((enum isa_class)row->isa_class) {
    case ISA_CLASS_X87:
        if (em || ts)
            return op_raise_nm;
        break;
    case ISA_CLASS_MMX:
    case ISA_CLASS_SSE_MMX:
        if (em)
            return op_raise_ud;
        if (ts)
            return op_raise_nm;
        break;
    case ISA_CLASS_SSE:
    case ISA_CLASS_SSE_ALIGNED:
        if (em || !osfxsr)
            return op_raise_ud;
        if (ts)
            return op_raise_nm;
        break;
    case ISA_CLASS_AVX:
    case ISA_CLASS_AVX_ALIGNED:
        if (!(mode & MODE_AVX))
            return op_raise_ud;
        if (ts)
            return op_raise_nm;
        break;
    case ISA_CLASS_AVX512:
    case ISA_CLASS_AVX512_ALIGNED:
    case ISA_CLASS_OPMASK:
        if (!(mode & MODE_AVX512))
            return op_raise_ud;
        if (ts)
            return op_raise_nm;
        break;
    case ISA_CLASS_NONE:
        break;
    }
    unsigned cpl = (mode & MODE_CPL_MASK) >> MODE_CPL_SHIFT;
    if (row->attributes & ISA_CPL0 && cpl != 0)
        return op_raise_gp;
    return NULL;
}

/* --- operands --- */

static uint8_t log2_of(unsigned value)
{
    return (uint8_t)__builtin_ctz(value);
}

static uint8_t gpr_offset(unsigned number)
{
    return (uint8_t)(number < 16 ? number * 8 : (number - 16) * 8 + 1); /* 16..19: AH, CH, DH, BH */
}

static uint8_t register_of(const struct operand *operand)
{
    return operand->cls == CLASS_GPR ? gpr_offset(operand->number) : operand->number;
}

extern const struct handlers handlers_nop, handlers_lea, handlers_cmp, handlers_test, handlers_shl, handlers_shr,
    handlers_sar, handlers_rol, handlers_ror, handlers_rol_imm, handlers_ror_imm, handlers_shld, handlers_shrd;

static void lower_memory(struct op *op, const struct insn *insn)
{
    bool flat = insn->mode_bits == 64 && insn->address_bits == 64;
    op->base = insn->base == INSN_NO_REGISTER ? GPR_ZERO * 8
               : insn->base == INSN_BASE_RIP  ? GPR_RIP * 8
                                              : (uint8_t)(insn->base * 8);
    op->index = insn->index == INSN_NO_REGISTER    ? GPR_ZERO * 8
                : insn->row->attributes & ISA_VSIB ? insn->index
                                                   : (uint8_t)(insn->index * 8);
    op->scale = insn->scale;
    op->disp = (int32_t)insn->displacement;
    bool based = (insn->segment == FS || insn->segment == GS) && insn->row->handlers != &handlers_lea &&
                 !(insn->row->attributes & ISA_VSIB);
    if (flat && based) {
        if (insn->index == INSN_NO_REGISTER && insn->row->isa_class != ISA_CLASS_X87) /* FDP has no base in it */
            op->index = (uint8_t)(offsetof(struct cpu, segment_base[insn->segment]) - offsetof(struct cpu, gpr));
        else
            flat = false;
    }
    if (flat && insn->base == INSN_BASE_RIP) {
        int64_t from_start = insn->displacement + op_end(op);
        if (from_start == (int32_t)from_start)
            op->disp = (int32_t)from_start;
        else
            flat = false;
    }
    if (!flat)
        op->flags |= OP_SEGMENTED;
}

static bool operand_is(const struct insn *insn, unsigned i, enum operand_kind kind)
{
    return i < insn->operand_count && insn->operand[i].kind == kind;
}

/* Vector rows with VEX and EVEX: struct op says where the operands go. */
static void lower_vector(struct op *op, const struct insn *insn)
{
    const struct isa_row *row = insn->row;
    op->src = 0;
    for (unsigned i = 1; i < insn->operand_count; i++) {
        if (insn->operand[i].kind != OPERAND_REGISTER)
            continue;
        if (row->operand[i].source == FROM_VVVV)
            op->src = register_of(&insn->operand[i]);
        else if (row->operand[i].source != FROM_IS4)
            op->src2 = register_of(&insn->operand[i]);
    }
    if (insn->mode_bits != 64 && row->operand_count > 3 && row->operand[3].source == FROM_IS4)
        op->imm8 &= 0x7F;
    bool has_vvvv = false;
    for (unsigned i = 1; i < row->operand_count; i++)
        has_vvvv |= row->operand[i].source == FROM_VVVV;
    if (!has_vvvv)
        op->src = op->src2;
    op->mask = insn->mask;
    op->evex = insn->evex;
    if (row->isa_class == ISA_CLASS_AVX_ALIGNED || row->isa_class == ISA_CLASS_AVX512_ALIGNED)
        op->flags |= OP_ALIGNED;
}

static void lower_operands(struct op *op, const struct insn *insn)
{
    const struct isa_row *row = insn->row;
    op->seg = insn->segment;
    op->form = (uint8_t)(log2_of(insn->operand_bits / 8) | log2_of(insn->address_bits / 16) << 2 |
                         (insn->vector_bytes > 16 ? log2_of(insn->vector_bytes / 16) << 4 : 0));
    op->base = op->index = GPR_ZERO * 8;
    if (insn->lock)
        op->flags |= OP_LOCK;
    if (insn->rep)
        op->flags |= insn->rep == 0xF3 ? OP_REP : OP_REPNE;
    if (row->isa_class == ISA_CLASS_SSE_ALIGNED)
        op->flags |= OP_ALIGNED;
    if (insn->has_memory)
        lower_memory(op, insn);
    uint8_t numbers[4] = { 0 };
    bool immediate = false;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const struct operand *operand = &insn->operand[i];
        if (operand->kind == OPERAND_MEMORY)
            op->flags |= (uint8_t)(i == 0 ? OP_MEM | OP_MEM_DST : OP_MEM);
        else if (operand->kind == OPERAND_IMMEDIATE)
            immediate = true;
        else
            numbers[i] = register_of(operand);
    }
    op->dst = numbers[0];
    op->src = numbers[1];
    op->imm = insn->immediate;
    if (immediate)
        op->flags |= OP_IMM;
    else if (insn->operand_count > 2)
        op->src2 = numbers[2];
    switch (row->operand_count ? row->operand[0].source : FROM_NONE) {
    case FROM_RELATIVE:
        op->imm = insn->immediate + op_end(op);
        break;
    case FROM_FAR:
        op->imm = (insn->immediate & UINT32_MAX) | insn->immediate2 << 32;
        break;
    default:
        break;
    }
    if (row->isa_class == ISA_CLASS_X87)
        op->imm = (insn->opcode & 7u) << 8 | insn->modrm; /* FOP */
    if (row->operand_count == 2 && row->operand[0].source == FROM_IMMEDIATE && row->operand[1].source == FROM_IMMEDIATE)
        op->imm = (insn->immediate & 0xFFFF) | insn->immediate2 << 16; /* ENTER */
    for (unsigned i = 0; i < row->operand_count; i++) {
        if (row->operand[i].source == FROM_OFFSET) {
            op->imm = (uint64_t)insn->displacement;
            op->flags |= OP_SEGMENTED;
        }
    }
    if (row->isa_class >= ISA_CLASS_AVX)
        lower_vector(op, insn);
}

/* --- handlers --- */

static int shape_of(const struct insn *insn)
{
    bool memory0 = operand_is(insn, 0, OPERAND_MEMORY), memory1 = operand_is(insn, 1, OPERAND_MEMORY);
    bool immediate0 = operand_is(insn, 0, OPERAND_IMMEDIATE), immediate1 = operand_is(insn, 1, OPERAND_IMMEDIATE);
    if (insn->operand_count > 2)
        return -1;
    if (immediate1)
        return memory0 ? SHAPE_MI : SHAPE_RI;
    if (insn->operand_count == 1 && immediate0)
        return SHAPE_RI;
    return memory0 ? SHAPE_MR : memory1 ? SHAPE_RM : SHAPE_RR;
}

/* True if what the row leaves undefined is not as its handlers do it. */
static bool settles_undefined(const struct cpu *cpu, const struct isa_row *row)
{
    const struct undefined *what = row->handlers->undefined;
    return unlikely(what) && undefined_matters(what, &cpu->undefined);
}

static op_fn *handler_of(const struct cpu *cpu, const struct insn *insn, const struct op *op, bool flags_dead)
{
    const struct handlers *handlers = insn->row->handlers;
    unsigned width = op->form & 3;
    bool generic = cpu->engine->generic;
    if (settles_undefined(cpu, insn->row))
        return handlers->chosen[width];
    int shape = generic || op->flags & OP_SEGMENTED ? -1 : shape_of(insn);
    if (handlers->masked && (op->mask || op->evex & (INSN_EVEX_Z | INSN_EVEX_B)))
        return handlers->masked;
    if (handlers->plain[0])
        return handlers->plain[op->form >> 4 & 3];
    if (shape >= 0) {
        if (flags_dead && handlers->dead && handlers->dead[shape][width])
            return handlers->dead[shape][width];
        if (handlers->based && op->index == GPR_ZERO * 8 && handlers->based[shape][width])
            return handlers->based[shape][width];
        if (handlers->shaped && handlers->shaped[shape][width])
            return handlers->shaped[shape][width];
    }
    return handlers->by_width[width] ? handlers->by_width[width] : handlers->any;
}

/* True if the instruction has an operand in memory that it accesses: LEA has one without a size, hints do not look at
 * theirs. */
static bool accesses_memory(const struct insn *insn)
{
    if (!insn->has_memory || insn->row->handlers == &handlers_nop)
        return false;
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == OPERAND_MEMORY && insn->operand[i].bytes == 0)
            return false;
    return true;
}

/* True if the op can neither fault nor end its block early, so that nobody looks at the flags inside of it. */
static bool cannot_leave(const struct insn *insn)
{
    const struct isa_row *row = insn->row;
    return (row->attributes & ISA_PURE || row->handlers == &handlers_nop) && !accesses_memory(insn);
}

/* The flags an instruction reads. A shift reads what it writes only because a count of 0 keeps it; a known count needs
 * no such care. */
static uint32_t flags_read_by(const struct insn *insn)
{
    const struct isa_row *row = insn->row;
    const struct handlers *handlers = row->handlers;
    bool shift = handlers == &handlers_shl || handlers == &handlers_shr || handlers == &handlers_sar ||
                 handlers == &handlers_rol || handlers == &handlers_ror || handlers == &handlers_rol_imm ||
                 handlers == &handlers_ror_imm || handlers == &handlers_shld || handlers == &handlers_shrd;
    unsigned mask = insn->operand_bits == 64 ? 63 : 31;
    bool known = operand_is(insn, insn->operand_count - 1u, OPERAND_IMMEDIATE) && insn->immediate & mask;
    return shift && known ? row->flags_read & ~row->flags_written : row->flags_read;
}

/* The flags an instruction writes. ROL and ROR of a register by an immediate leave OF alone unless it is 1. */
static uint32_t flags_written_by(const struct insn *insn)
{
    const struct isa_row *row = insn->row;
    bool rotate = row->handlers == &handlers_rol_imm || row->handlers == &handlers_ror_imm;
    unsigned mask = insn->operand_bits == 64 ? 63 : 31;
    return rotate && (insn->immediate & mask) != 1 ? row->flags_written & ~FLAG_OF : row->flags_written;
}

/* --- blocks --- */

struct lowering {
    const struct cpu *cpu;
    struct block *block;
    uint32_t mode;
    unsigned count;
    struct insn insns[BLOCK_INSNS_MAX];
    bool raised[BLOCK_INSNS_MAX];
    bool fused; /* the last two instructions are one op */
};

/* Fills the next op; true if the block must end behind it. */
static bool lower_insn(struct lowering *to, enum decode_status status, unsigned at)
{
    struct insn *insn = &to->insns[to->count];
    struct op *op = &to->block->ops[to->count];
    *op = (struct op){ .at_length = (uint16_t)(at << 4 | insn->length) };
    to->raised[to->count] = true;
    to->count++;
    if (status == DECODE_UD || status == DECODE_TOO_LONG) {
        op->run = status == DECODE_UD ? op_raise_ud : op_raise_gp;
        op->base = op->index = GPR_ZERO * 8;
        return true;
    }
    if (insn->row->attributes & ISA_UNIMPLEMENTED) {
        op->run = op_raise_lacking;
        op->imm = (uint64_t)(insn->row - isa_rows);
        return true;
    }
    lower_operands(op, insn);
    op_fn *fault = forced_fault(insn->row, to->mode);
    if (fault) {
        op->run = fault;
        return true;
    }
    to->raised[to->count - 1] = false;
    bool repeated = insn->row->attributes & ISA_REP && insn->rep;
    return repeated || insn->row->attributes & (ISA_ENDS | ISA_BRANCH);
}

/* Picks handlers from the last op to the first, which is the direction in which flags are read. */
static void choose_handlers(struct lowering *to)
{
    uint32_t live = FLAGS_STATUS;
    for (unsigned i = to->count; i-- > 0;) {
        const struct insn *insn = &to->insns[i];
        if (to->raised[i]) {
            live = FLAGS_STATUS;
            continue;
        }
        const struct isa_row *row = insn->row;
        /* an access to memory may end the block behind the op (engine_land), where anyone may look */
        uint32_t written = flags_written_by(insn);
        bool dead = cannot_leave(insn) && written && !(written & live);
        to->block->ops[i].run = handler_of(to->cpu, insn, &to->block->ops[i], dead);
        uint32_t read = flags_read_by(insn);
        if (settles_undefined(to->cpu, row))
            live = FLAGS_STATUS; /* what is undefined may be what it was */
        else
            live = cannot_leave(insn) ? (live & ~written) | read : FLAGS_STATUS;
    }
}

/* Fuses a compare with the conditional jump that ends the block, if there is a handler for the pair. */
static void fuse_branch(struct lowering *to)
{
    if (to->count < 2 || to->raised[to->count - 1])
        return;
    const struct insn *first = &to->insns[to->count - 2], *jump = &to->insns[to->count - 1];
    struct op *op = &to->block->ops[to->count - 2];
    bool test = first->row->handlers == &handlers_test;
    bool jcc =
        jump->row->attributes & ISA_BRANCH && jump->row->operand[0].source == FROM_RELATIVE && jump->row->flags_read;
    int shape = shape_of(first);
    if ((!test && first->row->handlers != &handlers_cmp) || !jcc || jump->opcode >> 4 == 14 || shape < 0)
        return;
    if (settles_undefined(to->cpu, first->row))
        return;
    unsigned width = op->form & 3, condition = jump->opcode & 15;
    if (op->flags & OP_MEM) {
        op_fn *handler = fused_memory_handler(test, (enum shape)shape, width, condition);
        if (handler && !(op->flags & OP_SEGMENTED))
            op->run = handler;
        return;
    }
    op_fn *handler = fused_handler(test, (enum shape)shape, width, condition);
    unsigned length = first->length + jump->length;
    if (!handler || length > 15)
        return;
    if (shape == SHAPE_RI)
        op->disp = (int32_t)op->imm; /* immediates of CMP and TEST have 32 bits at most */
    op->imm = to->block->ops[to->count - 1].imm;
    op->at_length = (uint16_t)(op_at(op) << 4 | length);
    op->scale = first->length;
    op->run = handler;
    to->fused = true;
}

/* Joins neighbours on the stack and in memory. */
static void fuse_pairs(struct lowering *to)
{
    for (unsigned i = 0; i + 1 < to->count; i++) {
        struct op *op = &to->block->ops[i];
        op_fn *handler = fused_pair_handler(op, op + 1);
        if (!handler)
            continue;
        op->run = handler;
        i++;
    }
}

static void fuse(struct lowering *to)
{
    if ((to->mode & MODE_CODE_MASK) != MODE_CODE64)
        return;
    fuse_branch(to);
    fuse_pairs(to);
}

/* An instruction that only takes its time needs no op: who leaves the block elsewhere knows its own place. */
static void drop_nops(struct lowering *to, unsigned ops)
{
    struct block *block = to->block;
    unsigned kept = 0;
    for (unsigned i = 0; i < ops; i++) {
        if (i < to->count && !to->raised[i] && to->insns[i].row->handlers == &handlers_nop)
            continue;
        if (kept != i) {
            block->ops[kept] = block->ops[i];
            if (i < to->count)
                to->insns[kept] = to->insns[i];
        }
        kept++;
    }
    if (to->fused) /* the jump that is half of the last op */
        to->insns[kept] = to->insns[ops];
    to->count -= ops - kept;
}

/* Appends the end op where the last instruction is no branch, and the chains. Returns the block's size in bytes. */
static size_t finish_block(struct lowering *to, unsigned end)
{
    struct block *block = to->block;
    const struct insn *last = &to->insns[to->count - 1];
    bool raised = to->raised[to->count - 1];
    unsigned ops = to->count - to->fused, cycles = 0;
    if (raised || !(last->row->attributes & ISA_BRANCH)) {
        bool leaves = !raised && last->row->attributes & ISA_ENDS;
        block->ops[ops++] =
            (struct op){ .run = leaves ? op_block_leave : op_block_end, .at_length = (uint16_t)(end << 4) };
    }
    for (unsigned i = to->count; i-- > 0;) {
        const struct isa_row *row = to->insns[i].row;
        cycles += to->raised[i] || !row ? 1 : row->cost;
        if (i < to->count - to->fused) {
            block->ops[i].left = (uint8_t)cycles;
            block->ops[i].insns_left = (uint8_t)(to->count - i);
        }
    }
    block->cycles = (uint8_t)cycles;
    block->insns = (uint8_t)to->count;
    block->bytes = (uint16_t)end;
    unsigned count = to->count;
    drop_nops(to, ops);
    struct chain *chains = (struct chain *)&block->ops[ops - (count - to->count)];
    chains[0] = chains[1] = (struct chain){ 0 };
    return (size_t)((uint8_t *)(chains + 2) - (uint8_t *)block);
}

/* Puts the profile's op at the head of the block. Returns the block's size with it. */
static size_t count_entries(struct lowering *to, size_t size)
{
    struct op entered;
    struct block *block = to->block;
    profile_block(to->cpu->engine->profile, to->insns, block->ops, to->count, to->fused, &entered);
    entered.left = block->cycles;
    entered.insns_left = block->insns;
    memmove(&block->ops[1], &block->ops[0], size - offsetof(struct block, ops));
    block->ops[0] = entered;
    return size + sizeof(entered);
}

#define BLOCK_CYCLES_MAX 200u

size_t lower_block(const struct cpu *cpu, struct block *block, uint64_t physical, uint32_t mode, const uint8_t *bytes,
                   unsigned available, bool whole)
{
    struct lowering to = { .cpu = cpu, .block = block, .mode = mode, .count = 0 };
    unsigned limit = mode & (MODE_SINGLE | MODE_STEP) ? 1 : BLOCK_INSNS_MAX;
    unsigned at = 0, cycles = 0;
    *block = (struct block){ .physical = physical, .mode = mode };
    while (to.count < limit && at < available && cycles < BLOCK_CYCLES_MAX) {
        struct insn *insn = &to.insns[to.count];
        enum decode_status status =
            decode(bytes + at, available - at, mode_code_bits(mode), cpu->model->features, insn);
        /* The 16th byte is fetched before the length is judged: if it lies in the next page, that page has a say. */
        if (status == DECODE_TOO_LONG && !whole && available - at == INSN_BYTES_MAX)
            status = DECODE_MORE;
        if (status == DECODE_MORE) {
            if (to.count > 0)
                break;
            if (!whole)
                return 0;
            status = DECODE_UD;
        }
        if (status != DECODE_OK)
            insn->row = NULL;
        else
            cycles += insn->row->cost;
        bool ends = lower_insn(&to, status, at);
        at += insn->length;
        if (ends)
            break;
    }
    choose_handlers(&to);
    if (!cpu->engine->generic)
        fuse(&to);
    size_t size = finish_block(&to, at);
    return cpu->engine->profile && limit > 1 ? count_entries(&to, size) : size;
}
