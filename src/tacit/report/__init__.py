"""Pages, charts and images of a report.

Here stand the two pieces of HTML that all of them are made of: running text and sections.
"""

from __future__ import annotations

import re
from html import escape


def set_text(text: str) -> str:
    """Escape a text, then set what stands between backticks as code; there is no other markup."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def set_section(name: str, heading: str, body: str) -> str:
    """Wrap HTML in a section with a heading of the second level."""
    return (
        f'<section class="{name}" aria-labelledby="{name}-heading">\n'
        f'<h2 id="{name}-heading">{heading}</h2>\n{body}</section>\n'
    )
