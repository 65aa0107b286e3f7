/*
 * x87 data movement: loads, stores, constants, exchange, conditional moves, the stack pointer, sign and class of ST(0)
 * (SDM vol. 1, 8.3.3-8.3.4). Memory forms have one handler for each type, named by it.
 */
#include "cpu/handler.h"
#include "cpu/x87.h"

/* --- loads --- */

static void push_raw(struct cpu *cpu, const struct op *op, struct f80 value)
{
    if (!x87_empty(cpu, -1)) {
        if (x87_stack_fault(cpu, op, true))
            x87_push(cpu, x87_indefinite());
        return;
    }
    x87_finish(cpu, op, &(struct fp_context){ 0 });
    x87_push(cpu, value);
}

static void push_number(struct cpu *cpu, const struct op *op, struct fp_number value)
{
    struct fp_context context = x87_context(cpu);
    context.unmasked &= FP_IE; /* a trapped DE does not keep the value from being loaded */
    struct fp_number result = fp_convert(&context, &fp_f80, value);
    if (!x87_empty(cpu, -1)) {
        push_raw(cpu, op, x87_indefinite());
        return;
    }
    x87_finish(cpu, op, &context);
    if (!fp_trapped(&context, FP_IE))
        x87_push(cpu, f80_pack(result));
}

#define LOAD_NUMBER(name, w, unpack)                                                                                   \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        uint64_t value;                                                                                                \
        LINEAR(linear, (w) / 8, ACCESS_READ);                                                                          \
        LOAD(w, value, linear);                                                                                        \
        push_number(cpu, op, unpack(value));                                                                           \
        NEXT;                                                                                                          \
    }
LOAD_NUMBER(fld_m32, 32, x87_from_f32)
LOAD_NUMBER(fld_m64, 64, x87_from_f64)
LOAD_NUMBER(fild_m16, 16, x87_from_i16)
LOAD_NUMBER(fild_m32, 32, x87_from_i32)
LOAD_NUMBER(fild_m64, 64, x87_from_i64)

HANDLER(fld_m80)
{
    X87_WAIT;
    uint8_t bytes[10];
    struct f80 value;
    LINEAR(linear, 10, ACCESS_READ);
    LOAD_BYTES(10, bytes, linear);
    memcpy(&value.mantissa, bytes, 8);
    memcpy(&value.sign_exponent, bytes + 8, 2);
    push_raw(cpu, op, value);
    NEXT;
}

HANDLER(fbld)
{
    X87_WAIT;
    uint8_t bytes[10];
    LINEAR(linear, 10, ACCESS_READ);
    LOAD_BYTES(10, bytes, linear);
    push_raw(cpu, op, f80_pack(fp_from_bcd(bytes)));
    NEXT;
}

HANDLER(fld_st)
{
    X87_WAIT;
    if (x87_empty(cpu, OPERAND(dst))) { /* before an overflow */
        if (x87_stack_fault(cpu, op, false))
            x87_push(cpu, x87_indefinite());
    } else {
        push_raw(cpu, op, x87_get(cpu, OPERAND(dst)));
    }
    NEXT;
}

/* --- constants: rounded by RC, and no PE (SDM vol. 1, 8.3.8) --- */

/* nearest_up: the bits cut off the mantissa are more than half of its last place. */
static void push_constant(struct cpu *cpu, const struct op *op, uint16_t exponent, uint64_t truncated, bool nearest_up)
{
    enum fp_rounding rounding = x87_context(cpu).rounding;
    bool up = rounding == ROUND_UP || (rounding == ROUND_NEAREST && nearest_up);
    push_raw(cpu, op, (struct f80){ .sign_exponent = exponent, .mantissa = truncated + up });
}

#define CONSTANT(name, exponent, truncated, nearest_up)                                                                \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        push_constant(cpu, op, exponent, truncated, nearest_up);                                                       \
        NEXT;                                                                                                          \
    }
CONSTANT(fldl2t, 0x4000, 0xD49A784BCD1B8AFE, false)
CONSTANT(fldl2e, 0x3FFF, 0xB8AA3B295C17F0BB, true)
CONSTANT(fldpi, 0x4000, 0xC90FDAA22168C234, true)
CONSTANT(fldlg2, 0x3FFD, 0x9A209A84FBCFF798, true)
CONSTANT(fldln2, 0x3FFE, 0xB17217F7D1CF79AB, true)

HANDLER(fld1)
{
    X87_WAIT;
    push_raw(cpu, op, f80_pack(fp_unpack_uint(1)));
    NEXT;
}
HANDLER(fldz)
{
    X87_WAIT;
    push_raw(cpu, op, (struct f80){ 0 });
    NEXT;
}

/* --- stores --- */

/*
 * A store is worked out before its access to memory, so that a page fault finds everything unchanged. With an unmasked
 * exception other than PE nothing is stored or popped (SDM vol. 1, 8.5).
 */
struct store {
    struct fp_context context;
    uint64_t bits;
    bool empty, writes;
};

static struct store store_begin(const struct cpu *cpu, struct fp_number *value)
{
    struct store store = { .context = x87_context(cpu), .empty = x87_empty(cpu, 0) };
    store.writes = !store.empty || !(store.context.unmasked & FP_IE);
    *value = store.empty ? fp_indefinite() : x87_number(cpu, 0);
    value->denormal = false; /* a denormal in a register stores without DE */
    return store;
}

static struct store store_done(struct store store, uint64_t bits)
{
    store.bits = bits;
    if (fp_trapped(&store.context, FP_IE | FP_OE | FP_UE)) {
        store.writes = false;
        store.context.flags &= (uint8_t)~FP_PE; /* nothing was rounded: a register would get the wrapped result */
        store.context.rounded_up = false;
    }
    return store;
}

static struct store store_f32(const struct cpu *cpu)
{
    struct fp_number value;
    struct store store = store_begin(cpu, &value);
    return store_done(store, f32_pack(fp_convert(&store.context, &fp_f32, value)));
}

static struct store store_f64(const struct cpu *cpu)
{
    struct fp_number value;
    struct store store = store_begin(cpu, &value);
    return store_done(store, f64_pack(fp_convert(&store.context, &fp_f64, value)));
}

static struct store store_integer(const struct cpu *cpu, unsigned bits, bool truncate)
{
    struct fp_number value;
    struct store store = store_begin(cpu, &value);
    enum fp_rounding rounding = truncate ? ROUND_TRUNCATE : store.context.rounding;
    return store_done(store, (uint64_t)fp_to_int(&store.context, value, bits, rounding));
}

static void store_end(struct cpu *cpu, const struct op *op, const struct store *store, bool pop)
{
    if (store->empty)
        x87_stack_fault(cpu, op, false);
    else
        x87_finish(cpu, op, &store->context);
    if (pop && store->writes)
        x87_pop(cpu);
}

#define STORE_NUMBER(name, w, convert, pop)                                                                            \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        struct store store = convert;                                                                                  \
        if (likely(store.writes)) {                                                                                    \
            LINEAR(linear, (w) / 8, ACCESS_WRITE);                                                                     \
            STORE(w, linear, store.bits);                                                                              \
        }                                                                                                              \
        store_end(cpu, op, &store, pop);                                                                               \
        NEXT;                                                                                                          \
    }
STORE_NUMBER(fst_m32, 32, store_f32(cpu), false)
STORE_NUMBER(fst_m64, 64, store_f64(cpu), false)
STORE_NUMBER(fstp_m32, 32, store_f32(cpu), true)
STORE_NUMBER(fstp_m64, 64, store_f64(cpu), true)
STORE_NUMBER(fist_m16, 16, store_integer(cpu, 16, false), false)
STORE_NUMBER(fist_m32, 32, store_integer(cpu, 32, false), false)
STORE_NUMBER(fistp_m16, 16, store_integer(cpu, 16, false), true)
STORE_NUMBER(fistp_m32, 32, store_integer(cpu, 32, false), true)
STORE_NUMBER(fistp_m64, 64, store_integer(cpu, 64, false), true)
STORE_NUMBER(fisttp_m16, 16, store_integer(cpu, 16, true), true)
STORE_NUMBER(fisttp_m32, 32, store_integer(cpu, 32, true), true)
STORE_NUMBER(fisttp_m64, 64, store_integer(cpu, 64, true), true)

HANDLER(fstp_m80)
{
    X87_WAIT;
    struct fp_number ignored;
    struct store store = store_begin(cpu, &ignored);
    if (store.writes) {
        struct f80 value = store.empty ? x87_indefinite() : x87_get(cpu, 0);
        uint8_t bytes[10];
        memcpy(bytes, &value.mantissa, 8);
        memcpy(bytes + 8, &value.sign_exponent, 2);
        LINEAR(linear, 10, ACCESS_WRITE);
        STORE_BYTES(10, linear, bytes);
    }
    store_end(cpu, op, &store, true);
    NEXT;
}

HANDLER(fbstp)
{
    X87_WAIT;
    struct fp_number value;
    uint8_t bytes[10];
    struct store store = store_begin(cpu, &value);
    fp_to_bcd(&store.context, value, bytes);
    store = store_done(store, 0);
    if (store.writes) {
        LINEAR(linear, 10, ACCESS_WRITE);
        STORE_BYTES(10, linear, bytes);
    }
    store_end(cpu, op, &store, true);
    NEXT;
}

static void store_register(struct cpu *cpu, const struct op *op, bool pop)
{
    if (x87_empty(cpu, 0)) {
        if (!x87_stack_fault(cpu, op, false))
            return;
        x87_set(cpu, OPERAND(dst), x87_indefinite());
    } else {
        x87_finish(cpu, op, &(struct fp_context){ 0 });
        x87_set(cpu, OPERAND(dst), x87_get(cpu, 0));
    }
    if (pop)
        x87_pop(cpu);
}

HANDLER(fst_st)
{
    X87_WAIT;
    store_register(cpu, op, false);
    NEXT;
}
HANDLER(fstp_st)
{
    X87_WAIT;
    store_register(cpu, op, true);
    NEXT;
}
/* D9 D8+i: as FSTP, but an empty ST(0) is no stack fault. */
HANDLER(fstpnce)
{
    X87_WAIT;
    if (x87_empty(cpu, 0)) {
        x87_finish(cpu, op, &(struct fp_context){ 0 });
        x87_pop(cpu);
    } else {
        store_register(cpu, op, true);
    }
    NEXT;
}

/* --- between registers --- */

/* The operand of an instruction that goes on with the indefinite where a register is empty. */
static struct f80 get_or_indefinite(const struct cpu *cpu, int i)
{
    return x87_empty(cpu, i) ? x87_indefinite() : x87_get(cpu, i);
}

HANDLER(fxch)
{
    X87_WAIT;
    bool empty = x87_empty(cpu, 0) || x87_empty(cpu, OPERAND(dst));
    if (!empty)
        x87_finish(cpu, op, &(struct fp_context){ 0 });
    if (!empty || x87_stack_fault(cpu, op, false)) {
        struct f80 a = get_or_indefinite(cpu, 0), b = get_or_indefinite(cpu, OPERAND(dst));
        x87_set(cpu, 0, b);
        x87_set(cpu, OPERAND(dst), a);
    }
    NEXT;
}

/* An empty register is a stack fault whatever the condition says. C1 stays as it is otherwise. */
static void move_if(struct cpu *cpu, const struct op *op, bool condition)
{
    if (x87_empty(cpu, 0) || x87_empty(cpu, OPERAND(src))) {
        if (x87_stack_fault(cpu, op, false))
            x87_set(cpu, 0, x87_indefinite());
        return;
    }
    x87_note(cpu, op);
    if (condition)
        x87_set(cpu, 0, x87_get(cpu, OPERAND(src)));
}

#define MOVE_IF(name, condition)                                                                                       \
    HANDLER(name)                                                                                                      \
    {                                                                                                                  \
        X87_WAIT;                                                                                                      \
        move_if(cpu, op, condition);                                                                                   \
        NEXT;                                                                                                          \
    }
MOVE_IF(fcmovb, flag_cf(cpu))
MOVE_IF(fcmove, flag_zf(cpu))
MOVE_IF(fcmovbe, flag_cf(cpu) || flag_zf(cpu))
MOVE_IF(fcmovu, flag_pf(cpu))
MOVE_IF(fcmovnb, !flag_cf(cpu))
MOVE_IF(fcmovne, !flag_zf(cpu))
MOVE_IF(fcmovnbe, !flag_cf(cpu) && !flag_zf(cpu))
MOVE_IF(fcmovnu, !flag_pf(cpu))

/* --- sign and class of ST(0) --- */

static void change_sign(struct cpu *cpu, const struct op *op, uint16_t keep, uint16_t flip)
{
    if (x87_empty(cpu, 0)) {
        if (x87_stack_fault(cpu, op, false))
            x87_set(cpu, 0, x87_indefinite());
        return;
    }
    struct f80 value = x87_get(cpu, 0);
    value.sign_exponent = (uint16_t)((value.sign_exponent & keep) ^ flip);
    x87_finish(cpu, op, &(struct fp_context){ 0 });
    x87_set(cpu, 0, value);
}

HANDLER(fchs)
{
    X87_WAIT;
    change_sign(cpu, op, 0xFFFF, 0x8000);
    NEXT;
}
HANDLER(fabs)
{
    X87_WAIT;
    change_sign(cpu, op, 0x7FFF, 0);
    NEXT;
}

static unsigned class_codes(const struct cpu *cpu)
{
    static const unsigned codes[] = {
        [NUMBER_ZERO] = FSW_C3, [NUMBER_FINITE] = FSW_C2, [NUMBER_INFINITE] = FSW_C2 | FSW_C0,
        [NUMBER_QNAN] = FSW_C0, [NUMBER_SNAN] = FSW_C0,   [NUMBER_UNSUPPORTED] = 0,
    };
    struct fp_number value = x87_number(cpu, 0);
    unsigned sign = value.sign ? FSW_C1 : 0; /* even of an empty register */
    if (x87_empty(cpu, 0))
        return sign | FSW_C3 | FSW_C0;
    return sign | (value.denormal ? FSW_C3 | FSW_C2 : codes[value.kind]);
}

HANDLER(fxam)
{
    X87_WAIT;
    x87_note(cpu, op);
    x87_set_codes(cpu, class_codes(cpu));
    NEXT;
}

/* --- the stack itself --- */

HANDLER(fincstp)
{
    X87_WAIT;
    x87_finish(cpu, op, &(struct fp_context){ 0 });
    x87_set_top(cpu, x87_top(cpu) + 1);
    NEXT;
}
HANDLER(fdecstp)
{
    X87_WAIT;
    x87_finish(cpu, op, &(struct fp_context){ 0 });
    x87_set_top(cpu, x87_top(cpu) - 1);
    NEXT;
}
HANDLER(ffree)
{
    X87_WAIT;
    x87_finish(cpu, op, &(struct fp_context){ 0 });
    x87_free(cpu, OPERAND(dst));
    NEXT;
}
HANDLER(ffreep)
{
    X87_WAIT;
    x87_finish(cpu, op, &(struct fp_context){ 0 });
    x87_free(cpu, OPERAND(dst));
    x87_pop(cpu);
    NEXT;
}
HANDLER(fnop)
{
    X87_WAIT;
    x87_note(cpu, op);
    NEXT;
}
