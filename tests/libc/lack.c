/* lack FROM TO NAME...: a copy of a library in whose table of symbols nobody finds these names. Says how many it took out. */
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *image;
static size_t size;

static int read_all(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        return 0;
    size = (size_t)ftell(file);
    image = malloc(size);
    rewind(file);
    return fread(image, 1, size, file) == size && fclose(file) == 0;
}

static int write_all(const char *path) {
    FILE *file = fopen(path, "w");
    return file && fwrite(image, 1, size, file) == size && fclose(file) == 0;
}

static int is_among(const char *name, char **names) {
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static int take_out(const ElfW(Shdr) *sections, const ElfW(Shdr) *table, char **names) {
    ElfW(Sym) *symbols = (void *)(image + table->sh_offset);
    const char *strings = image + sections[table->sh_link].sh_offset;
    int n = 0;
    for (size_t i = 1; i < table->sh_size / sizeof *symbols; i++)
        if (is_among(strings + symbols[i].st_name, names)) {
            symbols[i].st_name = 0;
            n++;
        }
    return n;
}

int main(int argc, char **argv) {
    if (argc < 3 || !read_all(argv[1]))
        return 2;
    const ElfW(Ehdr) *header = (void *)image;
    const ElfW(Shdr) *sections = (void *)(image + header->e_shoff);
    int n = 0;
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_DYNSYM)
            n += take_out(sections, &sections[i], argv + 3);
    printf("%d\n", n);
    return write_all(argv[2]) ? 0 : 1;
}
