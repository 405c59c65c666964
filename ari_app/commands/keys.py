"""`ari-app keys`: the secret key, when another takes its place."""

from __future__ import annotations

from typing import Annotated

import typer

from ari_app.commands import fail, run, store
from ari_app.settings import load_secret_key, read_settings
from ari_app.store.accounts import Accounts

app = typer.Typer(help="The secret key that encrypts the shops' passwords and keys.", no_args_is_help=True)


@app.command()
def rotate() -> None:
    """Write anew what an older secret key has closed, while services work; it may be repeated."""
    written, total = run(_rotate())
    typer.echo(f"{total} accounts, {written} written anew: all are closed with the present key.")
    typer.echo("When every copy of the service works with this key, ARI_APP_OLD_SECRET_KEYS may go.")


@app.command()
def lost(
    yes: Annotated[bool, typer.Option("--yes", help="Really; nothing brings them back.")] = False,
) -> None:
    """Drop the settings of shops that no secret key opens any more; their calls and recordings stay.

    Such a shop signs in anew, or its file is applied again, and finds its call log.
    """
    dropped = run(_lost(yes))
    for name in dropped:
        typer.echo(f"{name}: {'its settings are dropped' if yes else 'no key opens its settings'}")
    if not dropped:
        typer.echo("Every shop's settings can be opened.")
    elif not yes:
        fail("Nothing is dropped yet: if these keys are lost for good, run it with --yes.")


async def _lost(yes: bool) -> list[str]:
    settings = read_settings()
    key, _ = load_secret_key(settings)
    async with store(settings) as redis:
        return await Accounts(redis, key).drop_unopened() if yes else await Accounts(redis, key).unopened()


async def _rotate() -> tuple[int, int]:
    settings = read_settings()
    key, _ = load_secret_key(settings)
    written = 0
    async with store(settings) as redis:
        accounts = Accounts(redis, key)
        names = await accounts.names()
        for number, name in enumerate(names, 1):
            anew = await accounts.reseal(name)
            written += anew
            typer.echo(f"{number}/{len(names)}  {name}: {'written anew' if anew else 'is as it should be'}")
    return written, len(names)
