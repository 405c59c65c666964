"""Makes the machine ready for demos, tests and benchmarks: Redis, SIPp and a real Asterisk.

Asterisk comes from the machine itself where it has version 16 or newer, else from a folder of its own, built
once a machine with debootstrap and used through chroot: Debian 12 has no `asterisk` package, newer and older
suites do.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path("/var/cache/ari-app")
"""Folders that are built once a machine; outside any checkout."""

Progress = Callable[[str, float], None]
"""Told what is being done, and how much of it is done (0 to 1)."""


class CannotPrepare(Exception):
    """What the machine lacks and what to do instead, in one sentence."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An Asterisk that can be started."""

    root: Path | None
    """The folder to chroot into; None for the machine's own Asterisk."""
    modules: Path
    """`astmoddir`, as seen from inside `root`."""
    version: str
    """As `asterisk -V` says it, such as `22.10.1`."""

    @property
    def major(self) -> int:
        """The first part of the version: 22."""
        return int(self.version.split(".")[0])


@dataclass(frozen=True, slots=True)
class _Suite:
    name: str
    script: str
    """Debootstrap's script: an old debootstrap doesn't know a new suite by its name."""


_SUITES = {22: _Suite("forky", "sid"), 16: _Suite("bullseye", "bullseye")}
_PACKAGES = {
    "redis-server": "redis-server",
    "sipp": "sip-tester",
    "debootstrap": "debootstrap",
    "chromium": "chromium",
    "linphone-daemon": "linphone-cli",
    "promtool": "prometheus",
    "nginx": "nginx-light",
    "caddy": "caddy",
    "systemd-analyze": "systemd",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""What a Chromium may be called; the first is Debian's."""
SOFTPHONE = "linphone-daemon"
"""The program that steers a linphone."""
_INCLUDE = "asterisk,asterisk-core-sounds-en-wav,curl"
"""curl is for event2.sh. A change of this raises `_RECIPE`: folders that exist are not built again."""
_RECIPE = 2
_LINES = {"Retrieving": 230, "Validating": 230, "Extracting": 60, "Unpacking": 230, "Configuring": 230}
"""About how many lines of each kind debootstrap prints; only the progress shown depends on them."""
NEWEST: int = max(_SUITES)
_OLDEST = 16


def silent(_doing: str, _done: float) -> None:
    """A `Progress` that tells nobody."""


def prepare(progress: Progress = silent, version: int = NEWEST) -> Installation:
    """Install what is missing and return the Asterisk to start; under a second when nothing is missing.

    The machine's own Asterisk is used for the default `version` when it is 16 or newer, for another only when
    it is that one.
    """
    own = _own_asterisk(version)
    _install_packages(_missing_programs(debootstrap=own is None and not _folder(version).exists()), progress)
    installation = own or _asterisk_folder(version, progress)
    if own is None and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        raise CannotPrepare(
            "Asterisk runs in a folder of its own, and this machine doesn't allow to mount anything there: "
            "run this as root outside a container, or install Asterisk 16 or newer here."
        )
    return installation


def prepare_browser(progress: Progress = silent) -> Path:
    """Install a Chromium where there is none, for the tests of the cabinet, and give its program.

    Raises:
        CannotPrepare: the browser is not there and can't be installed.
    """
    if (found := browser()) is None:
        _install_packages([BROWSERS[0]], progress)
        found = browser()
    if found is None:
        raise CannotPrepare("Chromium was installed, and is not found.")
    return found


def browser() -> Path | None:
    """Give this machine's Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return Path(found) if found else None


def prepare_program(program: str, progress: Progress = silent) -> Path:
    """Install a program that only tests need (such as linphone-daemon, promtool, nginx), where it is missing.

    Raises:
        CannotPrepare: it is not there and can't be installed.
    """
    if _which(program) is None:
        _install_packages([program], progress)
    if (found := _which(program)) is None:
        raise CannotPrepare(f"{_PACKAGES[program]} was installed, and {program} is not found.")
    return Path(found)


def _which(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _own_asterisk(wanted: int) -> Installation | None:
    program = shutil.which("asterisk")
    if program is None:
        return None
    version = _version([program])
    folders = [*Path("/usr/lib").glob("*/asterisk/modules"), *Path("/").glob("usr/lib*/asterisk/modules")]
    modules = next((folder for folder in folders if (folder / "res_ari.so").exists()), None)
    if version is None or modules is None:
        return None
    own = Installation(None, modules, version)
    return own if own.major == wanted or (wanted == NEWEST and own.major >= _OLDEST) else None


def _version(program: list[str]) -> str | None:
    said = subprocess.run([*program, "-V"], capture_output=True, text=True).stdout
    found = re.search(r"Asterisk (?:certified/)?(\d+\.[\w.]+)", said)
    return found[1] if found else None


def _missing_programs(*, debootstrap: bool) -> list[str]:
    needed = ["redis-server", "sipp", *(["debootstrap"] if debootstrap else [])]
    return [program for program in needed if _which(program) is None]


def _install_packages(programs: list[str], progress: Progress) -> None:
    if not programs:
        return
    packages = [_PACKAGES[program] for program in programs]
    _need_root_and_apt(" ".join(packages))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    progress("reading the package lists", 0.0)
    _run(["apt-get", "update", "-q"], environment)
    progress(f"installing {' '.join(packages)}", 0.3)
    with _no_services_started():
        _run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], environment)
    progress(f"installed {' '.join(packages)}", 1.0)


def _need_root_and_apt(what: str) -> None:
    if shutil.which("apt-get") is None:
        raise CannotPrepare(
            f"This is not a Debian machine, so {what} can't be installed here: install redis-server, SIPp, "
            "Asterisk 16 or newer and, for the tests, Chromium, linphone-daemon, promtool, nginx, Caddy and "
            "systemd-analyze yourself, or run this on Debian 12 as root."
        )
    if os.geteuid() != 0:
        raise CannotPrepare(f"{what} must be installed first, and only root can: run this once with sudo.")


@contextmanager
def _no_services_started() -> Iterator[None]:
    """Keep apt from starting what it installs: the demo has a Redis of its own."""
    guard = Path("/usr/sbin/policy-rc.d")
    if guard.exists():  # the machine has a policy already
        yield
        return
    guard.write_text("#!/bin/sh\nexit 101\n")
    guard.chmod(0o755)
    try:
        yield
    finally:
        guard.unlink(missing_ok=True)


def _folder(version: int) -> Path:
    return CACHE / f"asterisk-{version}-{_RECIPE}"


def _asterisk_folder(version: int, progress: Progress) -> Installation:
    folder = _folder(version)
    if not folder.exists():
        if version not in _SUITES:
            raise CannotPrepare(
                f"There is no recipe for Asterisk {version}: choose one of {sorted(_SUITES)}."
            )
        _need_root_and_apt(f"Asterisk {version}")
        CACHE.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(CACHE / f"asterisk-{version}.lock", progress):
            if not folder.exists():
                _build(folder, _SUITES[version], progress)
    if os.geteuid() != 0:
        raise CannotPrepare(
            "Asterisk runs in a folder of its own by chroot, and only root can: run this with sudo."
        )
    modules = next(folder.glob("usr/lib/*/asterisk/modules"), folder / "usr/lib/asterisk/modules")
    said = (folder / "asterisk-version").read_text().strip()
    return Installation(folder, Path("/") / modules.relative_to(folder), said)


@contextmanager
def _one_at_a_time(lock: Path, progress: Progress) -> Iterator[None]:
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of the same folder", 0.0)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _build(folder: Path, suite: _Suite, progress: Progress) -> None:
    """Build beside the final place and rename: an interrupted build leaves nothing that looks finished."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    script = f"/usr/share/debootstrap/scripts/{suite.script}"
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={_INCLUDE}",
        suite.name,
        str(partial),
        _mirror(),
        script,
    ]
    # Namespaces of its own: what debootstrap mounts and starts goes with it, even when it is killed.
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    command = ["setpriv", "--pdeathsig", "KILL", *own, *command]
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    doing = f"building the folder of Asterisk from Debian {suite.name}"
    try:
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
        ) as debootstrap:
            last = _follow(debootstrap, doing, progress)
        if debootstrap.returncode:
            raise CannotPrepare(f"Debootstrap could not build Debian {suite.name} with Asterisk: {last}")
        _furnish(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    progress(doing, 1.0)


def _follow(debootstrap: subprocess.Popen[str], doing: str, progress: Progress) -> str:
    assert debootstrap.stdout is not None
    seen = dict.fromkeys(_LINES, 0)
    percent, last = -1, ""
    try:
        for line in debootstrap.stdout:
            last = line.strip() or last
            kind = line.removeprefix("I: ").split(" ", 1)[0]
            if kind in _LINES:
                seen[kind] = min(seen[kind] + 1, _LINES[kind])
                before, percent = percent, 99 * sum(seen.values()) // sum(_LINES.values())
                if percent != before:
                    progress(doing, percent / 100)
    except BaseException:
        debootstrap.kill()
        debootstrap.stdout.read()  # ends when the last of its processes has
        raise
    return last


def _furnish(folder: Path) -> None:
    """Add what Asterisk needs beside its packages: a place for its run folder, and names that need no DNS."""
    (folder / "lab").mkdir()
    (folder / "etc/hosts").touch()
    (folder / "etc/resolv.conf").write_text("")
    version = _version(["chroot", str(folder), "asterisk"])
    if version is None:
        raise CannotPrepare(
            f"The Asterisk built in {folder} does not start: remove the folder and try again."
        )
    (folder / "asterisk-version").write_text(version + "\n")


def _mirror() -> str:
    """Return the address that the machine's own apt uses."""
    said = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"], dict(os.environ)
    )
    if not said.split():
        raise CannotPrepare("apt has no package source on this machine: add one to /etc/apt/sources.list.")
    return said.split()[0]


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise CannotPrepare(f"`{' '.join(command)}` failed: {reason}")
    return done.stdout
