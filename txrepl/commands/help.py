"""The replies of the HELP subcommands: one line for each form, and what it does, in the frame that Redis gives them."""

from __future__ import annotations

from txrepl.resp.replies import Reply


def help_reply(container: str, *forms: tuple[str, str]) -> Reply:
    """What HELP answers (`addReplyHelp`).

    Parameters:
        container: the command's name in capitals.
        forms: the words after the name, and what they do.
    """
    lines: list[Reply] = [f"{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for words, meaning in (*forms, ("HELP", "Print this help.")):
        lines.append(words)
        lines.append("    " + meaning)
    return lines
