"""What the documents show works."""

import re
from pathlib import Path

from ari_app.accounts.account import read_account

DOCS = Path(__file__).parents[2]


def test_the_account_that_the_documents_explain_can_be_applied() -> None:
    account = read_account((DOCS / "docs/account.toml").read_text("utf-8"))
    assert account.id == "shop.retailcrm.ru"
    assert account.code_of_user(2) == "102"


def test_the_account_of_the_readme_can_be_applied() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", (DOCS / "README.md").read_text("utf-8"), re.DOTALL)
    assert read_account(toml).policy().fallback


def test_every_document_that_is_named_is_there() -> None:
    for document in (DOCS / "README.md", *DOCS.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), f"{document.name} names {target}"
