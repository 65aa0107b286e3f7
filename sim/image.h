/*
 * Guest images and other small files, read whole into memory, so that whatever parses them never touches a file.
 */
#ifndef SIM_IMAGE_H
#define SIM_IMAGE_H

#include "replay/log.h"
#include "sim/load.h"

#define IMAGE_BYTES_MAX   (2ull << 30)
#define IMAGE_ERROR_BYTES 512

struct image_file {
    const char *role;          /* "kernel", "initrd", "module" */
    struct image image;        /* the bytes are owned by this struct */
    struct log_image identity; /* for the log: size and hash */
};

/* Reads a file of any kind but a directory. 0; or a negative errno and one line in error: "PATH: what". */
int image_read(struct image_file *file, const char *role, const char *path, char error[IMAGE_ERROR_BYTES]);
void image_free(struct image_file *file);

/* True if the file is the recorded one. */
bool image_is(const struct image_file *file, const struct log_image *identity);

#endif
