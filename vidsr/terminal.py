"""Text that came out of a file, made safe to print."""

import re

# C0 and C1 controls, separators of lines, and what turns the direction of writing.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return one line with every character written out that a terminal would obey: "\x1b[31m", "\n".

    A title or a file name could otherwise clear the screen, rename the window, or look like another line.
    """
    return _OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
