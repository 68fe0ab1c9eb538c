"""Groups become frames: what the ledger is told of a meter."""

from test_meters import HISTORIQUE, STANDARD, Line

from energyd import samples, ticfields
from energyd.aggregate.frames import FrameBook
from energyd.units import NS_PER_S

ADDRESS = b"012345678901"


def listen(line):
    frames = []
    line.book.on_frame = frames.append
    return frames


def test_a_frame_holds_its_registers_powers_and_texts():
    line = Line()
    frames = listen(line)
    line.begin(HISTORIQUE, ADCO=ADDRESS, OPTARIF=b"HC..", HCHC=1234, PAPP=1200, PTEC=b"HP..")
    frame = frames[1]
    assert (frame.address, frame.mode, frame.good, frame.degraded) == (ADDRESS.decode(), "historique", True, False)
    assert frame.registers == {"HCHC": 1234}
    assert frame.quantities == {"PAPP": (1200, 0)}
    assert frame.texts == {"OPTARIF": "HC..", "PTEC": "HP.."}
    assert frame.heard == {"OPTARIF", "PTEC"}


def test_a_frame_holds_only_what_was_said_in_it():
    line = Line()
    frames = listen(line)
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1234, PTEC=b"HP..")
    line.frame(HISTORIQUE, ADIR1=61, ADCO=ADDRESS, IINST1=61)
    assert frames[1].registers == {}
    assert frames[1].heard == frozenset()
    assert frames[1].texts["PTEC"] == "HP..", "what was said before is still so"


def test_a_register_that_was_not_believed_is_not_in_the_frame():
    line = Line()
    frames = listen(line)
    line.begin(HISTORIQUE, ADCO=ADDRESS, HCHC=1234)
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=901_234)
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1235)
    assert [frame.registers for frame in frames] == [{}, {"HCHC": 1234}, {}, {"HCHC": 1235}]


def test_the_frame_that_confirms_tells_what_waited_for_it_and_when_that_was_said():
    line = Line()
    frames, first_ns = listen(line), line.now_ns
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1234, HCHP=77)
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1235, HCHP=77)
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1236, HCHP=77)
    assert [frame.earlier for frame in frames] == [None, (first_ns, {"HCHC": 1234, "HCHP": 77}), None]


def test_registers_of_one_frame_wait_together():
    """After a night of silence one has grown and the other has not: the ledger must not see the one without the other."""
    line = Line()
    line.begin(HISTORIQUE, ADCO=ADDRESS, HCHC=500, HCHP=77)
    frames = listen(line)
    line.now_ns += 8 * 3600 * NS_PER_S
    morning_ns = line.now_ns
    for energy_wh in (9500, 9501, 9502):
        line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=energy_wh, HCHP=77)
    assert [(frame.registers, frame.earlier) for frame in frames] == [
        ({}, None),
        ({"HCHC": 9501, "HCHP": 77}, (morning_ns, {"HCHC": 9500, "HCHP": 77})),
        ({"HCHC": 9502, "HCHP": 77}, None),
    ]


def test_a_corrupt_register_keeps_the_others_for_one_frame_only():
    line = Line()
    line.begin(HISTORIQUE, ADCO=ADDRESS, HCHC=500, HCHP=77)
    frames = listen(line)
    for energy_wh in (9500, 501):
        line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=energy_wh, HCHP=78)
    assert [(frame.registers, frame.earlier and frame.earlier[1]) for frame in frames] == [
        ({}, None),
        ({"HCHC": 501, "HCHP": 78}, {"HCHP": 78}),
    ]


def test_a_reading_that_waits_survives_a_restart():
    line = Line()
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1234)
    again = Line()
    again.book.restore(line.book.state(), same_boot=True)
    again.now_ns = line.now_ns
    frames = listen(again)
    again.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1235)
    assert (frames[0].registers, frames[0].earlier) == ({"HCHC": 1235}, (line.now_ns - 2 * NS_PER_S, {"HCHC": 1234}))


def test_no_frame_is_told_while_it_is_uncertain_which_meter_speaks():
    line = Line()
    frames = listen(line)
    line.begin(HISTORIQUE, ADCO=ADDRESS, HCHC=1000)
    for energy_wh in (5, 6, 7):
        line.frame(HISTORIQUE, ADCO=b"999999999999", HCHC=energy_wh)
    assert [(frame.address, frame.registers, frame.earlier and frame.earlier[1]) for frame in frames[1:]] == [
        (ADDRESS.decode(), {"HCHC": 1000}, {"HCHC": 1000}),
        ("999999999999", {}, None),
        ("999999999999", {"HCHC": 7}, {"HCHC": 6}),
    ]


def test_the_meters_own_times_and_its_doubt_about_them_are_told():
    line = Line()
    frames = listen(line)
    field = ticfields.BY_LABEL[STANDARD, "SMAXSN"]
    line.ring.add(field.id, line.now_ns, (4000, 1_790_000_000, b""), samples.LAST | samples.DEGRADED)
    line.ring.next_batch()
    line.frame(STANDARD, ADSC=ADDRESS, EAST=7)
    assert frames[0].quantities == {"SMAXSN": (4000, 1_790_000_000)}
    assert frames[0].degraded


def test_frames_are_counted_and_their_durations_known():
    book = FrameBook()
    for second in range(11):
        book.group(second * 10 * NS_PER_S, False)
        book.end(second * 10 * NS_PER_S + (second + 1) * 100_000_000, second != 5, "", "", {})
    assert book.end(10**12, False, "", "", {}) is None, "nothing of it was understood"
    assert (book.view().ok, book.view().bad) == (10, 2)
    assert dict(book.view().quantiles_ns) == {0.5: 500_000_000, 0.9: 1_000_000_000}


def test_a_frame_that_was_broken_off_does_not_last_until_the_next():
    book = FrameBook()
    book.group(0, False)
    book.group(60 * NS_PER_S, False)
    frame = book.end(61 * NS_PER_S, True, "", "", {})
    assert frame.end_ns - frame.begin_ns == NS_PER_S


def test_the_counts_outlive_a_restart():
    line, again = Line(), Line()
    line.frame(HISTORIQUE, ADCO=ADDRESS, HCHC=1)
    again.book.restore(line.book.state(), same_boot=True)
    assert again.shot().frames.ok == 1
    assert again.shot().last_frame_mono_ns is None
