"""The unit for systemd, as systemd itself reads it: all of it is understood, and little is left open."""

import subprocess
from pathlib import Path

import pytest

from ari_app.demo.pbx.machine import CannotPrepare, prepare_program

UNIT = Path(__file__).parents[2] / "deploy/ari-app.service"
PROGRAM = "/opt/ari-app/current/bin/ari-app"
EXPOSED = "20"
"""What a service may do to the machine, in tenths of systemd's measure, which goes to 10.0; it was 1.6."""


@pytest.fixture(scope="module")
def systemd_analyze() -> Path:
    """Have the program; where it can't be had, the tests with it fail."""
    try:
        return prepare_program("systemd-analyze")
    except CannotPrepare as problem:
        pytest.fail(str(problem))


def copy_of(folder: Path, was: str = "", becomes: str = "") -> Path:
    """Have the unit in a folder, for a machine where nothing is installed; a part of it may be another."""
    text = UNIT.read_text("utf-8")
    assert was in text
    assert PROGRAM in text
    copy = folder / UNIT.name
    copy.write_text(text.replace(PROGRAM, "/bin/true").replace(was, becomes), "utf-8")
    return copy


def say(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, (done.stdout + done.stderr).strip()


def verify(systemd_analyze: Path, unit: Path) -> tuple[int, str]:
    return say(systemd_analyze, "verify", "--man=no", "--recursive-errors=one", unit)


def test_systemd_understands_all_of_it(systemd_analyze: Path, tmp_path: Path) -> None:
    assert verify(systemd_analyze, copy_of(tmp_path)) == (0, "")


@pytest.mark.parametrize(
    ("was", "becomes", "word"),
    [("RestartSec=1", "RestartSec=soon", "soon"), ("ProtectClock=", "ProtectClok=", "ProtectClok")],
)
def test_what_it_does_not_understand_it_names(
    systemd_analyze: Path, tmp_path: Path, was: str, becomes: str, word: str
) -> None:
    code, said = verify(systemd_analyze, copy_of(tmp_path, was, becomes))
    assert code != 0
    assert word in said


def test_it_may_do_little_to_the_machine(systemd_analyze: Path, tmp_path: Path) -> None:
    judged = (systemd_analyze, "security", "--no-pager", "--offline=true", f"--threshold={EXPOSED}")
    code, said = say(*judged, copy_of(tmp_path))
    assert code == 0, said
    code, _ = say(*judged, copy_of(tmp_path, "CapabilityBoundingSet=\n", ""))
    assert code != 0, "more than that is not noticed"
