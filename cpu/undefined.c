/*
 * What the manual leaves undefined (undefined.h): the lines of isa.def, executed.
 */
#include "cpu/undefined.h"
#include "cpu/alu.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- the choice --- */

bool undefined_parse(const char *text, struct undefined_choice *choice)
{
    *choice = (struct undefined_choice){ .how = UNDEFINED_INTEL };
    if (strcmp(text, "intel") == 0)
        return true;
    if (strcmp(text, "amd") == 0) {
        choice->how = UNDEFINED_AMD;
        return true;
    }
    bool old = strncmp(text, "random-old:", 11) == 0;
    if (!old && strncmp(text, "random:", 7) != 0)
        return false;
    const char *digits = strchr(text, ':') + 1;
    bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    unsigned base = hexadecimal ? 16 : 10;
    uint64_t seed = 0;
    digits += hexadecimal ? 2 : 0;
    if (!*digits)
        return false;
    for (; *digits; digits++) {
        char c = (char)(*digits | 0x20);
        unsigned digit = *digits >= '0' && *digits <= '9' ? (unsigned)(*digits - '0')
                         : c >= 'a' && c <= 'f'           ? (unsigned)(c - 'a') + 10
                                                          : 16;
        if (digit >= base || __builtin_mul_overflow(seed, base, &seed) || __builtin_add_overflow(seed, digit, &seed))
            return false;
    }
    *choice = (struct undefined_choice){ .how = old ? UNDEFINED_RANDOM_OLD : UNDEFINED_RANDOM, .seed = seed };
    return true;
}

void undefined_format(const struct undefined_choice *choice, char text[UNDEFINED_TEXT_BYTES])
{
    static const char *const names[] = { [UNDEFINED_INTEL] = "intel",
                                         [UNDEFINED_AMD] = "amd",
                                         [UNDEFINED_RANDOM] = "random:",
                                         [UNDEFINED_RANDOM_OLD] = "random-old:" };
    const char *name = names[choice->how];
    if (choice->how >= UNDEFINED_RANDOM)
        snprintf(text, UNDEFINED_TEXT_BYTES, "%s%" PRIu64, name, choice->seed);
    else
        snprintf(text, UNDEFINED_TEXT_BYTES, "%s", name);
}

const char *undefined_when_text(enum undefined_when when)
{
    static const char *const texts[] = { [UNDEFINED_ALWAYS] = "always",
                                         [UNDEFINED_COUNT_ABOVE_1] = "count above 1",
                                         [UNDEFINED_COUNT_SIZE] = "count at least the operand size",
                                         [UNDEFINED_COUNT_ABOVE_SIZE] = "count above the operand size",
                                         [UNDEFINED_ZERO] = "source 0",
                                         [UNDEFINED_SIZE_16] = "16-bit operand" };
    return texts[when];
}

const char *undefined_rule_text(enum undefined_rule rule)
{
    static const char *const texts[] = { [RULE_KEPT] = "kept",
                                         [RULE_CLEAR] = "0",
                                         [RULE_SET] = "1",
                                         [RULE_RESULT] = "by the result",
                                         [RULE_FIRST] = "as for a count of 1",
                                         [RULE_LEFT] = "CF xor top bit of the result",
                                         [RULE_RIGHT] = "xor of the result's two top bits",
                                         [RULE_CARRY] = "as CF" };
    return texts[rule];
}

/* --- when --- */

static bool applies(const struct undefined_line *line, uint32_t w, uint32_t count, bool zero)
{
    if (count == 0)
        return false;
    switch ((enum undefined_when)line->when) {
    case UNDEFINED_ALWAYS:
        return true;
    case UNDEFINED_COUNT_ABOVE_1:
        return count > 1;
    case UNDEFINED_COUNT_SIZE:
        return count >= w;
    case UNDEFINED_COUNT_ABOVE_SIZE:
        return count > w;
    case UNDEFINED_ZERO:
        return zero;
    case UNDEFINED_SIZE_16:
        return w == 16;
    }
    return false;
}

bool undefined_matters(const struct undefined *what, const struct undefined_choice *choice)
{
    switch ((enum undefined_how)choice->how) {
    case UNDEFINED_INTEL:
        return false;
    case UNDEFINED_AMD:
        return what->amd_differs;
    case UNDEFINED_RANDOM:
    case UNDEFINED_RANDOM_OLD:
        break;
    }
    return true;
}

uint32_t undefined_flags(const struct undefined *what, unsigned whose, uint32_t w, uint32_t count, bool zero,
                         bool *result)
{
    uint32_t flags = 0;
    *result = false;
    for (unsigned i = 0; i < what->count; i++) {
        const struct undefined_line *line = &what->lines[i];
        if (!(line->whose & whose) || !applies(line, w, count, zero))
            continue;
        flags |= line->flags;
        *result |= line->result;
    }
    return flags;
}

/* --- as AMD's processors do it --- */

static uint32_t flags_if(bool condition, uint32_t flags)
{
    return condition ? flags : 0;
}

/* The flags that a rule gives; now: the flags as they are so far. */
static uint32_t rule_flags(enum undefined_rule rule, uint32_t now, const struct undefined_case *at)
{
    uint64_t r = at->result & width_mask(at->w);
    bool top = r >> (at->w - 1) & 1, next = r >> (at->w - 2) & 1, carry = now & FLAG_CF;
    switch (rule) {
    case RULE_KEPT:
        return at->before;
    case RULE_CLEAR:
    case RULES:
        break;
    case RULE_SET:
        return FLAGS_STATUS;
    case RULE_RESULT: /* the handlers do both */
    case RULE_FIRST:
        return now;
    case RULE_LEFT:
        return flags_if(carry != top, FLAG_OF);
    case RULE_RIGHT:
        return flags_if(top != next, FLAG_OF);
    case RULE_CARRY:
        return flags_if(carry, FLAG_OF);
    }
    return 0;
}

/* No line of AMD's changes a result. */
static uint64_t settle_amd(struct cpu *cpu, const struct undefined *what, const struct undefined_case *at)
{
    uint32_t flags = flags_status(cpu);
    for (unsigned i = 0; i < what->count; i++) {
        const struct undefined_line *line = &what->lines[i];
        if (applies(line, at->w, at->count, at->zero))
            flags = (flags & ~line->flags) | (rule_flags(line->amd, flags, at) & line->flags);
    }
    flags_set_status(cpu, flags);
    return at->result;
}

/* --- at random --- */

static uint64_t settle_random(struct cpu *cpu, const struct op *op, const struct undefined *what,
                              const struct undefined_case *at)
{
    unsigned whose = UNDEFINED_BY_INTEL | (cpu->undefined.how == UNDEFINED_RANDOM_OLD ? UNDEFINED_BY_OLD : 0);
    uint64_t seed = cpu->undefined.seed, cycle = engine_cycle(cpu, op);
    bool result;
    uint32_t mask = undefined_flags(what, whose, at->w, at->count, at->zero, &result);
    if (mask) {
        uint32_t drawn = (uint32_t)entropy_draw(seed, ENTROPY_UNDEFINED_FLAGS, cycle);
        flags_set_status(cpu, (flags_status(cpu) & ~mask) | (drawn & mask));
    }
    return result ? entropy_draw(seed, ENTROPY_UNDEFINED_RESULT, cycle) : at->result;
}

uint64_t undefined_settle(struct cpu *cpu, const struct op *op, const struct undefined *what,
                          const struct undefined_case *at)
{
    return cpu->undefined.how == UNDEFINED_AMD ? settle_amd(cpu, what, at) : settle_random(cpu, op, what, at);
}
