/*
 * The images of a recorded run: read again, from where the log says or where the user says they are now, and checked.
 */
#ifndef SIM_RECORDED_H
#define SIM_RECORDED_H

#include "sim/options.h"
#include "sim/session.h"

/* Where images are, if no longer where the log says; NULL: there. */
struct recorded_paths {
    const char *kernel, *initrd;
    const struct option_list *modules; /* in the recorded order */
};

/* Reads the images of a header into the configuration. Other than STATUS_OK: after one line on stderr. */
enum status recorded_images(const struct recorded_paths *paths, const struct log_header *header,
                            struct session_config *config);

#endif
