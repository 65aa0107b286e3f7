/*
 * The guest that a command line names: images, machine, and what ends the run. Shared by the commands that start one.
 */
#ifndef SIM_GUEST_OPTIONS_H
#define SIM_GUEST_OPTIONS_H

#include "sim/options.h"
#include "sim/session.h"

struct guest_options {
    const char *kernel, *initrd, *cmdline, *cpu, *undefined, *rtc, *seed, *until, *fail, *expect;
    struct option_list modules;
    uint64_t memory, max_cycles, mark_every, idle_limit;
    unsigned on_reset, entry, backend;
};

#define GUEST_CMDLINE   "console=ttyS0 panic=-1"
#define GUEST_UNDEFINED "intel"
#define GUEST_CPU       "x86-64-v2"
#define GUEST_MEMORY    (256ull << 20)
#define GUEST_DEFAULTS                                                                                                 \
    { .cmdline = GUEST_CMDLINE,                                                                                        \
      .cpu = GUEST_CPU,                                                                                                \
      .undefined = GUEST_UNDEFINED,                                                                                    \
      .memory = GUEST_MEMORY,                                                                                          \
      .max_cycles = UINT64_MAX,                                                                                        \
      .mark_every = SESSION_MARK_CYCLES,                                                                               \
      .idle_limit = 60 }

/* Rows of a table of options whose values stand in `guest`, a struct guest_options that is a member of struct_type. */
#define GUEST_OPTIONS(struct_type, guest)                                                                                   \
    GUEST_IMAGES(struct_type, guest), { "cmdline",   0,                                                                     \
                                        "TEXT",      "kernel command line (" GUEST_CMDLINE ")",                             \
                                        OPTION_TEXT, offsetof(struct_type, guest.cmdline),                                  \
                                        0,           NULL },                                                                \
        { "entry",                                                                                                          \
          0,                                                                                                                \
          "KIND",                                                                                                           \
          "auto, linux64, pvh, multiboot or flat (auto)",                                                                   \
          OPTION_CHOICE,                                                                                                    \
          offsetof(struct_type, guest.entry),                                                                               \
          0,                                                                                                                \
          load_entry_names },                                                                                               \
        { "memory", 0,   "SIZE", "RAM, with K, M or G (256M)", OPTION_NUMBER, offsetof(struct_type, guest.memory),          \
          1024,     NULL },                                                                                                 \
        { "cpu", 0,   "MODEL", "x86-64-v1 to x86-64-v4 (" GUEST_CPU ")", OPTION_TEXT, offsetof(struct_type, guest.cpu),     \
          0,     NULL },                                                                                                    \
        { "undefined", 0,                                                                                                   \
          "WHO",       "what manuals leave undefined: intel, amd, random:SEED or random-old:SEED (intel)",                  \
          OPTION_TEXT, offsetof(struct_type, guest.undefined),                                                              \
          0,           NULL },                                                                                              \
        { "seed", 0, "N", "source of all entropy (a fresh one)", OPTION_TEXT, offsetof(struct_type, guest.seed), 0, NULL }, \
        { "rtc",       0,                                                                                                   \
          "DATE",      "YYYY-MM-DD[Thh:mm:ss] at cycle 0, or host (2025-01-01)",                                            \
          OPTION_TEXT, offsetof(struct_type, guest.rtc),                                                                    \
          0,           NULL },                                                                                              \
        { "max-cycles",  0,                                                                                                 \
          "N",           "end there; a cycle is a nanosecond of virtual time",                                              \
          OPTION_NUMBER, offsetof(struct_type, guest.max_cycles),                                                           \
          1000,          NULL },                                                                                            \
        { "until",     0,                                                                                                   \
          "TEXT",      "end well when the console has printed TEXT",                                                        \
          OPTION_TEXT, offsetof(struct_type, guest.until),                                                                  \
          0,           NULL },                                                                                              \
        { "fail",      0,                                                                                                   \
          "TEXT",      "end with a status of its own when it has",                                                          \
          OPTION_TEXT, offsetof(struct_type, guest.fail),                                                                   \
          0,           NULL },                                                                                              \
        { "expect",    0,                                                                                                   \
          "FILE",      "console dialogue: expect \"TEXT\" and send \"TEXT\", a line each",                                  \
          OPTION_TEXT, offsetof(struct_type, guest.expect),                                                                 \
          0,           NULL },                                                                                              \
        { "on-reset",                                                                                                       \
          0,                                                                                                                \
          "WHAT",                                                                                                           \
          "fail, ok or reboot when the guest resets the machine (fail)",                                                    \
          OPTION_CHOICE,                                                                                                    \
          offsetof(struct_type, guest.on_reset),                                                                            \
          0,                                                                                                                \
          on_reset_names },                                                                                                 \
    {                                                                                                                       \
        "idle-limit", 0, "SECONDS", "virtual time a guest may only idle without input to come (60)", OPTION_NUMBER,         \
            offsetof(struct_type, guest.idle_limit), 0, NULL                                                                \
    }
#define GUEST_IMAGES(struct_type, guest)                                                                               \
    { "kernel",    0,                                                                                                  \
      "FILE",      "bzImage, ELF, Multiboot or (--entry flat) flat 64-bit image",                                      \
      OPTION_TEXT, offsetof(struct_type, guest.kernel),                                                                \
      0,           NULL },                                                                                             \
        { "initrd", 0, "FILE", "initial RAM disk", OPTION_TEXT, offsetof(struct_type, guest.initrd), 0, NULL },        \
    {                                                                                                                  \
        "module", 0, "FILE", "Multiboot or PVH module; may be repeated", OPTION_TEXTS,                                 \
            offsetof(struct_type, guest.modules), 0, NULL                                                              \
    }

/*
 * Fills the configuration, which the caller has set to zeros but for what is not the guest's, and reads the images: to
 * be freed in either case. Other than STATUS_OK: after one line on stderr.
 */
enum status guest_options_config(const struct guest_options *options, struct session_config *config);
/* Reads the dialogue of --expect, if there is one. The same. */
enum status guest_options_dialogue(const struct guest_options *options, struct dialogue *dialogue);
/* What ends the run; where input comes from and whether it is shown is the caller's. */
struct session_limits guest_options_limits(const struct guest_options *options);

#endif
