/* The mocks of libraries read their settings, lines of "key=value", from a file in the place of the
 * GPU's firmware, below the root that the library was loaded from: NVIDIA's toolkit shows it in every
 * container with a GPU. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

/* Reads a number without sscanf and strtol: in newer C libraries these names need a newer one. */
static int number(const char *text) {
    int value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + *text++ - '0';
    return value;
}

/* Sets `root` to the root that this library was loaded from: "" or, say, "/host". */
static void own_root(char *root, size_t size) {
    Dl_info info;
    root[0] = 0;
    if (dladdr((void *)own_root, &info) && info.dli_fname) {
        snprintf(root, size, "%s", info.dli_fname);
        char *library = strstr(root, "/usr/lib");
        if (!library)
            library = strstr(root, "/lib");
        *(library ? library : root) = 0;
    }
}

static FILE *open_settings(const char *root) {
    char pattern[512];
    glob_t found;
    FILE *file = NULL;
    snprintf(pattern, sizeof pattern, "%s/usr/lib/firmware/nvidia/*/gsp_lab.bin", root);
    if (!glob(pattern, 0, NULL, &found))
        file = fopen(found.gl_pathv[0], "r");
    globfree(&found);
    return file;
}
