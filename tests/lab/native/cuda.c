/* A libcuda.so.1 of our own: enough of the driver API to find devices, and memory that is memory.
 * A kernel is not compiled: see cuLaunchKernel. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500 };

static int present[8], count;

int cuInit(unsigned flags) {
    (void)flags;
    count = 0;
    for (int i = 0; i < 8; i++) {
        char path[40];
        snprintf(path, sizeof path, "/dev/nvidia%d", i);
        if (access(path, F_OK) == 0)
            present[count++] = i;
    }
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
int cuGetErrorString(int code, const char **to) {
    return *to = code == NO_DEVICE ? "no CUDA-capable device is detected" : "unknown error", SUCCESS;
}
int cuGetErrorName(int code, const char **to) {
    return *to = code == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN", SUCCESS;
}
