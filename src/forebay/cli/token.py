"""Commands on the tokens of the API: `forebay token new`, `list`, `revoke`."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import App, Parameter

from forebay.cli.arguments import ArchiveUrl, AsJson, archive_at, print_result, settings_in_force

token_commands = App(
    name="token",
    help="Tokens of those who may write by the API of `forebay serve`: new, list, revoke.\n\n"
    "Example: forebay token new operator",
)


@token_commands.command
def new(
    name: Annotated[str, Parameter(name="NAME", help="Person or program that gets it; acknowledged alerts show it.")],
    /,
    *,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print a new token. It is shown this once: the archive has only its hash.

    Example: forebay token new operator
    """
    settings, _ = settings_in_force()
    with archive_at(archive, settings) as store:
        text = store.access.new_token(name)

    def print_token() -> None:
        print(text)
        print("forebay: keep it; nobody can show it again, and `forebay token revoke` ends it", file=sys.stderr)

    print_result({"name": name.strip(), "token": text}, as_json, print_token)


@token_commands.command(name="list")
def list_tokens(*, archive: ArchiveUrl = None, as_json: AsJson = False) -> None:
    """List every token without its secret: id, name, when it was made and revoked.

    Example: forebay token list
    """
    from forebay.cli import terminal

    settings, _ = settings_in_force()
    with archive_at(archive, settings, create=False) as store:
        rows = store.access.tokens().drop("hash").to_dicts()

    def print_rows() -> None:
        if rows:
            terminal.table("Tokens", rows)
        else:
            terminal.line("There is no token; `forebay token new NAME` makes one.")

    print_result(rows, as_json, print_rows)


@token_commands.command
def revoke(
    token: Annotated[str, Parameter(name="TOKEN", help="Name or id of the token.")],
    /,
    *,
    archive: ArchiveUrl = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a token from now on, also in a server that runs.

    Example: forebay token revoke operator
    """
    settings, _ = settings_in_force()
    with archive_at(archive, settings, create=False) as store:
        bearer = store.access.revoke(token)
    content = {"id": bearer.token, "name": bearer.name}
    print_result(content, as_json, lambda: print(f"The token {bearer.name!r} ({bearer.token}) is refused from now on."))
