/*
 * Images of a recorded run (recorded.h).
 */
#include "sim/recorded.h"

#include <stdio.h>
#include <string.h>

/* Reads one image of the log, from where it was or from where the user says it is now, and checks that it is the same.
 */
static enum status take_image(struct image_file *file, const struct log_image *recorded, const char *now)
{
    char error[IMAGE_ERROR_BYTES];
    if (image_read(file, recorded->role, now ? now : recorded->path, error)) {
        fprintf(stderr, "sim: %s (%s of the recorded run)\n", error, recorded->role);
        return STATUS_BAD_INPUT;
    }
    if (!image_is(file, recorded))
        return status_refuse(STATUS_BAD_INPUT, file->image.path, "is not the file that was recorded");
    /* Where it lies now is not what the guest was told: a Multiboot module without a string bears its path. */
    file->image.path = recorded->path;
    return STATUS_OK;
}

enum status recorded_images(const struct recorded_paths *paths, const struct log_header *header,
                            struct session_config *config)
{
    bool has_kernel = false;
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < header->image_count && !status; i++) {
        const struct log_image *recorded = &header->images[i];
        if (strcmp(recorded->role, "kernel") == 0 && !has_kernel) {
            has_kernel = true;
            status = take_image(&config->kernel, recorded, paths->kernel);
        } else if (strcmp(recorded->role, "initrd") == 0 && !config->initrd.image.bytes) {
            status = take_image(&config->initrd, recorded, paths->initrd);
        } else if (strcmp(recorded->role, "module") == 0 && config->module_count < SESSION_MODULES_MAX) {
            unsigned module = config->module_count++;
            const char *now = paths->modules && module < paths->modules->count ? paths->modules->texts[module] : NULL;
            status = take_image(&config->modules[module], recorded, now);
        } else {
            status = status_refuse(STATUS_BAD_INPUT, recorded->role, "an image this sim has no use for");
        }
    }
    return status || has_kernel ? status : status_refuse(STATUS_BAD_INPUT, "the log", "names no kernel");
}
