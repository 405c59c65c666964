"""What the documents show works."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ari_app.accounts.reading import read_account
from ari_app.cli import app
from ari_app.settings import IN_FILE, PREFIX, Settings

DOCS = Path(__file__).parents[2]
DEPLOYED = [path for path in (DOCS / "deploy").rglob("*") if path.is_file()]


def test_the_account_that_the_documents_explain_can_be_applied() -> None:
    account = read_account((DOCS / "docs/account.toml").read_text("utf-8"))
    assert account.id == "shop.retailcrm.ru"
    assert account.code_of_user(2) == "102"


def test_the_account_with_which_a_shop_is_set_up_can_be_applied() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", (DOCS / "docs/setting-up.md").read_text("utf-8"), re.DOTALL)
    assert read_account(toml).policy().fallback


def test_every_document_that_is_named_is_there() -> None:
    for document in (*DOCS.glob("*.md"), *DOCS.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} names {target}"


def test_the_readme_is_short_enough_to_be_read_whole() -> None:
    for name in ("README.md", "README.ru.md"):
        assert len((DOCS / name).read_text("utf-8").splitlines()) < 90


def test_a_newcomer_finds_the_words_and_the_recipes() -> None:
    readme, architecture = DOCS / "README.md", DOCS / "docs/architecture.md"
    for document in (readme, architecture):
        text = document.read_text("utf-8")
        assert "glossary.md)" in text
        assert "CONTRIBUTING.md)" in text


def test_every_place_that_a_recipe_names_is_there() -> None:
    recipes = (DOCS / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`([\w/.-]+\.(?:py|html|css|po|sh|toml|md|j2))`", recipes))
    assert len(named) > 40
    files = [f"/{path.relative_to(DOCS)}" for path in _sources()]
    for name in sorted(named):
        assert "NAME" in name or any(file.endswith(f"/{name}") for file in files), name


def _sources() -> Iterator[Path]:
    yield from DOCS.glob("*.*")
    for room in ("ari_app", "cabinet", "docs", "stasis_dialplan", "tests"):
        yield from (DOCS / room).rglob("*.*")


def test_make_help_names_every_target() -> None:
    makefile = (DOCS / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert set(re.findall(r'@echo "make ([a-z-]+) ', makefile)) == targets


def test_the_changes_of_the_present_version_are_written_down() -> None:
    version = tomllib.loads((DOCS / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"\n## {version}" in (DOCS / "CHANGELOG.md").read_text("utf-8")


def test_every_setting_that_is_named_is_one() -> None:
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    named = [
        DOCS / "Dockerfile",
        DOCS / "compose.yaml",
        *DOCS.glob("*.md"),
        *DOCS.glob("docs/**/*.*"),
        *DEPLOYED,
    ]
    for document in named:
        if document.suffix != ".png":
            found = set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z](?![A-Z_])", document.read_text("utf-8")))
            assert {name.removesuffix(IN_FILE) for name in found} <= settings, document


def test_every_command_of_ours_that_a_document_names_is_one() -> None:
    """With the options that it is given there."""
    named = 0
    for document in (*DOCS.glob("*.md"), *DOCS.glob("docs/**/*.md"), *DOCS.glob("deploy/**/*.yml")):
        for words in re.findall(r"(?<![\w/.-])ari-app ([a-z][^`\n|;)<&,]*)", document.read_text("utf-8")):
            command: Any = typer.main.get_command(app)
            groups, rest = [command], words.split()
            while rest and rest[0] in getattr(command, "commands", ()):
                command = command.commands[rest.pop(0)]
                groups.append(command)
            if len(groups) == 1:
                continue  # a sentence about ari-app
            assert not (hasattr(command, "commands") and rest), (document.name, words)
            options = {name for option in command.params for name in option.opts}
            given = {word.partition("=")[0].strip("[].") for word in rest if word.startswith(("--", "[--"))}
            assert given <= options | {"--help"}, (document.name, words)
            named += 1
    assert named > 30


def test_shellcheck_finds_nothing_in_what_installs_it() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    scripts = ("deploy/install", "tests/image/run", "tests/server/run", "tests/server/boot")
    done = subprocess.run([shellcheck, "-x", *scripts], cwd=DOCS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
