/* A libcuda.so.1 of our own: enough of the driver API to find devices, and memory that is memory.
 * A kernel is not compiled: see cuLaunchKernel.
 *
 * It reads its settings at every cuInit (settings.h):
 *   cuda_gpus=1        how many GPUs, whatever device nodes are here
 *   cuda_init=999      cuInit fails with this code
 *   cuda_hang=1        cuInit never returns
 *   cuda_jit=222       cuModuleLoadData fails with this code
 *   cuda_crash=1       cuLaunchKernel kills its process
 *   cuda_wrong=1       the kernel gets the result of this thread wrong
 */
#include "settings.h"

#include <stdlib.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500 };

static int present[8], count;
static struct { int gpus, init, hang, jit, crash, wrong; } lab;

static void read_settings(void) {
    static const char *keys[] = {"cuda_gpus=", "cuda_init=", "cuda_hang=", "cuda_jit=",
                                 "cuda_crash=", "cuda_wrong="};
    int *values[] = {&lab.gpus, &lab.init, &lab.hang, &lab.jit,
                     &lab.crash, &lab.wrong};
    char root[400], line[400];
    memset(&lab, 0, sizeof lab);
    own_root(root, sizeof root);
    FILE *file = open_settings(root);
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        for (int i = 0; i < 6; i++)
            if (!strncmp(line, keys[i], strlen(keys[i])))
                *values[i] = number(line + strlen(keys[i]));
    fclose(file);
}

int cuInit(unsigned flags) {
    (void)flags;
    read_settings();
    while (lab.hang)
        pause();
    if (lab.init)
        return lab.init;
    count = 0;
    for (int i = 0; i < 8; i++) {
        char path[40];
        snprintf(path, sizeof path, "/dev/nvidia%d", i);
        if (access(path, F_OK) == 0)
            present[count++] = i;
    }
    while (count < lab.gpus)
        present[count] = count, count++;
    if (lab.gpus)
        return SUCCESS;
    return count && access("/dev/nvidiactl", F_OK) == 0 ? SUCCESS : NO_DEVICE;
}
int cuDriverGetVersion(int *version) { return *version = 12040, SUCCESS; }
int cuDeviceGetCount(int *to) { return *to = count, SUCCESS; }
int cuDeviceGet(int *device, int ordinal) {
    return *device = ordinal, ordinal < count ? SUCCESS : INVALID_DEVICE;
}
int cuDeviceGetName(char *to, int size, int device) {
    (void)device;
    return snprintf(to, size, "NVIDIA A100-PCIE-40GB"), SUCCESS;
}
int cuDeviceGetUuid(unsigned char *to, int device) {
    unsigned minor = present[device];
    memset(to, 0, 16);
    to[0] = 0xfa, to[1] = 0x4e, to[3] = minor, to[6] = 0x40, to[8] = 0x80, to[15] = minor;
    return SUCCESS;
}
int cuDeviceGetUuid_v2(unsigned char *to, int device) { return cuDeviceGetUuid(to, device); }
int cuDeviceGetAttribute(int *to, int attribute, int device) {
    (void)device;
    *to = attribute == 75 ? 8 : attribute == 76 ? 0 : 1; /* compute capability 8.0 */
    return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t *to, int device) { return (void)device, *to = 40UL << 30, SUCCESS; }
int cuDeviceGetPCIBusId(char *to, int size, int device) {
    static const unsigned buses[] = {0x17, 0x31, 0x4b, 0x65, 0x98, 0xb1, 0xca, 0xe3};
    return snprintf(to, size, "0000:%02X:00.0", buses[present[device]]), SUCCESS;
}

int cuCtxCreate_v2(void **to, unsigned flags, int device) {
    (void)flags, (void)device;
    return *to = &count, SUCCESS;
}
int cuCtxDestroy_v2(void *context) { return (void)context, SUCCESS; }
int cuCtxSetCurrent(void *context) { return (void)context, SUCCESS; }
int cuCtxSynchronize(void) { return SUCCESS; }
int cuDevicePrimaryCtxRetain(void **to, int device) { return cuCtxCreate_v2(to, 0, device); }
int cuDevicePrimaryCtxRelease_v2(int device) { return (void)device, SUCCESS; }

int cuMemAlloc_v2(unsigned long long *to, size_t size) {
    return *to = (unsigned long long)calloc(1, size), SUCCESS;
}
int cuMemFree_v2(unsigned long long at) { return free((void *)at), SUCCESS; }
int cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t size) {
    return memcpy((void *)to, from, size), SUCCESS;
}
int cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t size) {
    return memcpy(to, (void *)from, size), SUCCESS;
}
int cuMemsetD8_v2(unsigned long long at, unsigned char value, size_t size) {
    return memset((void *)at, value, size), SUCCESS;
}
int cuMemsetD32_v2(unsigned long long at, unsigned value, size_t n) {
    for (size_t i = 0; i < n; i++)
        ((unsigned *)at)[i] = value;
    return SUCCESS;
}
int cuModuleLoadData(void **to, const void *image) {
    return lab.jit ? lab.jit : (*to = (void *)image, SUCCESS);
}
int cuModuleLoadDataEx(void **to, const void *image, unsigned n, int *options, void **values) {
    return (void)n, (void)options, (void)values, cuModuleLoadData(to, image);
}
int cuModuleUnload(void *module) { return (void)module, SUCCESS; }
int cuModuleGetFunction(void **to, void *module, const char *name) {
    return strstr(module, name) ? (*to = module, SUCCESS) : NOT_FOUND;
}
/* Does by hand what the one kernel does that the suite brings along (its check of computing). */
int cuLaunchKernel(void *function, unsigned grid, unsigned y, unsigned z, unsigned block,
                   unsigned by, unsigned bz, unsigned shared, void *stream, void **parameters,
                   void **extra) {
    (void)function, (void)y, (void)z, (void)by, (void)bz, (void)shared, (void)stream, (void)extra;
    if (lab.crash)
        abort();
    unsigned *out = (unsigned *)*(unsigned long long *)parameters[0];
    unsigned n = *(unsigned *)parameters[1], rounds = *(unsigned *)parameters[2];
    unsigned multiplier = *(unsigned *)parameters[3], addend = *(unsigned *)parameters[4];
    for (unsigned i = 0; i < n && i < grid * block; i++) {
        unsigned value = i;
        for (unsigned round = 0; round < rounds; round++)
            value = value * multiplier + addend;
        out[i] = value + (unsigned)((float)(i & 0xffff) * 3.0f + 1.0f);
    }
    if (lab.wrong)
        out[lab.wrong] ^= 1;
    return SUCCESS;
}
int cuGetErrorString(int code, const char **to) {
    return *to = code == NO_DEVICE ? "no CUDA-capable device is detected" : "unknown error", SUCCESS;
}
int cuGetErrorName(int code, const char **to) {
    return *to = code == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN", SUCCESS;
}
