/* /usr/bin/nvidia-smi of the lab: "nvidia-smi -L" over whichever libnvidia-ml.so.1 is there.
 * It prints and exits as NVIDIA's does: errors on standard output, the code of NVML as exit code,
 * "No devices found." with 0, and 12 where there is no library. CUDA is not asked at all. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { NO_LIBRARY = 12, USAGE = 2 };

static void *nvml;

/* Calls a function of NVML, whose arguments are pointers and numbers as wide as the caller says. */
#define CALL(name, types, ...) ((int(*) types)dlsym(nvml, name))(__VA_ARGS__)

static int fails(int code) {
    const char *(*words)(int) = (const char *(*)(int))dlsym(nvml, "nvmlErrorString");
    printf("Failed to initialize NVML: %s\n", words(code));
    return code;
}

static void tell(unsigned index) {
    void *handle;
    char name[96], uuid[96];
    if (CALL("nvmlDeviceGetHandleByIndex_v2", (unsigned, void **), index, &handle)) {
        printf("Unable to determine the device handle for gpu %u: GPU is lost\n", index);
        return;
    }
    CALL("nvmlDeviceGetName", (void *, char *, unsigned), handle, name, sizeof name);
    CALL("nvmlDeviceGetUUID", (void *, char *, unsigned), handle, uuid, sizeof uuid);
    printf("GPU %u: %s (UUID: %s)\n", index, name, uuid);
}

int main(int count, char **arguments) {
    unsigned gpus = 0;
    int code;
    if (count != 2 || strcmp(arguments[1], "-L"))
        return fprintf(stderr, "the lab's nvidia-smi knows -L only\n"), USAGE;
    nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!nvml) {
        puts("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.");
        return NO_LIBRARY;
    }
    if ((code = CALL("nvmlInit_v2", (void))))
        return fails(code);
    CALL("nvmlDeviceGetCount_v2", (unsigned *), &gpus);
    if (!gpus)
        puts("No devices found.");
    for (unsigned index = 0; index < gpus; index++)
        tell(index);
    return 0;
}
