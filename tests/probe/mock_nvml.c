/* A libnvidia-ml.so.1 for tests: two GPUs, the second without ECC, MIG and remapping.
 * VERSION is its driver, SECOND the bus of the second GPU. INIT is what nvmlInit returns; HANG is a question that never returns, or WAIT() instead. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef INIT
#define INIT 0
#endif
#ifndef HANG
#define HANG ""
#endif

#ifndef WAIT
#define WAIT() pause()
#endif

#ifndef VERSION
#define VERSION "535.161.08"
#endif
#ifndef SECOND
#define SECOND 0x18
#endif

#define OK 0
#define NOT_SUPPORTED 3
#define NOT_FOUND 6

typedef struct { char old_bus[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { unsigned long long total, free, used; } Memory;
typedef void *Device;

static char gpus[2];

static long index_of(Device device) { return (char *)device - gpus; }

static void maybe_hang(const char *question) {
    while (strcmp(question, HANG) == 0) WAIT();
}

int nvmlInit_v2(void) { maybe_hang("init"); return INIT; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int code) {
    switch (code) {
    case NOT_SUPPORTED: return "Not Supported";
    case 9: return "Driver Not Loaded";
    case 13: return "Function Not Found";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    snprintf(text, size, "%s", VERSION);
    return OK;
}
int nvmlSystemGetCudaDriverVersion(int *version) { *version = 12020; return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    *device = gpus + index;
    return OK;
}
int nvmlDeviceGetUUID(Device device, char *text, unsigned size) {
    snprintf(text, size, "GPU-%ld", index_of(device));
    return OK;
}
int nvmlDeviceGetName(Device device, char *text, unsigned size) {
    snprintf(text, size, "NVIDIA Mock %ld", index_of(device));
    return OK;
}
int nvmlDeviceGetPciInfo_v3(Device device, Pci *pci) {
    memset(pci, 0, sizeof *pci);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", index_of(device) ? SECOND : 0x17);
    return OK;
}
int nvmlDeviceGetMinorNumber(Device device, unsigned *minor) {
    *minor = index_of(device);
    return OK;
}
int nvmlDeviceGetMemoryInfo(Device device, Memory *memory) {
    if (index_of(device) == 1) maybe_hang("memory");
    memory->total = 42949672960ULL;
    return OK;
}
int nvmlDeviceGetTotalEccErrors(Device device, int kind, int counter, unsigned long long *count) {
    (void)kind, (void)counter;
    if (index_of(device)) return NOT_SUPPORTED;
    *count = 7;
    return OK;
}
int nvmlDeviceGetRemappedRows(Device device, unsigned *correctable, unsigned *uncorrectable,
                              unsigned *pending, unsigned *failed) {
    if (index_of(device)) return NOT_SUPPORTED;
    *correctable = 1, *uncorrectable = 2, *pending = 1, *failed = 0;
    return OK;
}
int nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
    if (index_of(device)) return NOT_SUPPORTED;
    *current = *pending = 1;
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned *count) {
    *count = index_of(device) ? 0 : 2;
    return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned index, Device *mig) {
    *mig = device;
    return index ? NOT_FOUND : OK;
}
