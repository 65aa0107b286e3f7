/*
 * What the integer handlers share: the forms an instruction is compiled into, the sixteen conditions, flag helpers.
 *
 * An instruction is written once, as an inline body over values: `uint64_t NAME_body(cpu, a, b, w, live)` returns the
 * new destination and, if `live`, sets the flags. `w` is a constant in every expansion, a is zero-extended from w bits,
 * b may have anything above. The macros below put the body into one generic handler per width (any operand kind, any
 * addressing) and into handlers specialised by operand shape for flat addressing, with flags and without ("_dead").
 */
#ifndef CPU_ALU_H
#define CPU_ALU_H

#include "cpu/handler.h"
#include "cpu/undefined.h"

/* --- names and tables ------------------------------------------------------------------------------------------- */

/* Applies a macro to all widths; M(w, ...). WIDE leaves out 8 bits, where rows have no byte form. */
#define EACH_WIDTH(M, ...) M(8, __VA_ARGS__) M(16, __VA_ARGS__) M(32, __VA_ARGS__) M(64, __VA_ARGS__)
#define EACH_WIDE(M, ...)  M(16, __VA_ARGS__) M(32, __VA_ARGS__) M(64, __VA_ARGS__)

/* The members of struct handlers and rows of its tables, from the names the form macros give. */
#define BY_WIDTH(name) { op_##name##_any8, op_##name##_any16, op_##name##_any32, op_##name##_any64 }
#define BY_WIDE(name)  { NULL, op_##name##_any16, op_##name##_any32, op_##name##_any64 }
/* The members for rows that leave something undefined. */
#define CHOSEN_WIDTH(name)                                                                                             \
    .undefined = &undefined_##name,                                                                                    \
    .chosen = { op_##name##_chosen8, op_##name##_chosen16, op_##name##_chosen32, op_##name##_chosen64 }
#define CHOSEN_WIDE(name)                                                                                              \
    .undefined = &undefined_##name, .chosen = { NULL, op_##name##_chosen16, op_##name##_chosen32, op_##name##_chosen64 }
#define ROW_WIDTH(name, s, tag)                                                                                        \
    { op_##name##_##s##8##tag, op_##name##_##s##16##tag, op_##name##_##s##32##tag, op_##name##_##s##64##tag }
#define ROW_WIDE(name, s, tag) { NULL, op_##name##_##s##16##tag, op_##name##_##s##32##tag, op_##name##_##s##64##tag }

/* --- forms ------------------------------------------------------------------------------------------------------ */

/* A source operand of any kind but a memory destination's: declares nothing, sets b. sw: width of the source. */
#define READ_SOURCE(sw, b)                                                                                             \
    do {                                                                                                               \
        if (OPERAND(flags) & OP_IMM) {                                                                                 \
            (b) = OPERAND(imm);                                                                                        \
        } else if (OPERAND(flags) & OP_MEM) {                                                                          \
            LINEAR(from_, (sw) / 8, ACCESS_READ);                                                                      \
            LOAD(sw, b, from_);                                                                                        \
        } else {                                                                                                       \
            (b) = REG(sw, OPERAND(src));                                                                               \
        }                                                                                                              \
    } while (0)

/*
 * A generic form is compiled twice where the row leaves something undefined: as `any` with AS_IS, and as `chosen` with
 * SETTLED, which says what came of it (undefined_settle) behind FLAGS_BEFORE and the body.
 */
#define UNDEFINED(name)                   extern const struct undefined undefined_##name
#define FLAGS_BEFORE                      __attribute__((unused)) uint32_t before_ = flags_status(cpu)
#define AS_IS(name, w, count, is_zero, r) (r)
#define SETTLED(name, w, count, is_zero, r)                                                                            \
    undefined_settle(cpu, op, &undefined_##name,                                                                       \
                     &(struct undefined_case){ before_, (w), (unsigned)(count), (is_zero), (r) })
#define COUNT_SOURCE_W(b, w) 1
#define COUNT_SOURCE_8(b, w) shift_count(b, w)

/* dst = body(dst, src). sw: width of a register source (shift counts are in CL whatever the operand size). */
#define UPDATE_ANY(w, name, sw, form, SETTLE)                                                                          \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t a, b, r;                                                                                              \
        if (OPERAND(flags) & OP_MEM_DST) {                                                                             \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            b = OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(sw(w), OPERAND(src));                                     \
            r = name##_body(cpu, a, b, w, true);                                                                       \
            r = SETTLE(name, w, COUNT_##sw(b, w), false, r);                                                           \
            STORE(w, at, r);                                                                                           \
        } else {                                                                                                       \
            READ_SOURCE(sw(w), b);                                                                                     \
            r = name##_body(cpu, REG(w, OPERAND(dst)), b, w, true);                                                    \
            r = SETTLE(name, w, COUNT_##sw(b, w), false, r);                                                           \
            SET_REG(w, OPERAND(dst), r);                                                                               \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
#define UPDATE_SHAPED(w, name, sw, live, tag)                                                                          \
    static OP(name##_rr##w##tag)                                                                                       \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), name##_body(cpu, REG(w, OPERAND(dst)), REG(sw(w), OPERAND(src)), w, live));           \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_ri##w##tag)                                                                                       \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), name##_body(cpu, REG(w, OPERAND(dst)), OPERAND(imm), w, live));                       \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mr##w##tag)                                                                                       \
    {                                                                                                                  \
        HIT(write, (w) / 8, host, LINEAR_FLAT, op_##name##_any##w);                                                    \
        host_write(host, w, name##_body(cpu, host_read(host, w), REG(sw(w), OPERAND(src)), w, live));                  \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mi##w##tag)                                                                                       \
    {                                                                                                                  \
        HIT(write, (w) / 8, host, LINEAR_FLAT, op_##name##_any##w);                                                    \
        host_write(host, w, name##_body(cpu, host_read(host, w), OPERAND(imm), w, live));                              \
        NEXT;                                                                                                          \
    }
#define UPDATE_SHAPED_RM(w, name, live, tag)                                                                           \
    static OP(name##_rm##w##tag)                                                                                       \
    {                                                                                                                  \
        uint64_t b;                                                                                                    \
        LOAD_HIT(w, b, LINEAR_FLAT, op_##name##_any##w);                                                               \
        SET_REG(w, OPERAND(dst), name##_body(cpu, REG(w, OPERAND(dst)), b, w, live));                                  \
        NEXT;                                                                                                          \
    }
#define SOURCE_W(w) w
#define SOURCE_8(w) 8

/* ADD and its kin: all shapes, with and without flags. more: further members of struct handlers. */
#define UPDATE_HANDLERS(name, more)                                                                                    \
    EACH_WIDTH(UPDATE_ANY, name, SOURCE_W, any, AS_IS)                                                                 \
    EACH_WIDTH(UPDATE_SHAPED, name, SOURCE_W, true, )                                                                  \
    EACH_WIDTH(UPDATE_SHAPED_RM, name, true, )                                                                         \
    EACH_WIDTH(UPDATE_SHAPED, name, SOURCE_W, false, _dead)                                                            \
    EACH_WIDTH(UPDATE_SHAPED_RM, name, false, _dead)                                                                   \
    static op_fn *const name##_shaped[SHAPES][4] = {                                                                   \
        [SHAPE_RR] = ROW_WIDTH(name, rr, ), [SHAPE_RI] = ROW_WIDTH(name, ri, ), [SHAPE_RM] = ROW_WIDTH(name, rm, ),    \
        [SHAPE_MR] = ROW_WIDTH(name, mr, ), [SHAPE_MI] = ROW_WIDTH(name, mi, ),                                        \
    };                                                                                                                 \
    static op_fn *const name##_shaped_dead[SHAPES][4] = {                                                              \
        [SHAPE_RR] = ROW_WIDTH(name, rr, _dead), [SHAPE_RI] = ROW_WIDTH(name, ri, _dead),                              \
        [SHAPE_RM] = ROW_WIDTH(name, rm, _dead), [SHAPE_MR] = ROW_WIDTH(name, mr, _dead),                              \
        [SHAPE_MI] = ROW_WIDTH(name, mi, _dead),                                                                       \
    };                                                                                                                 \
    HANDLERS(name) = { .by_width = BY_WIDTH(name), .shaped = name##_shaped, .dead = name##_shaped_dead, more }
/* AND and its kin: a flag is undefined. */
#define LOGIC_HANDLERS(name)                                                                                           \
    UNDEFINED(name);                                                                                                   \
    EACH_WIDTH(UPDATE_ANY, name, SOURCE_W, chosen, SETTLED)                                                            \
    UPDATE_HANDLERS(name, CHOSEN_WIDTH(name))

/* Shifts and rotates: the count is an immediate or CL, never in memory. */
#define SHIFT_HANDLERS(name)                                                                                           \
    UNDEFINED(name);                                                                                                   \
    EACH_WIDTH(UPDATE_ANY, name, SOURCE_8, any, AS_IS)                                                                 \
    EACH_WIDTH(UPDATE_ANY, name, SOURCE_8, chosen, SETTLED)                                                            \
    EACH_WIDTH(UPDATE_SHAPED, name, SOURCE_8, true, )                                                                  \
    EACH_WIDTH(UPDATE_SHAPED, name, SOURCE_8, false, _dead)                                                            \
    static op_fn *const name##_shaped[SHAPES][4] = {                                                                   \
        [SHAPE_RR] = ROW_WIDTH(name, rr, ),                                                                            \
        [SHAPE_RI] = ROW_WIDTH(name, ri, ),                                                                            \
        [SHAPE_MR] = ROW_WIDTH(name, mr, ),                                                                            \
        [SHAPE_MI] = ROW_WIDTH(name, mi, ),                                                                            \
    };                                                                                                                 \
    static op_fn *const name##_shaped_dead[SHAPES][4] = {                                                              \
        [SHAPE_RR] = ROW_WIDTH(name, rr, _dead),                                                                       \
        [SHAPE_RI] = ROW_WIDTH(name, ri, _dead),                                                                       \
        [SHAPE_MR] = ROW_WIDTH(name, mr, _dead),                                                                       \
        [SHAPE_MI] = ROW_WIDTH(name, mi, _dead),                                                                       \
    };                                                                                                                 \
    HANDLERS(name) = {                                                                                                 \
        .by_width = BY_WIDTH(name), .shaped = name##_shaped, .dead = name##_shaped_dead, CHOSEN_WIDTH(name)            \
    }

/* CMP, TEST: body(dst, src) for its flags alone. Without flags only the access to memory is left. */
#define LOOK_ANY(w, name, form, SETTLE)                                                                                \
    static OP(name##_##form##w)                                                                                        \
    {                                                                                                                  \
        FLAGS_BEFORE;                                                                                                  \
        uint64_t a, b;                                                                                                 \
        if (OPERAND(flags) & OP_MEM_DST) {                                                                             \
            LINEAR(at, (w) / 8, ACCESS_READ);                                                                          \
            LOAD(w, a, at);                                                                                            \
            b = OPERAND(flags) & OP_IMM ? OPERAND(imm) : REG(w, OPERAND(src));                                         \
        } else {                                                                                                       \
            READ_SOURCE(w, b);                                                                                         \
            a = REG(w, OPERAND(dst));                                                                                  \
        }                                                                                                              \
        name##_body(cpu, a, b, w, true);                                                                               \
        (void)SETTLE(name, w, 1, false, 0);                                                                            \
        NEXT;                                                                                                          \
    }
#define LOOK_SHAPED(w, name, live, tag)                                                                                \
    static OP(name##_rr##w##tag)                                                                                       \
    {                                                                                                                  \
        name##_body(cpu, REG(w, OPERAND(dst)), REG(w, OPERAND(src)), w, live);                                         \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_ri##w##tag)                                                                                       \
    {                                                                                                                  \
        name##_body(cpu, REG(w, OPERAND(dst)), OPERAND(imm), w, live);                                                 \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_rm##w##tag)                                                                                       \
    {                                                                                                                  \
        uint64_t b;                                                                                                    \
        LOAD_HIT(w, b, LINEAR_FLAT, op_##name##_any##w);                                                               \
        name##_body(cpu, REG(w, OPERAND(dst)), b, w, live);                                                            \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mr##w##tag)                                                                                       \
    {                                                                                                                  \
        uint64_t a;                                                                                                    \
        LOAD_HIT(w, a, LINEAR_FLAT, op_##name##_any##w);                                                               \
        name##_body(cpu, a, REG(w, OPERAND(src)), w, live);                                                            \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mi##w##tag)                                                                                       \
    {                                                                                                                  \
        uint64_t a;                                                                                                    \
        LOAD_HIT(w, a, LINEAR_FLAT, op_##name##_any##w);                                                               \
        name##_body(cpu, a, OPERAND(imm), w, live);                                                                    \
        NEXT;                                                                                                          \
    }
#define LOOK_HANDLERS(name, more)                                                                                      \
    EACH_WIDTH(LOOK_ANY, name, any, AS_IS)                                                                             \
    EACH_WIDTH(LOOK_SHAPED, name, true, )                                                                              \
    EACH_WIDTH(LOOK_SHAPED, name, false, _dead)                                                                        \
    static op_fn *const name##_shaped[SHAPES][4] = {                                                                   \
        [SHAPE_RR] = ROW_WIDTH(name, rr, ), [SHAPE_RI] = ROW_WIDTH(name, ri, ), [SHAPE_RM] = ROW_WIDTH(name, rm, ),    \
        [SHAPE_MR] = ROW_WIDTH(name, mr, ), [SHAPE_MI] = ROW_WIDTH(name, mi, ),                                        \
    };                                                                                                                 \
    static op_fn *const name##_shaped_dead[SHAPES][4] = {                                                              \
        [SHAPE_RR] = ROW_WIDTH(name, rr, _dead), [SHAPE_RI] = ROW_WIDTH(name, ri, _dead),                              \
        [SHAPE_RM] = ROW_WIDTH(name, rm, _dead), [SHAPE_MR] = ROW_WIDTH(name, mr, _dead),                              \
        [SHAPE_MI] = ROW_WIDTH(name, mi, _dead),                                                                       \
    };                                                                                                                 \
    HANDLERS(name) = { .by_width = BY_WIDTH(name), .shaped = name##_shaped, .dead = name##_shaped_dead, more }

/* INC and its kin: dst = body(dst); the body's b is not used. */
#define UPDATE1_ANY(w, name)                                                                                           \
    static OP(name##_any##w)                                                                                           \
    {                                                                                                                  \
        if (OPERAND(flags) & OP_MEM) {                                                                                 \
            uint64_t a;                                                                                                \
            LINEAR(at, (w) / 8, ACCESS_READ | ACCESS_WRITE);                                                           \
            LOAD_RMW(w, a, at);                                                                                        \
            uint64_t r = name##_body(cpu, a, w, true);                                                                 \
            STORE(w, at, r);                                                                                           \
        } else {                                                                                                       \
            SET_REG(w, OPERAND(dst), name##_body(cpu, REG(w, OPERAND(dst)), w, true));                                 \
        }                                                                                                              \
        NEXT;                                                                                                          \
    }
#define UPDATE1_SHAPED(w, name, live, tag)                                                                             \
    static OP(name##_rr##w##tag)                                                                                       \
    {                                                                                                                  \
        SET_REG(w, OPERAND(dst), name##_body(cpu, REG(w, OPERAND(dst)), w, live));                                     \
        NEXT;                                                                                                          \
    }                                                                                                                  \
    static OP(name##_mr##w##tag)                                                                                       \
    {                                                                                                                  \
        HIT(write, (w) / 8, host, LINEAR_FLAT, op_##name##_any##w);                                                    \
        host_write(host, w, name##_body(cpu, host_read(host, w), w, live));                                            \
        NEXT;                                                                                                          \
    }
#define UPDATE1_HANDLERS(name)                                                                                         \
    EACH_WIDTH(UPDATE1_ANY, name)                                                                                      \
    EACH_WIDTH(UPDATE1_SHAPED, name, true, )                                                                           \
    EACH_WIDTH(UPDATE1_SHAPED, name, false, _dead)                                                                     \
    static op_fn *const name##_shaped[SHAPES][4] = {                                                                   \
        [SHAPE_RR] = ROW_WIDTH(name, rr, ),                                                                            \
        [SHAPE_MR] = ROW_WIDTH(name, mr, ),                                                                            \
    };                                                                                                                 \
    static op_fn *const name##_shaped_dead[SHAPES][4] = {                                                              \
        [SHAPE_RR] = ROW_WIDTH(name, rr, _dead),                                                                       \
        [SHAPE_MR] = ROW_WIDTH(name, mr, _dead),                                                                       \
    };                                                                                                                 \
    HANDLERS(name) = { .by_width = BY_WIDTH(name), .shaped = name##_shaped, .dead = name##_shaped_dead }

/* --- flags ------------------------------------------------------------------------------------------------------ */

/* Result with CF and OF given and AF clear: what shifts leave. */
static inline void flags_set_shift(struct cpu *cpu, uint64_t result, bool cf, bool of, unsigned w)
{
    cpu->flag_result = sign_extend(result, w);
    cpu->flag_carries = (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}
/* CF and OF alone: what rotates leave. */
static inline void flags_set_co(struct cpu *cpu, bool cf, bool of)
{
    cpu->flag_carries =
        (cpu->flag_carries & ~(CARRIES_CF | CARRIES_PO)) | (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}
/* CF alone; OF is the difference of two bits, so both change or none. */
static inline void flags_set_cf(struct cpu *cpu, bool cf)
{
    if (flag_cf(cpu) != cf)
        cpu->flag_carries ^= CARRIES_CF | CARRIES_PO;
}
/* ZF alone. */
static inline void flags_set_zf(struct cpu *cpu, bool zf)
{
    flags_set_status(cpu, (flags_status(cpu) & ~FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

/* --- conditions (SDM vol. 1, appendix B) ------------------------------------------------------------------------ */

#define EACH_CONDITION(M) M(o) M(no) M(b) M(nb) M(z) M(nz) M(be) M(nbe) M(s) M(ns) M(p) M(np) M(l) M(nl) M(le) M(nle)

static inline bool condition_o(const struct cpu *cpu)
{
    return flag_of(cpu);
}
static inline bool condition_b(const struct cpu *cpu)
{
    return flag_cf(cpu);
}
static inline bool condition_z(const struct cpu *cpu)
{
    return flag_zf(cpu);
}
static inline bool condition_be(const struct cpu *cpu)
{
    return flag_cf(cpu) || flag_zf(cpu);
}
static inline bool condition_s(const struct cpu *cpu)
{
    return flag_sf(cpu);
}
static inline bool condition_p(const struct cpu *cpu)
{
    return flag_pf(cpu);
}
static inline bool condition_l(const struct cpu *cpu)
{
    return flag_sf(cpu) ^ flag_of(cpu);
}
static inline bool condition_le(const struct cpu *cpu)
{
    return condition_l(cpu) || flag_zf(cpu);
}
#define CONDITION_NOT(cc)                                                                                              \
    static inline bool condition_n##cc(const struct cpu *cpu)                                                          \
    {                                                                                                                  \
        return !condition_##cc(cpu);                                                                                   \
    }
CONDITION_NOT(o)
CONDITION_NOT(b)
CONDITION_NOT(z)
CONDITION_NOT(be)
CONDITION_NOT(s)
CONDITION_NOT(p)
CONDITION_NOT(l)
CONDITION_NOT(le)

/* --- more than one access --------------------------------------------------------------------------------------- */

/* True if an access hits in the TLB: it then cannot fault, sets no bit, and touches no device. */
static inline bool tlb_reads(const struct cpu *cpu, uint64_t linear, unsigned bytes)
{
    return tlb_slot(cpu, linear)->read == tlb_tag(linear, bytes);
}
static inline bool tlb_writes(const struct cpu *cpu, uint64_t linear, unsigned bytes)
{
    return tlb_slot(cpu, linear)->write == tlb_tag(linear, bytes);
}

/* --- stacks outside of the hot 64-bit forms --------------------------------------------------------------------- */

/* The offsets a stack of this mode has. */
static inline uint64_t stack_offsets(const struct cpu *cpu)
{
    if ((cpu->mode & MODE_CODE_MASK) == MODE_CODE64)
        return UINT64_MAX;
    return cpu->mode & MODE_STACK32 ? UINT32_MAX : UINT16_MAX;
}

/* Declares `linear`, the address of a stack operand at the offset (any bits above the stack's width are dropped). */
#define STACK_LINEAR(linear, offset, bytes, access)                                                                    \
    uint64_t linear;                                                                                                   \
    if (!segment_address(cpu, SS, (offset) & stack_offsets(cpu), (bytes), (access) | ACCESS_STACK, &linear))           \
    FAULT_PENDING

#endif
