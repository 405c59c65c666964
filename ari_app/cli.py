"""The command line, `ari-app`."""

from __future__ import annotations

import sys

import structlog
import typer

from ari_app.commands import account, calls, check, demo, dialplan, serve

app = typer.Typer(
    help="The telephone side of retailCRM for shops that run Asterisk.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
serve.register(app)
check.register(app)
demo.register(app)
dialplan.register(app)
app.add_typer(account.app, name="account")
app.add_typer(calls.app, name="calls")


def main() -> None:
    """Run the command line. What is logged goes to the error output: the other one is for answers."""
    log_errors()
    app()


def log_errors() -> None:
    """Log to the error output, and no variable's value with a failure: there may be a secret in it."""
    *others, _ = structlog.get_config()["processors"]
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=serve.TRACEBACK)
    structlog.configure([*others, renderer], logger_factory=structlog.PrintLoggerFactory(sys.stderr))


if __name__ == "__main__":
    main()
