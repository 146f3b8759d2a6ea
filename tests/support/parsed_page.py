"""A page as its reader sees it."""

import html.parser


class Page(html.parser.HTMLParser):
    """Which elements a page opens and closes, with their attributes; its text without tags."""

    EMPTY = ("meta", "br", "rect", "line", "circle", "use", "path", "image", "stop")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def figures(self):
        return [
            found["id"].removeprefix("figure-") for tag, found in self.elements if tag == "figure"
        ]

    def outside(self):
        """What the page would load from elsewhere."""
        loaded = [tag for tag, _ in self.elements if tag in ("link", "iframe", "img")]
        for tag, found in self.elements:
            address = found.get("src") or found.get("xlink:href") or found.get("href") or "#"
            if tag != "a" and not address.startswith(("#", "data:")):
                loaded.append(address)
        return loaded

    def check_alone(self, run):
        """Assert that the page needs no other file, names no folder, and has unique ids."""
        assert self.outside() == []
        text = (run / "report/index.html").read_text()
        for absent in ("@import", "url(http", str(run)):
            assert absent not in text
        names = [found["id"] for _, found in self.elements if "id" in found]
        assert len(names) == len(set(names))
