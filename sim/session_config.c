/*
 * The configuration of a session as the settings of a log's header, and back. A log of this sim has exactly these.
 */
#include "sim/session.h"
#include "sim/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const on_reset_names[] = { "fail", "ok", "reboot", NULL };
const char *const backend_names[] = { "interpreter", "kvm", NULL };
const char *const load_entry_names[] = { "auto", "linux64", "pvh", "multiboot", "flat", NULL };

/* In the order of the header. */
enum setting {
    SETTING_MEMORY,
    SETTING_CPU,
    SETTING_UNDEFINED,
    SETTING_RTC,
    SETTING_CMDLINE,
    SETTING_ENTRY,
    SETTING_ON_RESET,
    SETTING_MARK_EVERY,
    SETTING_BACKEND, /* only there if it is not the interpreter: then the log is not exact */
    SETTINGS
};
static const struct {
    const char *key;
    bool is_text;
} settings[SETTINGS] = {
    [SETTING_MEMORY] = { "memory", false },      [SETTING_CPU] = { "cpu", true },
    [SETTING_UNDEFINED] = { "undefined", true }, [SETTING_RTC] = { "rtc", false },
    [SETTING_CMDLINE] = { "cmdline", true },     [SETTING_ENTRY] = { "entry", true },
    [SETTING_ON_RESET] = { "on-reset", true },   [SETTING_MARK_EVERY] = { "mark-every", false },
    [SETTING_BACKEND] = { "backend", true },
};
_Static_assert(SETTINGS <= LOG_SETTINGS_MAX, "a header has room for every setting");
_Static_assert(SESSION_MODULES_MAX + 2 <= LOG_IMAGES_MAX, "a header has room for every image");

void session_header(const struct session_config *config, const struct board *board,
                    char fingerprint[STATE_FINGERPRINT_BYTES], struct log_header *header)
{
    memset(header, 0, sizeof(*header));
    state_fingerprint(board, fingerprint);
    header->model = MACHINE_MODEL;
    header->fingerprint = fingerprint;
    header->seed = config->machine.seed;
    header->setting_count = config->backend == BACKEND_INTERPRETER ? SETTING_BACKEND : SETTINGS;
    for (unsigned i = 0; i < header->setting_count; i++)
        header->settings[i].key = settings[i].key;
    header->settings[SETTING_MEMORY].number = config->machine.ram_bytes;
    header->settings[SETTING_CPU].text = config->machine.cpu_model->name;
    header->settings[SETTING_UNDEFINED].text = config->undefined;
    header->settings[SETTING_RTC].number = config->machine.rtc_start_seconds;
    header->settings[SETTING_CMDLINE].text = config->cmdline;
    header->settings[SETTING_ENTRY].text = load_entry_names[config->entry];
    header->settings[SETTING_ON_RESET].text = on_reset_names[config->on_reset];
    header->settings[SETTING_MARK_EVERY].number = config->mark_every;
    if (config->backend != BACKEND_INTERPRETER)
        header->settings[SETTING_BACKEND].text = backend_names[config->backend];
    header->images[header->image_count++] = config->kernel.identity;
    if (config->initrd.image.bytes)
        header->images[header->image_count++] = config->initrd.identity;
    for (unsigned i = 0; i < config->module_count; i++)
        header->images[header->image_count++] = config->modules[i].identity;
}

/* The index of a name in a NULL-terminated list; false if it is not there. */
static bool name_index(const char *const *names, const char *name, unsigned *index)
{
    for (*index = 0; names[*index]; ++*index)
        if (strcmp(names[*index], name) == 0)
            return true;
    return false;
}

/* What is wrong with the settings' values, or NULL. */
static const char *take_settings(struct session_config *config, const struct log_header *header)
{
    config->machine.seed = header->seed;
    config->machine.ram_bytes = header->settings[SETTING_MEMORY].number;
    config->machine.cpu_model = cpu_model_find(header->settings[SETTING_CPU].text);
    config->machine.rtc_start_seconds = header->settings[SETTING_RTC].number;
    config->cmdline = header->settings[SETTING_CMDLINE].text;
    config->mark_every = header->settings[SETTING_MARK_EVERY].number;
    if (!config->machine.cpu_model)
        return "cpu";
    /* only as it is written, so that there is one way to write a log */
    const char *undefined = header->settings[SETTING_UNDEFINED].text;
    if (!undefined_parse(undefined, &config->machine.undefined))
        return "undefined";
    undefined_format(&config->machine.undefined, config->undefined);
    if (strcmp(config->undefined, undefined) != 0)
        return "undefined";
    if (config->machine.ram_bytes < MACHINE_RAM_MIN || config->machine.ram_bytes > MACHINE_RAM_MAX ||
        config->machine.ram_bytes % RAM_PAGE_BYTES)
        return "memory";
    if (config->machine.rtc_start_seconds > MACHINE_RTC_MAX)
        return "rtc";
    if (!name_index(load_entry_names, header->settings[SETTING_ENTRY].text, &config->entry))
        return "entry";
    if (!name_index(on_reset_names, header->settings[SETTING_ON_RESET].text, &config->on_reset))
        return "on-reset";
    return config->mark_every ? NULL : "mark-every";
}

bool session_config_from_header(struct session_config *config, const struct log_header *header,
                                char error[IMAGE_ERROR_BYTES])
{
    memset(config, 0, sizeof(*config));
    if (header->model != MACHINE_MODEL) {
        snprintf(error, IMAGE_ERROR_BYTES, "recorded on machine model %" PRIu64 ", this sim has model %d",
                 header->model, MACHINE_MODEL);
        return false;
    }
    bool known = header->setting_count == SETTINGS || header->setting_count == SETTING_BACKEND;
    for (unsigned i = 0; known && i < header->setting_count; i++)
        known = strcmp(header->settings[i].key, settings[i].key) == 0 &&
                (header->settings[i].text != NULL) == settings[i].is_text;
    if (!known) {
        snprintf(error, IMAGE_ERROR_BYTES, "its header has other settings than this sim knows");
        return false;
    }
    if (header->setting_count == SETTINGS) {
        snprintf(error, IMAGE_ERROR_BYTES,
                 "recorded with --backend %.20s, which counts no cycles: the log is not exact and cannot be replayed",
                 header->settings[SETTING_BACKEND].text);
        return false;
    }
    const char *wrong = take_settings(config, header);
    if (wrong)
        snprintf(error, IMAGE_ERROR_BYTES, "its header has an impossible setting: %s", wrong);
    return !wrong;
}

void session_config_free(struct session_config *config)
{
    image_free(&config->kernel);
    image_free(&config->initrd);
    for (unsigned i = 0; i < config->module_count; i++)
        image_free(&config->modules[i]);
}
