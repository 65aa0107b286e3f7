/*
 * A guest on the command line (guest_options.h).
 */
#define _GNU_SOURCE /* strptime, timegm */
#include "sim/guest_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* "2025-01-01" or "2025-01-01T12:00:00" as seconds since 1970; both are UTC. */
static bool parse_date(const char *text, uint64_t *seconds)
{
    struct tm date;
    memset(&date, 0, sizeof(date));
    const char *end = strptime(text, "%Y-%m-%d", &date);
    if (end && *end == 'T')
        end = strptime(end + 1, "%H:%M:%S", &date);
    if (!end || *end)
        return false;
    time_t time = timegm(&date);
    *seconds = (uint64_t)time;
    return time >= 0 && *seconds <= MACHINE_RTC_MAX;
}

static enum status refuse_cpu(const char *name)
{
    fprintf(stderr, "sim: --cpu: '%s' is none of", name);
    for (unsigned i = 0; cpu_models()[i]; i++)
        fprintf(stderr, "%s%s", i ? ", " : " ", cpu_models()[i]->name);
    fputc('\n', stderr);
    return STATUS_USAGE;
}

static enum status take_machine(const struct guest_options *options, struct machine_config *machine)
{
    machine->ram_bytes = options->memory;
    machine->cpu_model = cpu_model_find(options->cpu);
    machine->rtc_start_seconds = MACHINE_RTC_DEFAULT;
    if (!machine->cpu_model)
        return refuse_cpu(options->cpu);
    if (!undefined_parse(options->undefined, &machine->undefined))
        return status_refuse(STATUS_USAGE, options->undefined,
                             "is none of intel, amd, random:SEED, random-old:SEED (--undefined)");
    if (machine->ram_bytes % RAM_PAGE_BYTES || machine->ram_bytes < MACHINE_RAM_MIN ||
        machine->ram_bytes > MACHINE_RAM_MAX)
        return status_refuse(STATUS_USAGE, "--memory", "must be a multiple of 4K, from 2M to 64G");
    if (options->rtc && strcmp(options->rtc, "host") == 0)
        machine->rtc_start_seconds = (uint64_t)time(NULL);
    else if (options->rtc && !parse_date(options->rtc, &machine->rtc_start_seconds))
        return status_refuse(STATUS_USAGE, options->rtc, "not a date like 2025-01-01 or 2025-01-01T12:00:00, nor host");
    if (options->seed && !options_number(options->seed, 0, &machine->seed))
        return status_refuse(STATUS_USAGE, options->seed, "not a number");
    if (!options->seed) {
        uint32_t fresh;
        if (getrandom(&fresh, sizeof(fresh), 0) != sizeof(fresh))
            return status_refuse(STATUS_HOST_ERROR, "getrandom", strerror(errno));
        machine->seed = fresh; /* 32 bits are easier to type again than 64 */
    }
    return STATUS_OK;
}

static enum status take_images(const struct guest_options *options, struct session_config *config)
{
    char error[IMAGE_ERROR_BYTES];
    int failure = image_read(&config->kernel, "kernel", options->kernel, error);
    if (!failure && options->initrd)
        failure = image_read(&config->initrd, "initrd", options->initrd, error);
    for (unsigned i = 0; !failure && i < options->modules.count; i++) {
        failure = image_read(&config->modules[i], "module", options->modules.texts[i], error);
        if (!failure)
            config->module_count++;
    }
    if (!failure)
        return STATUS_OK;
    fprintf(stderr, "sim: %s\n", error);
    return STATUS_BAD_INPUT;
}

enum status guest_options_config(const struct guest_options *options, struct session_config *config)
{
    if (!options->kernel)
        return status_refuse(STATUS_USAGE, "--kernel", "is needed (see sim run --help)");
    if (options->mark_every == 0)
        return status_refuse(STATUS_USAGE, "--mark-every", "must be at least 1");
    if (strlen(options->cmdline) > LOG_TEXT_MAX)
        return status_refuse(STATUS_USAGE, "--cmdline", "too long");
    config->cmdline = options->cmdline;
    config->entry = options->entry;
    config->on_reset = options->on_reset;
    config->mark_every = options->mark_every;
    config->backend = options->backend;
    enum status status = take_machine(options, &config->machine);
    undefined_format(&config->machine.undefined, config->undefined);
    return status ? status : take_images(options, config);
}

enum status guest_options_dialogue(const struct guest_options *options, struct dialogue *dialogue)
{
    char error[IMAGE_ERROR_BYTES];
    struct image_file file;
    const char *path = options->expect;
    if (!path)
        return STATUS_OK;
    if (image_read(&file, "dialogue", path, error)) {
        fprintf(stderr, "sim: %s\n", error);
        return STATUS_BAD_INPUT;
    }
    int failure = dialogue_parse(dialogue, (const char *)file.image.bytes, file.image.size_bytes, error, sizeof(error));
    image_free(&file);
    if (!failure)
        return STATUS_OK;
    return status_refuse(failure == -ENOMEM ? STATUS_HOST_ERROR : STATUS_BAD_INPUT, path,
                         failure == -ENOMEM ? strerror(ENOMEM) : error);
}

struct session_limits guest_options_limits(const struct guest_options *options)
{
    struct session_limits limits = { .max_cycles = options->max_cycles,
                                     .until = options->until,
                                     .fail = options->fail };
    if (__builtin_mul_overflow(options->idle_limit, CLOCK_HZ, &limits.idle_limit_cycles))
        limits.idle_limit_cycles = UINT64_MAX / 2;
    return limits;
}
