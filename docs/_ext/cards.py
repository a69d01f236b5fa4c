"""Cards with thumbnails, each a link: `show` in a cell of a page."""

import html
from typing import Any, NamedTuple

from IPython.display import HTML
from matplotlib.figure import Figure
from themed_figures import to_html


class Card(NamedTuple):
    """A use, a sentence on it, where it leads, and a small figure, whose label is its alternative text."""

    title: str
    text: str
    page: str
    """Relative to the page that shows the card, without a suffix."""
    figure: Figure


def show(cards: list[Card]) -> Any:
    """The cards, side by side as far as there is room."""
    made = [
        f'<a class="card" href="{html.escape(card.page)}.html">{to_html(card.figure)}'
        f"<strong>{html.escape(card.title)}</strong><span>{html.escape(card.text)}</span></a>"
        for card in cards
    ]
    display: Any = HTML  # untyped, where it is installed
    return display(f'<div class="cards">{"".join(made)}</div>')
