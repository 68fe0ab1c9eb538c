import pytest
from ringworld import TurnedClock


@pytest.fixture
def clock():
    return TurnedClock()


@pytest.fixture
def boot_id_path(tmp_path):
    path = tmp_path / "boot_id"
    path.write_text("3f0c0d3e-4a53-4c9c-9a1b-7a1d52c3a001\n")
    return path


@pytest.fixture
def run_dir(tmp_path):
    directory = tmp_path / "run"
    directory.mkdir(0o750)
    return directory


@pytest.fixture
def open_writer(run_dir, clock, boot_id_path):
    """Opens writers of the ring `rapl`, and closes at the end what the test has left open."""
    from energyd.ring.writer import RingWriter
    from energyd.samples import RAPL

    writers = []

    def open_one(name="rapl", schema=RAPL, capacity=16):
        writer = RingWriter.open(run_dir, name, schema, capacity, clock, boot_id_path=boot_id_path)
        writers.append(writer)
        return writer

    yield open_one
    for writer in writers:
        try:
            writer.close()
        except OSError:
            pass
