/* A stand-in for libnvidia-ml: two GPUs, whose figures come from the environment. Signatures as in nvml.h. */
#include <stdlib.h>
#include <string.h>

typedef struct { int index; } *nvmlDevice_t;
static struct { int index; } devices[2] = {{0}, {1}};

static unsigned long long figure(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

int nvmlInit_v2(void) { return (int)figure("NVML_INIT"); }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    if (index > 1) return 2;
    *device = (nvmlDevice_t)&devices[index];
    return 0;
}

int nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    const char *text = device->index ? "GPU-bbbb" : "GPU-aaaa";
    if (strlen(text) >= length) return 7;
    strcpy(uuid, text);
    return 0;
}

/* The second GPU is older than Volta. */
int nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *energy) {
    if (device->index) return 3;
    *energy = figure("NVML_ENERGY_MJ");
    return (int)figure("NVML_LOST");
}

/* The driver samples processes on the first GPU, on the second it only tells who is there. */
typedef struct {
    unsigned int pid;
    unsigned long long stamp;
    unsigned int sm, memory, encoder, decoder;
} nvmlProcessUtilizationSample_t;

int nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *found, unsigned int *count,
                                    unsigned long long since) {
    unsigned long long now = figure("NVML_STAMP_US");
    if (device->index) return 3;
    if (figure("NVML_USERS_FAIL")) return (int)figure("NVML_USERS_FAIL");
    if (now <= since) return 6;
    if (*count < 4) return 7;
    *count = 4;
    found[0] = (nvmlProcessUtilizationSample_t){(unsigned int)figure("NVML_PID"), now, 60, 20, 0, 0};
    found[1] = (nvmlProcessUtilizationSample_t){4242, now - 1, 0, 0, 5, 10};
    found[2] = (nvmlProcessUtilizationSample_t){4243, now, 0, 3, 0, 0};
    found[3] = (nvmlProcessUtilizationSample_t){4244, since, 99, 0, 0, 0}; /* told before */
    return 0;
}

typedef struct {
    unsigned int pid;
    unsigned long long memory;
    unsigned int gpu_instance, compute_instance;
} nvmlProcessInfo_t;

int nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *found) {
    if (!device->index) return 3;
    *count = 3;
    found[0] = (nvmlProcessInfo_t){(unsigned int)figure("NVML_PID"), 1 << 30, 0, 0};
    found[1] = (nvmlProcessInfo_t){4242, 1, 0, 0};
    found[2] = (nvmlProcessInfo_t){4242, 1, 1, 1};
    return 0;
}

int nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *power) {
    *power = (unsigned int)figure("NVML_POWER_MW");
    return (int)figure("NVML_LOST");
}
