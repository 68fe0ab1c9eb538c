"""Settings of the host's energy counters and of who used the processor."""

from typing import Final

from energyd.settingrows.row import PATH, Setting
from energyd.settingtypes import Choice, Choices, Integer, Number, Price

SECTIONS: Final = {
    "energy": "The host's own energy counters.",
    "usage": "Who used the processor.",
}

ROWS: Final = (
    Setting("energy.rate_hz", Number(0.1, 1000, "Hz"), "How often the energy counters are read."),
    Setting(
        "energy.idle",
        Choice(("separate", "proportional")),
        "What becomes of the energy that the idle host uses: shown apart, or shared among processes by their CPU time.",
    ),
    Setting(
        "energy.dram",
        Choice(("cpu_time", "memory")),
        "What the energy of memory is shared by: CPU time of processes, which stands for their traffic, or their resident memory.",
    ),
    Setting(
        "energy.sources",
        Choices(("auto", "rapl", "psys", "hwmon", "battery", "nvidia", "meter", "model")),
        "What is read, in order of preference: the first that is there is the host, the others are shown beside it. auto is rapl, "
        "hwmon, battery and nvidia (GPUs, never summed). psys counts the platform instead of the packages and their memory; "
        "meter, at the first place, takes what a meter shows for the host's power; model estimates, see model_idle_w.",
    ),
    Setting(
        "energy.model_idle_w",
        Number(0, 100_000, "W"),
        "For the source model: power of the machine when it is idle. What is estimated is labelled so.",
        example="25",
    ),
    Setting(
        "energy.model_max_w",
        Number(0, 100_000, "W"),
        "For the source model: power of the machine when all its CPUs are busy.",
        example="95",
    ),
    Setting(
        "energy.guests_dir",
        PATH,
        "Directory in which each virtual machine gets a powercap tree of its own share, below the name of its group, to be mounted "
        "into it through virtiofs or 9p and read there by an energyd (powercap_root) or a Scaphandre. Without it, nothing is lent.",
        example="/var/lib/energyd/guests",
    ),
    Setting(
        "energy.price_eur_per_kwh",
        Price(),
        "Price of a kilowatt-hour where no meter says which tariff is in force.",
        example="0.2016",
    ),
    Setting("usage.rate_hz", Number(0.1, 100, "Hz"), "How often the CPU clocks of all processes are read."),
    Setting("usage.top", Integer(0, 10_000), "How many processes, by energy, have series of their own; the rest is 'other'."),
    Setting(
        "usage.max_groups",
        Integer(0, 10_000),
        "How many groups, by energy, have series of their own; the rest is 'other'.",
    ),
)
