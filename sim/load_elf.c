/*
 * ELF images through libelf: segments by physical address, and the PVH entry (Xen's docs/misc/pvh.pandoc and
 * public/arch-x86/hvm/start_info.h).
 */
#include "sim/load_internal.h"

#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <string.h>

#define SEGMENTS_MAX 64

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define HVM_START_MAGIC          0x336EC578u
#define PVH_MODULES_MAX          64u /* the module list ends where the memory map begins */

bool load_is_elf(const struct image *image)
{
    return image->size_bytes >= SELFMAG && memcmp(image->bytes, ELFMAG, SELFMAG) == 0;
}

/* Opens the image with libelf and reads its header; *elf is to be ended by the caller if 0 is returned. */
static int open_elf(const struct loader *loader, Elf **elf, GElf_Ehdr *header)
{
    const struct image *kernel = &loader->request->kernel;
    elf_version(EV_CURRENT);
    if (!load_is_elf(kernel))
        return load_fail(loader, "%s: no ELF magic at offset 0", kernel->path);
    /* libelf takes a writable buffer but does not write to it unless asked to update */
    *elf = elf_memory((char *)(uintptr_t)kernel->bytes, kernel->size_bytes);
    if (*elf && elf_kind(*elf) == ELF_K_ELF && gelf_getehdr(*elf, header))
        return 0;
    elf_end(*elf);
    return load_fail(loader, "%s: damaged ELF header: %s", kernel->path, elf_errmsg(-1));
}

struct extent {
    uint64_t start, end;
};

/* Loads one PT_LOAD segment after checking it against the file, RAM and the segments before it. */
static int load_segment(const struct loader *loader, unsigned number, const GElf_Phdr *segment, struct extent *extents,
                        unsigned *count)
{
    const struct image *kernel = &loader->request->kernel;
    char what[32];
    snprintf(what, sizeof(what), "segment %u", number);
    if (segment->p_filesz > segment->p_memsz || segment->p_offset > kernel->size_bytes ||
        segment->p_filesz > kernel->size_bytes - segment->p_offset)
        return load_fail(loader, "%s: %s claims %" PRIu64 " bytes at offset %" PRIu64 " of a file of %zu bytes",
                         kernel->path, what, segment->p_filesz, segment->p_offset, kernel->size_bytes);
    int status = load_check_range(loader, what, segment->p_paddr, segment->p_memsz);
    if (status)
        return status;
    struct extent extent = { segment->p_paddr, segment->p_paddr + segment->p_memsz };
    for (unsigned i = 0; i < *count; i++)
        if (extent.start < extents[i].end && extents[i].start < extent.end)
            return load_fail(loader, "%s: %s at 0x%" PRIx64 " overlaps the one at 0x%" PRIx64, kernel->path, what,
                             extent.start, extents[i].start);
    if (*count == SEGMENTS_MAX)
        return load_fail(loader, "%s: more than %u loadable segments", kernel->path, SEGMENTS_MAX);
    extents[(*count)++] = extent;
    /* the rest of p_memsz is zero: RAM is fresh */
    return load_place(loader, what, segment->p_paddr, kernel->bytes + segment->p_offset, segment->p_filesz);
}

static int load_segments(const struct loader *loader, Elf *elf, unsigned bits, const GElf_Ehdr *header, uint64_t *end)
{
    const struct image *kernel = &loader->request->kernel;
    struct extent extents[SEGMENTS_MAX];
    unsigned count = 0;
    size_t headers;
    unsigned class = gelf_getclass(elf) == ELFCLASS64 ? 64 : 32;
    if (bits && class != bits)
        return load_fail(loader, "%s: ELF of %u bits, expected %u", kernel->path, class, bits);
    if (header->e_machine != (class == 64 ? EM_X86_64 : EM_386) && header->e_machine != EM_X86_64)
        return load_fail(loader, "%s: ELF machine %u, expected x86-64 or i386", kernel->path, header->e_machine);
    if (elf_getphdrnum(elf, &headers))
        return load_fail(loader, "%s: damaged program headers: %s", kernel->path, elf_errmsg(-1));
    *end = 0;
    for (size_t i = 0; i < headers; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, (int)i, &segment))
            return load_fail(loader, "%s: program header %zu: %s", kernel->path, i, elf_errmsg(-1));
        if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
            continue;
        int status = load_segment(loader, (unsigned)i, &segment, extents, &count);
        if (status)
            return status;
        if (segment.p_paddr + segment.p_memsz > *end)
            *end = segment.p_paddr + segment.p_memsz;
    }
    return count ? 0 : load_fail(loader, "%s: ELF file without a loadable segment", kernel->path);
}

int load_elf_segments(const struct loader *loader, unsigned bits, uint64_t *entry, uint64_t *end)
{
    Elf *elf = NULL;
    GElf_Ehdr header;
    int status = open_elf(loader, &elf, &header);
    if (status)
        return status;
    *entry = header.e_entry;
    status = load_segments(loader, elf, bits, &header, end);
    elf_end(elf);
    return status;
}

/* Looks for the PHYS32_ENTRY note in one PT_NOTE segment. */
static bool note_entry(Elf_Data *data, uint64_t *entry)
{
    GElf_Nhdr note;
    size_t name, desc;
    for (size_t at = 0, next; (next = gelf_getnote(data, at, &note, &name, &desc)) > 0; at = next) {
        const char *bytes = data->d_buf;
        if (note.n_namesz != 4 || memcmp(bytes + name, "Xen", 4) != 0 || note.n_type != XEN_ELFNOTE_PHYS32_ENTRY)
            continue;
        *entry = 0;
        memcpy(entry, bytes + desc, note.n_descsz >= 8 ? 8 : note.n_descsz >= 4 ? 4 : 0);
        return note.n_descsz >= 4;
    }
    return false;
}

static int find_pvh_entry(const struct loader *loader, uint64_t *entry)
{
    const struct image *kernel = &loader->request->kernel;
    Elf *elf = NULL;
    GElf_Ehdr header;
    int status = open_elf(loader, &elf, &header);
    if (status)
        return status;
    size_t headers = 0;
    elf_getphdrnum(elf, &headers);
    bool found = false;
    for (size_t i = 0; i < headers && !found; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, (int)i, &segment) || segment.p_type != PT_NOTE ||
            segment.p_offset > kernel->size_bytes || segment.p_filesz > kernel->size_bytes - segment.p_offset)
            continue;
        Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)segment.p_offset, segment.p_filesz, ELF_T_NHDR);
        found = data && note_entry(data, entry);
    }
    elf_end(elf);
    if (!found)
        return load_fail(loader, "%s: no PVH entry: expected a note \"Xen\" of type %u", kernel->path,
                         XEN_ELFNOTE_PHYS32_ENTRY);
    return 0;
}

struct hvm_start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
    uint32_t memmap_entries, reserved;
};
struct hvm_modlist_entry {
    uint64_t paddr, size, cmdline_paddr, reserved;
};
struct hvm_memmap_table_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};

/* The initrd, if there is one, is the first module: Linux looks there. Its number goes into the module list as well. */
static int place_pvh_modules(const struct loader *loader, uint64_t end, struct hvm_start_info *info)
{
    const struct load_request *request = loader->request;
    bool has_initrd = request->initrd.bytes != NULL;
    uint64_t top = load_low_end(loader->board);
    info->nr_modules = request->module_count + (has_initrd ? 1 : 0);
    info->modlist_paddr = info->nr_modules ? LOW_LISTS : 0;
    if (info->nr_modules > PVH_MODULES_MAX)
        return load_fail(loader, "more than %u modules", PVH_MODULES_MAX);
    for (unsigned i = 0; i < info->nr_modules; i++) {
        bool is_initrd = has_initrd && i == 0;
        const struct image *image = is_initrd ? &request->initrd : &request->modules[i - (has_initrd ? 1 : 0)];
        int status = load_high(loader, is_initrd ? "initrd" : "module", image, end, top, &top);
        if (status)
            return status;
        struct hvm_modlist_entry module = { .paddr = top, .size = image->size_bytes };
        load_low(loader, LOW_LISTS + i * sizeof(module), &module, sizeof(module));
    }
    return 0;
}

int load_elf_pvh(const struct loader *loader)
{
    uint64_t unused, end, entry;
    int status = load_elf_segments(loader, 0, &unused, &end);
    if (status || (status = find_pvh_entry(loader, &entry)))
        return status;
    if (entry > UINT32_MAX)
        return load_fail(loader, "%s: PVH entry 0x%" PRIx64 " lies above 4 GiB", loader->request->kernel.path, entry);
    if ((status = load_cmdline(loader, LOW_CMDLINE_MAX)))
        return status;
    struct hvm_start_info info = { .magic = HVM_START_MAGIC,
                                   .version = 1,
                                   .cmdline_paddr = LOW_CMDLINE,
                                   .rsdp_paddr = loader->request->rsdp,
                                   .memmap_paddr = LOW_LISTS + 0x1000 };
    if ((status = place_pvh_modules(loader, end, &info)))
        return status;
    struct region regions[REGIONS_MAX];
    info.memmap_entries = load_regions(loader->board, regions);
    for (unsigned i = 0; i < info.memmap_entries; i++) {
        struct hvm_memmap_table_entry row = { regions[i].start, regions[i].bytes, regions[i].type, 0 };
        load_low(loader, info.memmap_paddr + i * sizeof(row), &row, sizeof(row));
    }
    load_low(loader, LOW_BOOT_PARAMS, &info, sizeof(info));
    load_enter_protected_mode(loader, (uint32_t)entry);
    loader->cpu->gpr[RBX] = LOW_BOOT_PARAMS;
    return 0;
}
