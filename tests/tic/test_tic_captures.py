"""Every group of every capture, against an oracle that shares no line with the decoder: what the simulator takes for a group.

`pytest -s tests/tic/test_tic_captures.py -k table` prints the counts beside those of the captures' README.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from energyd.simulate.frames import MODES, split_groups, verifies
from energyd.tic.catalogue import EMPTY, ENTRIES, HEX, NUMBER
from energyd.tic.decoder import Decoder, Group, Refused
from energyd.ticfields import HISTORIQUE, STANDARD

CAPTURES = Path(__file__).parents[2].parent / "shared" / "fixtures" / "tic"
pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="no captures on this machine")
NAMES = sorted(path.name for path in CAPTURES.iterdir() if path.name != "README.md") if CAPTURES.is_dir() else []

Saying = tuple[str, int | bytes, bytes]  # label, value, horodate as it stands there

# README: groups whose checksum verifies in either mode; why we accept fewer
DIFFERENCES = {
    "corrupt_groups_from_issues.bin": "2 SP groups stand in a stream whose mode is HT: a meter never mixes",
    "hist_tri_rxerrors.bin": "1 corrupt label whose checksum passes by chance is no label",
}


def mode_of(data: bytes) -> str:
    return STANDARD if b"\t" in data else HISTORIQUE


def expected(data: bytes) -> list[Saying]:
    """What the oracle reads: groups that verify in the capture's mode, with a label that is known and data of its width."""
    mode = mode_of(data)
    said: list[Saying] = []
    for run in split_groups(data):
        text = run.lstrip(b"\0")
        if not verifies(text, MODES[mode]):
            continue
        separator = b"\t" if mode == STANDARD else b" "
        label, _, rest = text[:-2].partition(separator)
        horodate, tab, value = rest.rpartition(b"\t") if mode == STANDARD else (b"", b"", rest)
        if re.fullmatch(rb"ADPS\d{3}", label):  # glued by the meter's firmware
            label = b"ADPS"
        entry = ENTRIES[mode].get(label)
        if entry is not None and len(value) == entry.width and bool(tab) == (entry.dated != "plain"):
            said.append((label.decode(), _value(entry.kind, value, horodate), horodate))
    return said


def _value(kind: str, data: bytes, horodate: bytes) -> int | bytes:
    if kind == EMPTY:
        return horodate
    return int(data) if kind == NUMBER else int(data, 16) if kind == HEX else data


def heard(data: bytes) -> tuple[list[Group], Counter[str]]:
    decoder = Decoder()
    events = [*decoder.feed(data), *decoder.end()]
    refused = Counter(event.reason for event in events if isinstance(event, Refused))
    groups = [event for event in events if isinstance(event, Group)]
    assert decoder.counts["groups_ok"] == len(groups)
    assert {f"groups_{reason}": count for reason, count in refused.items()}.items() <= decoder.counts.items()
    return groups, refused


def shown(group: Group, horodate: bytes) -> Saying:
    """As the oracle says it; the instant of a DATE is compared by its digits."""
    kind = ENTRIES[group.field.mode][group.field.label.encode()].kind
    value: int | bytes = horodate if kind == EMPTY else group.value if kind in (NUMBER, HEX) else group.text
    return group.field.label, value, horodate


@pytest.mark.parametrize("name", NAMES)
def test_every_good_group_of_a_capture_has_its_right_value_and_no_other_is_accepted(name: str) -> None:
    data = (CAPTURES / name).read_bytes()
    groups, _ = heard(data)
    oracle = expected(data)

    assert len(groups) == len(oracle)
    assert [shown(group, horodate) for group, (_, _, horodate) in zip(groups, oracle, strict=True)] == oracle
    assert all(bool(group.horodate_s) == bool(horodate) for group, (_, _, horodate) in zip(groups, oracle, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_run_of_a_capture_is_accepted_or_refused_with_a_reason(name: str) -> None:
    """Nothing is dropped in silence: runs of NULs alone are no groups, everything else is counted once."""
    data = (CAPTURES / name).read_bytes()
    groups, refused = heard(data)

    runs = [run for run in split_groups(data) if run.strip(b"\0")]
    assert len(groups) + refused.total() == len(runs)


def test_the_table_of_all_captures_names_each_difference_from_their_readme() -> None:
    readme = (CAPTURES / "README.md").read_text().splitlines()
    print(f"\n{'capture':<40}{'README':>16}{'ours':>7}{'checksum':>10}{'malformed':>11}{'label':>7}{'width':>7}  difference")
    for name in NAMES:
        [row] = [line.split("|") for line in readme if line.startswith(f"| {name} ")]
        counts = row[5].strip()
        groups, refused = heard((CAPTURES / name).read_bytes())
        why = DIFFERENCES.get(name, "")
        reasons = [refused[reason] for reason in ("bad_checksum", "malformed", "unknown_label", "bad_width")]
        print(
            f"{name:<40}{counts or 'made':>16}{len(groups):>7}{reasons[0]:>10}{reasons[1]:>11}{reasons[2]:>7}{reasons[3]:>7}  {why}"
        )
        if counts:
            difference = int(counts.split("/")[0]) - len(groups)
            assert difference == (int(why.split()[0]) if why else 0), name
