"""Settings of the electricity meters."""

from typing import Final

from energyd import settingchecks as check
from energyd.settingrows.row import NAME, Setting
from energyd.settingtypes import Choice, Duration, Text

SECTIONS: Final = {
    "meters": "The electricity meters that are listened to, one entry each. No meter is looked for on its own.",
}

ROWS: Final = (
    Setting(
        "meters[].name",
        NAME,
        "Name of the meter in file names and labels, different for each: 1 to 32 of a-z, 0-9, _ and -.",
        example="linky",
    ),
    Setting(
        "meters[].device",
        Text("a tty, socket://host:port, rfc2217://host:port or file:/PATH", check.device, check.DEVICE_PATTERN),
        "Where the meter is heard: a tty, socket://host:port (TCP), rfc2217://host:port (a port server) or file:/PATH (a capture).",
        example="/dev/ttyUSB0",
        required=True,
    ),
    Setting(
        "meters[].mode",
        Choice(("auto", "historique", "standard")),
        "Mode of the customer tele-information; auto finds mode and speed by listening.",
        example="auto",
    ),
    Setting(
        "meters[].pdl",
        Text("14 digits", check.pdl, check.PDL_PATTERN, digits=True),
        "Point de livraison, 14 digits. A meter in standard mode says it itself (PRM), one in historique mode does not. With the "
        "house's for a production meter, production and consumption can be divided in the myelectricaldata families.",
        example='"09876543210123"',
    ),
    Setting(
        "meters[].role",
        Choice(("house", "production")),
        "What the meter counts: what the house draws and gives back, or, as a meter of its own, what is produced.",
        example="house",
    ),
    Setting(
        "meters[].link_timeout",
        Duration(1, 3600),
        "How long a meter may say no good frame before it counts as lost and its speed and mode are looked for again; Enedis asks "
        "for 10 s.",
        example="10s",
        field="link_timeout_s",
    ),
)
