/*
 * Files in memory (image.h).
 */
#include "sim/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

/* Reads to the end of the file; its size is a hint only (pipes, growing files). */
static int read_all(int fd, uint8_t **bytes, size_t *size, size_t hint)
{
    size_t room = hint + 1, count = 0;
    uint8_t *buffer = malloc(room);
    while (buffer) {
        ssize_t part = read(fd, buffer + count, room - count);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0) {
            int error = -errno;
            free(buffer);
            return error;
        }
        if (part == 0) {
            *bytes = buffer;
            *size = count;
            return 0;
        }
        count += (size_t)part;
        if (count > IMAGE_BYTES_MAX) {
            free(buffer);
            return -EFBIG;
        }
        if (count == room) {
            uint8_t *larger = realloc(buffer, room *= 2);
            if (!larger)
                free(buffer);
            buffer = larger;
        }
    }
    return -ENOMEM;
}

static int image_load(const char *path, uint8_t **bytes, size_t *size)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &about) != 0                             ? -errno
                : S_ISDIR(about.st_mode)                           ? -EISDIR
                : S_ISCHR(about.st_mode) || S_ISBLK(about.st_mode) ? -EINVAL /* may have no end */
                : about.st_size > (off_t)IMAGE_BYTES_MAX           ? -EFBIG
                                                                   : read_all(fd, bytes, size, (size_t)about.st_size);
    close(fd);
    return error;
}

int image_read(struct image_file *file, const char *role, const char *path, char error[IMAGE_ERROR_BYTES])
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    int failure = image_load(path, &bytes, &size);
    memset(file, 0, sizeof(*file));
    if (failure) {
        snprintf(error, IMAGE_ERROR_BYTES, "%s: %s", path,
                 failure == -EINVAL ? "is a device, expected a file" : strerror(-failure));
        return failure;
    }
    file->role = role;
    file->image = (struct image){ .path = path, .bytes = bytes, .size_bytes = size };
    file->identity = (struct log_image){ .role = role, .path = path, .size = size };
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
    memcpy(file->identity.hash, canonical.digest, sizeof(file->identity.hash));
    return 0;
}

void image_free(struct image_file *file)
{
    free((void *)(uintptr_t)file->image.bytes);
    memset(file, 0, sizeof(*file));
}

bool image_is(const struct image_file *file, const struct log_image *identity)
{
    return file->identity.size == identity->size &&
           memcmp(file->identity.hash, identity->hash, sizeof(identity->hash)) == 0;
}
