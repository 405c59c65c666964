"""The command line, `ari-app`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from ari_app.commands import account, backup, calls, check, demo, dialplan, export, keys, serve, settings
from ari_app.commands.logs import log_errors

app = typer.Typer(
    help="The telephone side of retailCRM for shops that run Asterisk.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
serve.register(app)
check.register(app)
backup.register(app)
export.register(account.app)
demo.register(app)
dialplan.register(app)
settings.register(app)
app.add_typer(account.app, name="account")
app.add_typer(calls.app, name="calls")
app.add_typer(keys.app, name="keys")


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ari-app {version('ari-app')}")
        raise typer.Exit


@app.callback()
def _all_commands(
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version it is.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line. What is logged goes to the error output: the other one is for answers."""
    log_errors()
    app()


if __name__ == "__main__":
    main()
