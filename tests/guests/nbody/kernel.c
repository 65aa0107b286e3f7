/*
 * A microkernel that computes the motion of planets in each way the processor has, at CPL 0 and at CPL 3, and prints
 * energies and positions exactly. Built freestanding as ELF64 with a PVH entry, so that sim (--entry pvh) and QEMU
 * (-kernel) both load it. Ends with debug-exit code 0, or 1 after a line that begins with FAIL.
 *
 * The command line may hold steps=N (1000), only=VARIANT, and tick=DIVISOR of the PIT's clock (119, that is 10 kHz; 0
 * is none). nbody.expected is what it prints without any.
 */
#include "kernel.h"

#define PVH_MAGIC 0x336EC578u

struct pvh_start {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline;
};

struct options {
    uint64_t steps, divisor;
    char only[16];
};

static const struct variant {
    const char *name;
    enum vector_level level;
    const char *lacking;
    void (*run)(uint64_t report);
    void (*print)(const union number *x, unsigned places);
    unsigned places;
} variants[] = {
    { "sse2", LEVEL_SSE, "", nbody_sse2, print_f64, 20 },
    { "avx2", LEVEL_AVX2, "AVX2 or FMA", nbody_avx2, print_f64, 20 },
    { "avx512", LEVEL_AVX512, "AVX-512F", nbody_avx512, print_f64, 20 },
    { "x87", LEVEL_SSE, "", nbody_x87, print_f80, 24 },
    { "fixed", LEVEL_SSE, "", nbody_fixed, print_fixed, 16 },
};

__attribute__((section(".user_data"))) static struct report report = { 0 };

/* --- command line: words NAME=VALUE --- */

static const char *value_of(const char *line, const char *name)
{
    for (; *line; line++) {
        const char *at = line, *want = name;
        while (*want && *at == *want)
            at++, want++;
        if (!*want && *at == '=')
            return at + 1;
        while (*line && *line != ' ')
            line++;
        if (!*line)
            break;
    }
    return 0;
}

static uint64_t number_of(const char *line, const char *name, uint64_t otherwise)
{
    const char *at = value_of(line, name);
    if (!at)
        return otherwise;
    uint64_t number = 0;
    while (*at >= '0' && *at <= '9')
        number = number * 10 + (uint64_t)(*at++ - '0');
    return number;
}

static void read_options(const struct pvh_start *start, struct options *options)
{
    const char *line = start->magic == PVH_MAGIC && start->cmdline ? (const char *)start->cmdline : "";
    options->steps = number_of(line, "steps", 1000);
    options->divisor = number_of(line, "tick", 119);
    const char *only = value_of(line, "only");
    for (unsigned i = 0; only && i + 1 < sizeof(options->only) && only[i] && only[i] != ' '; i++)
        options->only[i] = only[i];
}

static bool wanted(const struct options *options, const char *name)
{
    const char *only = options->only;
    if (!*only)
        return true;
    while (*only && *only == *name)
        only++, name++;
    return *only == *name;
}

/* --- runs --- */

static void print_report(const struct variant *variant, const char *where)
{
    static const char *const names[BODIES] = { "sun", "jupiter", "saturn", "uranus", "neptune" };
    print(variant->name);
    print(where);
    print(" energy");
    for (int i = 0; i < 2; i++) {
        print(" ");
        variant->print(&report.energy[i], variant->places);
    }
    print("\n");
    for (int i = 0; i < BODIES; i++) {
        print(variant->name);
        print(where);
        print(" ");
        print(names[i]);
        for (int k = 0; k < 3; k++) {
            print(" ");
            variant->print(&report.position[i][k], variant->places);
        }
        print("\n");
    }
}

static void run(const struct variant *variant, uint64_t steps, bool user)
{
    uint8_t *bytes = (uint8_t *)&report;
    for (unsigned i = 0; i < sizeof(report); i++)
        bytes[i] = 0;
    report.steps = steps;
    machine_reset_fp();
    if (user)
        machine_user_call(variant->run, &report);
    else
        variant->run((uint64_t)&report);
    print_report(variant, user ? " cpl3" : " cpl0");
}

__attribute__((noreturn)) void kernel(const struct pvh_start *start);
__attribute__((noreturn)) void kernel(const struct pvh_start *start)
{
    struct options options = { 0 };
    struct features features;
    read_options(start, &options);
    machine_start(&features, (uint16_t)options.divisor);
    print("nbody: ");
    print_unsigned(options.steps);
    print(" steps\n");
    for (unsigned i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        const struct variant *variant = &variants[i];
        if (!wanted(&options, variant->name))
            continue;
        if (features.level < variant->level) {
            print(variant->name);
            print(" left out: the processor lacks ");
            print(variant->lacking);
            print("\n");
            continue;
        }
        run(variant, options.steps, false);
        run(variant, options.steps, true);
    }
    if (options.divisor && !machine_ticks()) {
        print("FAIL no tick came\n");
        machine_end(1);
    }
    print("nbody: end\n");
    machine_end(0);
}
