"""Writes beside a wheel what is in it and what it needs: a CycloneDX bill of materials.

`python -m release.sbom WHEEL`. It lists what `requirements.lock` pins, with licences and who needs whom as
the packages say themselves (they are installed here), and the script and style that the wheel holds, from
npm. The same wheel and lock give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import uuid
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from hatchling.builders.utils import get_reproducible_timestamp
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LONGEST_LICENSE = 80
"""Characters; in place of a name some packages give the whole text."""
_PINNED = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


class NotAsLocked(Exception):
    """Another version of a package is installed than the lock pins: its licence and needs may differ."""


def write(wheel: Path) -> Path:
    """Write the bill of materials of a wheel beside it.

    Raises:
        NotAsLocked: what is installed here is not what the lock pins.
    """
    text = bill(wheel)
    path = wheel.with_name("-".join(wheel.name.split("-")[:2]) + ".cdx.json")
    path.write_text(text + "\n", "utf-8")
    return path


def bill(wheel: Path) -> str:
    """Give the bill of materials of a wheel; raises as `write` does."""
    about = _metadata(wheel)
    ours = _component(about, ComponentType.APPLICATION, _sha256(wheel))
    locked = dict(_PINNED.findall((ROOT / "requirements.lock").read_text("utf-8")))
    python = {name: _installed(name, version) for name, version in locked.items()}
    parts = {name: _component(about) for name, about in python.items()}
    pages = list(_pages())
    bom = Bom(components=[*parts.values(), *pages])
    bom.metadata.component = ours
    bom.metadata.timestamp = datetime.fromtimestamp(get_reproducible_timestamp(), UTC)
    bom.register_dependency(ours, [*(parts[name] for name in _needs(about, locked)), *pages])
    for name, package in python.items():
        bom.register_dependency(parts[name], [parts[needed] for needed in _needs(package, locked)])
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{_sha256(wheel)} {sorted(locked.items())}")
    return JsonV1Dot6(bom).output_as_string(indent=1)


def _metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(files.read(name))


def _installed(name: str, version: str) -> Message:
    found = distribution(name)
    if found.version != version:
        raise NotAsLocked(f"{name} {found.version} is installed, {version} is locked")
    return message_from_bytes((found.read_text("METADATA") or "").encode())


def _component(
    about: Message, kind: ComponentType = ComponentType.LIBRARY, sha256: str | None = None
) -> Component:
    name, version = canonicalize_name(about["Name"]), str(about["Version"])
    purl = PackageURL("pypi", None, name, version)
    return Component(
        name=name,
        version=version,
        type=kind,
        bom_ref=str(purl),
        purl=purl,
        description=about["Summary"],
        licenses=_licenses(about),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else (),
    )


def _licenses(about: Message) -> list[License]:
    """Give the licence that a package names: the newer way, the older way, or among its classifiers."""
    named = [about[field] for field in ("License-Expression", "License") if about[field]]
    named += [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier", [])
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    short = [text for text in named if len(text) <= LONGEST_LICENSE and "\n" not in text]
    return [LicenseFactory().make_from_string(text) for text in short[:1]]


def _needs(about: Message, locked: dict[str, str]) -> list[str]:
    wanted = map(Requirement, about.get_all("Requires-Dist", []))
    names = {canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate()}
    return sorted(names & locked.keys())


def _pages() -> list[Component]:
    packages = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    found = []
    for path in sorted(packages[""]["dependencies"]):
        package = packages[f"node_modules/{path}"]
        scope, _, name = path.rpartition("/")
        purl = PackageURL("npm", scope or None, name, package["version"])
        sha512 = base64.b64decode(package["integrity"].removeprefix("sha512-")).hex()
        found.append(
            Component(
                name=name,
                group=scope or None,
                version=package["version"],
                bom_ref=str(purl),
                purl=purl,
                licenses=[LicenseFactory().make_from_string(package["license"])],
                hashes=[HashType(alg=HashAlgorithm.SHA_512, content=sha512)],
            )
        )
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{write(Path(sys.argv[1]))}\n")
    except NotAsLocked as problem:
        sys.exit(f"{problem}: see what make installs")
