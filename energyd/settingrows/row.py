"""A row of the table of settings, and the texts that rows of several sections hold."""

from typing import NamedTuple

from energyd import settingchecks as check
from energyd.settingtypes import Pairs, Reserved, SettingType, Text


class Setting(NamedTuple):
    """`field`: its name in Config where that has a unit; `example`: YAML where there is no default; `required`: in its item."""

    key: str
    type: SettingType
    help: str
    example: str = ""
    field: str = ""
    required: bool = False

    @property
    def leaf(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def reserved(self) -> bool:
        return isinstance(self.type, Reserved)


NAME = Text("1 to 32 of a-z, 0-9, _ and -", check.name, check.NAME_PATTERN)
PATH = Text("an absolute path", check.absolute_path, check.PATH_PATTERN)
LINE = Text("a text", check.one_line)
REGULAR_EXPRESSION = Text("a regular expression", check.regular_expression)
LABELS = Pairs(
    "a mapping of label names to texts",
    Text("a label name", check.label_name, check.LABEL_PATTERN),
    Text("a text", check.anything),
)
