"""Checks of HTML pages."""

from html.parser import HTMLParser


class Balance(HTMLParser):
    """Checks that tags close in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


def check_balanced(html: str) -> None:
    """Every tag is closed, in order."""
    balance = Balance()
    balance.feed(html)
    assert balance.open == []
