/* A libnvidia-ml.so.1 of our own: as many GPUs as it is told, and faults on demand.
 *
 * It reads its settings at every nvmlInit (settings.h):
 *   gpus=2             how many GPUs
 *   driver=…           the driver's version
 *   init=18            nvmlInit fails with this code
 *   lost=1             the GPU with this index answers 15, GPU_IS_LOST
 *   hang=PATH          nvmlInit moves its process into the (frozen) cgroup PATH below the root
 *                      that this library was loaded from
 * Functions of NVML that are not here answer 3, NOT_SUPPORTED: see nvml_stubs.h, generated.
 */
#include "settings.h"

#include <stdlib.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, LOST = 15 };

static struct {
    int gpus, init, lost, started;
    char driver[80], hang[256];
} lab;

struct memory { unsigned long long total, free, used; };
struct memory2 { unsigned version; unsigned long long total, reserved, free, used; };
struct pci {
    char short_id[16];
    unsigned domain, bus, device, ids, subsystem;
    char id[32];
};
struct utilization { unsigned gpu, memory; };

static const unsigned buses[] = {0x17, 0x31, 0x4b, 0x65, 0x98, 0xb1, 0xca, 0xe3};

static const char *value_of(const char *line, const char *key) {
    size_t length = strlen(key);
    return !strncmp(line, key, length) && line[length] == '=' ? line + length + 1 : NULL;
}

static void read_settings(const char *root) {
    char line[400];
    const char *value;
    lab.gpus = 2;
    lab.init = 0;
    lab.lost = -1;
    lab.hang[0] = 0;
    snprintf(lab.driver, sizeof lab.driver, "550.144.03");
    FILE *file = open_settings(root);
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if ((value = value_of(line, "gpus")))
            lab.gpus = number(value);
        if ((value = value_of(line, "init")))
            lab.init = number(value);
        if ((value = value_of(line, "lost")))
            lab.lost = number(value);
        if ((value = value_of(line, "driver")))
            snprintf(lab.driver, sizeof lab.driver, "%s", value);
        if ((value = value_of(line, "hang")))
            snprintf(lab.hang, sizeof lab.hang, "%s", value);
    }
    fclose(file);
}

/* Joins the frozen cgroup: from then on not even SIGKILL ends this process. */
static void hang(const char *root) {
    char path[900];
    snprintf(path, sizeof path, "%s%s/cgroup.procs", root, lab.hang);
    FILE *file = fopen(path, "w");
    if (file) {
        fputs("0", file);
        fclose(file);
    }
    for (;;)
        pause();
}

int nvmlInit_v2(void) {
    char root[400];
    own_root(root, sizeof root);
    read_settings(root);
    if (lab.hang[0])
        hang(root);
    lab.started = !lab.init;
    return lab.init;
}
int nvmlInit(void) { return nvmlInit_v2(); }
int nvmlInitWithFlags(unsigned flags) { return (void)flags, nvmlInit_v2(); }
int nvmlShutdown(void) { return lab.started = 0; }

const char *nvmlErrorString(int code) {
    switch (code) {
    case 0: return "Success";
    case 1: return "Uninitialized";
    case 2: return "Invalid Argument";
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 6: return "Not Found";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

static int text(char *to, unsigned size, const char *from) {
    snprintf(to, size, "%s", from);
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *to, unsigned size) {
    return lab.started ? text(to, size, lab.driver) : UNINITIALIZED;
}
int nvmlSystemGetNVMLVersion(char *to, unsigned size) {
    return lab.started ? text(to, size, "12.550.144.03") : UNINITIALIZED;
}
int nvmlSystemGetCudaDriverVersion_v2(int *version) { return *version = 12040, SUCCESS; }
int nvmlSystemGetCudaDriverVersion(int *version) { return *version = 12040, SUCCESS; }

/* A GPU whose device node is missing is not enumerated, as with the real library. */
static int usable(int index) {
    char path[40];
    snprintf(path, sizeof path, "/dev/nvidia%d", index);
    return access(path, F_OK) == 0;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 0;
    for (int i = 0; i < lab.gpus; i++)
        *count += usable(i);
    return lab.started ? SUCCESS : UNINITIALIZED;
}
int nvmlDeviceGetCount(unsigned *count) { return nvmlDeviceGetCount_v2(count); }

/* A handle is the GPU's minor number plus one. */
#define MINOR(handle) ((int)(long)(handle) - 1)

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    for (int i = 0; i < lab.gpus; i++)
        if (usable(i) && index-- == 0) {
            *handle = (void *)(long)(i + 1);
            return i == lab.lost ? LOST : SUCCESS;
        }
    return INVALID;
}
int nvmlDeviceGetHandleByIndex(unsigned i, void **h) { return nvmlDeviceGetHandleByIndex_v2(i, h); }

static void uuid_of(int minor, char *to, unsigned size) {
    snprintf(to, size, "GPU-fa4e%04x-0000-4000-8000-%012x", minor, minor);
}
static void address_of(int minor, char *to, unsigned size) {
    snprintf(to, size, "00000000:%02X:00.0", buses[minor % 8]);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    char own[80];
    for (int i = 0; i < lab.gpus; i++) {
        uuid_of(i, own, sizeof own);
        if (usable(i) && !strcmp(uuid, own))
            return *handle = (void *)(long)(i + 1), i == lab.lost ? LOST : SUCCESS;
    }
    return NOT_FOUND;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **handle) {
    char own[32];
    for (int i = 0; i < lab.gpus; i++) {
        address_of(i, own, sizeof own);
        size_t length = strlen(address);
        if (length <= 16 && usable(i) && !strcasecmp(address, own + 16 - length))
            return *handle = (void *)(long)(i + 1), i == lab.lost ? LOST : SUCCESS;
    }
    return NOT_FOUND;
}
int nvmlDeviceGetIndex(void *h, unsigned *index) { return *index = MINOR(h), SUCCESS; }
int nvmlDeviceGetMinorNumber(void *h, unsigned *minor) { return *minor = MINOR(h), SUCCESS; }
int nvmlDeviceGetName(void *h, char *to, unsigned n) { return (void)h, text(to, n, "NVIDIA A100-PCIE-40GB"); }
int nvmlDeviceGetUUID(void *h, char *to, unsigned size) { return uuid_of(MINOR(h), to, size), SUCCESS; }

int nvmlDeviceGetPciInfo_v3(void *handle, struct pci *to) {
    memset(to, 0, sizeof *to);
    to->bus = buses[MINOR(handle) % 8];
    to->ids = 0x20f110de;
    address_of(MINOR(handle), to->id, sizeof to->id);
    snprintf(to->short_id, sizeof to->short_id, "0000:%02X:00.0", to->bus);
    return SUCCESS;
}
int nvmlDeviceGetPciInfo_v2(void *h, struct pci *to) { return nvmlDeviceGetPciInfo_v3(h, to); }
int nvmlDeviceGetPciInfo(void *h, struct pci *to) { return nvmlDeviceGetPciInfo_v3(h, to); }

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *to) {
    (void)handle;
    *to = (struct memory){40ULL << 30, 40ULL << 30, 0};
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory2 *to) {
    (void)handle;
    *to = (struct memory2){to->version, 40ULL << 30, 0, 40ULL << 30, 0};
    return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *to) {
    (void)handle;
    return memset(to, 0, sizeof *to), SUCCESS;
}
int nvmlDeviceGetTotalEccErrors(void *h, int type, int counter, unsigned long long *count) {
    (void)h, (void)type, (void)counter;
    return *count = 0, SUCCESS;
}
int nvmlDeviceGetEccMode(void *h, unsigned *current, unsigned *pending) {
    (void)h;
    return *current = *pending = 1, SUCCESS;
}
int nvmlDeviceGetRemappedRows(void *h, unsigned *a, unsigned *b, unsigned *pending, unsigned *failed) {
    (void)h;
    return *a = *b = *pending = *failed = 0, SUCCESS;
}
int nvmlDeviceGetMigMode(void *h, unsigned *current, unsigned *pending) {
    (void)h;
    return *current = *pending = 0, SUCCESS;
}
int nvmlDeviceGetCudaComputeCapability(void *h, int *major, int *minor) {
    (void)h;
    return *major = 8, *minor = 0, SUCCESS;
}
static int none(void *handle, unsigned *count) { return (void)handle, *count = 0, SUCCESS; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *n, void *to) { return (void)to, none(h, n); }
int nvmlDeviceGetComputeRunningProcesses_v2(void *h, unsigned *n, void *to) { return (void)to, none(h, n); }
int nvmlDeviceGetComputeRunningProcesses(void *h, unsigned *n, void *to) { return (void)to, none(h, n); }
int nvmlDeviceGetMaxMigDeviceCount(void *h, unsigned *count) { return none(h, count); }
int nvmlDeviceIsMigDeviceHandle(void *h, unsigned *is) { return none(h, is); }

#define STUB(name) int name(void) { return NOT_SUPPORTED; }
#include "nvml_stubs.h"
