/*
 * x87 control instructions: control and status word, environment and state in their 14/28 and 94/108 byte forms
 * (SDM vol. 1, 8.1.10, figures 8-9 to 8-12). None of them but FLDCW, FLDENV, FRSTOR and FWAIT looks at pending
 * exceptions.
 */
#include "cpu/handler.h"
#include "cpu/x87.h"

/* --- words --- */

HANDLER(fldcw)
{
    X87_WAIT;
    uint64_t fcw;
    LINEAR(linear, 2, ACCESS_READ);
    LOAD(16, fcw, linear);
    x87_load_fcw(cpu, (uint16_t)fcw);
    NEXT;
}
HANDLER(fnstcw)
{
    LINEAR(linear, 2, ACCESS_WRITE);
    STORE(16, linear, cpu->x87.fcw);
    NEXT;
}
HANDLER(fnstsw_m16)
{
    LINEAR(linear, 2, ACCESS_WRITE);
    STORE(16, linear, cpu->x87.fsw);
    NEXT;
}
HANDLER(fnstsw_ax)
{
    SET_REG(16, OPERAND(dst), cpu->x87.fsw);
    NEXT;
}
HANDLER(fnclex)
{
    cpu->x87.fsw &= (uint16_t)~(FCW_MASKS | FSW_SF | FSW_ES | FSW_B);
    NEXT;
}
HANDLER(fninit)
{
    x87_init(cpu);
    NEXT;
}
/* FENI, FDISI and FSETPM of the 8087 and 287 do nothing. */
HANDLER(f8087_nop)
{
    (void)cpu;
    NEXT;
}
HANDLER(fwait)
{
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        FAULT(VEC_NM);
    X87_WAIT;
    NEXT;
}

/* --- the environment --- */

/* Its layout depends on operand size and mode; 64-bit mode has the 32-bit protected one. */
struct environment {
    bool real;
    unsigned word; /* bytes from field to field: 2 or 4 */
};
#define ENVIRONMENT_FIELDS 7u
#define STATE_BYTES_MAX    108u

static struct environment environment_of(const struct cpu *cpu, const struct op *op)
{
    bool real = !(cpu->mode & MODE_PROTECTED) || cpu->mode & MODE_VM86;
    return (struct environment){ .real = real, .word = OP_WIDTH(op) == 16 ? 2 : 4 };
}
static unsigned environment_bytes(struct environment env)
{
    return ENVIRONMENT_FIELDS * env.word;
}

/* The fields are little-endian; what a 32-bit one has above the 16 bits it uses reads as ones. */
static void put_field(uint8_t *image, struct environment env, unsigned i, uint32_t value)
{
    for (unsigned byte = 0; byte < env.word; byte++)
        image[i * env.word + byte] = (uint8_t)(value >> (8 * byte));
}
static uint32_t get_field(const uint8_t *image, struct environment env, unsigned i)
{
    uint32_t value = 0;
    for (unsigned byte = env.word; byte-- > 0;)
        value = value << 8 | image[i * env.word + byte];
    return value;
}

#define UPPER_ONES 0xFFFF0000u

static void save_pointers(const struct cpu *cpu, struct environment env, uint8_t *image)
{
    const struct x87 *fpu = &cpu->x87;
    uint32_t fip = (uint32_t)fpu->fip, fdp = (uint32_t)fpu->fdp;
    if (!env.real) {
        put_field(image, env, 3, fip);
        put_field(image, env, 4, (uint32_t)fpu->fop << 16);
        put_field(image, env, 5, fdp);
        put_field(image, env, 6, UPPER_ONES);
    } else { /* linear addresses, of which the upper part stands beside FOP */
        put_field(image, env, 3, fip & 0xFFFF);
        put_field(image, env, 4, (fip >> 16 << 12) | fpu->fop);
        put_field(image, env, 5, fdp & 0xFFFF);
        put_field(image, env, 6, fdp >> 16 << 12);
    }
}

static void save_environment(const struct cpu *cpu, struct environment env, uint8_t *image)
{
    put_field(image, env, 0, UPPER_ONES | cpu->x87.fcw);
    put_field(image, env, 1, UPPER_ONES | cpu->x87.fsw);
    put_field(image, env, 2, UPPER_ONES | x87_full_tags(cpu));
    save_pointers(cpu, env, image);
}

static void load_pointers(struct cpu *cpu, struct environment env, const uint8_t *image)
{
    struct x87 *fpu = &cpu->x87;
    uint32_t beside = get_field(image, env, 4);
    fpu->fip = get_field(image, env, 3);
    fpu->fdp = get_field(image, env, 5);
    fpu->fcs = fpu->fds = 0;
    if (env.real) {
        fpu->fip = (fpu->fip & 0xFFFF) | (beside >> 12 & 0xFFFF) << 16;
        fpu->fdp = (fpu->fdp & 0xFFFF) | (get_field(image, env, 6) >> 12 & 0xFFFF) << 16;
        fpu->fop = beside & 0x7FF;
    } else {
        fpu->fop = env.word == 4 ? beside >> 16 & 0x7FF : 0; /* the 16-bit form has no room for it */
    }
}

static void load_environment(struct cpu *cpu, struct environment env, const uint8_t *image)
{
    cpu->x87.fsw = (uint16_t)get_field(image, env, 1);
    x87_load_fcw(cpu, (uint16_t)get_field(image, env, 0));
    x87_load_full_tags(cpu, (uint16_t)get_field(image, env, 2));
    load_pointers(cpu, env, image);
}

HANDLER(fnstenv)
{
    uint8_t image[STATE_BYTES_MAX];
    struct environment env = environment_of(cpu, op);
    save_environment(cpu, env, image);
    LINEAR(linear, environment_bytes(env), ACCESS_WRITE);
    STORE_BYTES(environment_bytes(env), linear, image);
    x87_load_fcw(cpu, cpu->x87.fcw | FCW_MASKS);
    NEXT;
}

HANDLER(fldenv)
{
    X87_WAIT;
    uint8_t image[STATE_BYTES_MAX];
    struct environment env = environment_of(cpu, op);
    LINEAR(linear, environment_bytes(env), ACCESS_READ);
    LOAD_BYTES(environment_bytes(env), image, linear);
    load_environment(cpu, env, image);
    NEXT;
}

/* --- environment and registers, ST(0) first --- */

HANDLER(fnsave)
{
    uint8_t image[STATE_BYTES_MAX];
    struct environment env = environment_of(cpu, op);
    unsigned bytes = environment_bytes(env) + 80;
    save_environment(cpu, env, image);
    for (int i = 0; i < 8; i++) {
        struct f80 value = x87_get(cpu, i);
        memcpy(image + environment_bytes(env) + 10 * i, &value.mantissa, 8);
        memcpy(image + environment_bytes(env) + 10 * i + 8, &value.sign_exponent, 2);
    }
    LINEAR(linear, bytes, ACCESS_WRITE);
    if (!mem_write(cpu, linear, bytes, ACCESS_WRITE | (OPERAND(seg) == SS ? ACCESS_STACK : 0), image))
        FAULT_PENDING;
    x87_init(cpu);
    NEXT;
}

HANDLER(frstor)
{
    X87_WAIT;
    uint8_t image[STATE_BYTES_MAX];
    struct environment env = environment_of(cpu, op);
    unsigned bytes = environment_bytes(env) + 80;
    LINEAR(linear, bytes, ACCESS_READ);
    if (!mem_read(cpu, linear, bytes, ACCESS_READ | (OPERAND(seg) == SS ? ACCESS_STACK : 0), image))
        FAULT_PENDING;
    load_environment(cpu, env, image);
    for (int i = 0; i < 8; i++) {
        struct x87_register *r = &cpu->x87.r[x87_physical(cpu, i)];
        memcpy(&r->mantissa, image + environment_bytes(env) + 10 * i, 8);
        memcpy(&r->exponent, image + environment_bytes(env) + 10 * i + 8, 2);
    }
    NEXT;
}
