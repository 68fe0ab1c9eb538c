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

int nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *power) {
    *power = (unsigned int)figure("NVML_POWER_MW");
    return (int)figure("NVML_LOST");
}
