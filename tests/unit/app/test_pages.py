"""The pages for people: made from the card, complete without a network, and accessible.

The tests check their structure; how a browser renders them is not tested, as it would have to be installed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import msgspec
import pytest
from flask.testing import FlaskClient

from app import pages
from app.model import Card, Feature
from app.settings import Settings

VOID = {"input", "link", "meta", "br"}


@dataclass
class Element:
    """One element of a page, with the text of everything inside it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def __iter__(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            yield from child

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self if element.tag in tags]

    def by_id(self) -> dict[str | None, Element]:
        found = [element for element in self if "id" in element.attributes]
        ids = {element.attributes["id"]: element for element in found}
        assert len(ids) == len(found), "an id is used twice"
        return ids


class Page(HTMLParser):
    """Parses a page strictly: every element is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(text)
        self.close()
        assert self._open == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs)
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def get_page(client: FlaskClient, path: str) -> Element:
    response = client.get(path)
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    return Page(response.text).root


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_only_files_that_exist_and_that_its_policy_allows(path: str, client: FlaskClient) -> None:
    policy = client.get(path).headers["Content-Security-Policy"]
    loaded = [
        element.attributes.get("src") or element.attributes.get("href")
        for element in get_page(client, path).all("link", "script", "img")
    ]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert loaded
    for address in loaded:
        assert client.get(f"/{address}").status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_has_no_inline_script_or_style(path: str, client: FlaskClient) -> None:
    for element in get_page(client, path):
        assert element.tag != "style"
        assert element.tag != "script" or not element.text.strip()
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_has_what_assistive_technology_needs(path: str, client: FlaskClient, card: Card) -> None:
    root = get_page(client, path)
    [title], [document], [_main], [_heading] = (root.all(tag) for tag in ("title", "html", "main", "h1"))

    assert document.attributes["lang"] == "en"
    assert card.name in title.text
    for link in root.all("nav")[0].all("a"):
        assert client.get(f"/{(link.attributes['href'] or '').removeprefix('.')}").status_code == 200


def test_every_feature_has_a_field_with_a_label_and_room_for_an_error(client: FlaskClient, card: Card) -> None:
    root = get_page(client, "/")
    ids, labels = root.by_id(), {label.attributes["for"]: label.text for label in root.all("label")}
    fields = {element.attributes["name"]: element for element in root.all("input", "select")}

    assert [*fields] == [feature.name for feature in card.features]
    for feature in card.features:
        found = fields[feature.name].attributes
        assert labels[found["id"]].startswith(feature.name.replace("_", " "))
        assert {f"{found['id']}-hint", f"{found['id']}-error"} <= {*(found["aria-describedby"] or "").split()}
        assert {*(found["aria-describedby"] or "").split()} <= ids.keys()
        assert ("required" in found) != feature.missing


def test_a_number_has_its_range_its_unit_and_a_typical_value(client: FlaskClient) -> None:
    root = get_page(client, "/")
    area, rooms = (
        next(element for element in root.all("input") if element.attributes["name"] == name).attributes
        for name in ("area", "rooms")
    )

    assert (area["type"], area["min"], area["max"], area["step"]) == ("number", "10", "1000", "any")
    assert float(area["placeholder"] or "") > 10
    assert "10 to 1000 m2" in root.text
    assert rooms["step"] == "1"
    assert (rooms["placeholder"] or "").isdigit()


def test_a_category_offers_every_choice_and_none_if_it_may_be_missing(client: FlaskClient) -> None:
    choices = {
        element.attributes["name"]: [option.text for option in element.all("option")]
        for element in get_page(client, "/").all("select")
    }

    assert choices["building"] == ["Choose one", "apartment", "terraced", "semi-detached", "detached"]
    assert choices["condition"] == ["Not known", "to renovate", "dated", "good", "renovated"]


def test_results_are_announced_to_screen_readers(client: FlaskClient) -> None:
    assert get_page(client, "/").by_id()["result"].attributes["aria-live"] == "polite"


def test_the_documentation_describes_the_model(client: FlaskClient, card: Card) -> None:
    text = get_page(client, "/docs").text

    assert card.data.sha256 in text
    assert card.sha256 in text
    assert f"{card.metrics.model.mae:,.0f} EUR" in text
    assert f"{card.metrics.baseline.mae:,.0f} EUR" in text
    for feature in card.features:
        assert feature.name in text
        assert feature.description in text
    assert "POST /predict" in text


def test_the_commands_of_the_documentation_work(client: FlaskClient) -> None:
    commands = [shlex.split(pre.text) for pre in get_page(client, "/docs").all("pre") if pre.text.startswith("curl")]

    assert len(commands) == 3
    for curl, url, header, content_type, data, body in commands:
        assert (curl, url, header, data) == ("curl", "http://localhost:5000/predict", "-H", "-d")
        name, _, value = content_type.partition(": ")
        assert client.post("/predict", data=body, headers={name: value}).status_code == 200


def test_html_in_names_is_escaped(settings: Settings, card: Card, client: FlaskClient) -> None:
    name = """<b onclick="x">it's</b>"""
    odd = Feature(name, "category", unit=name, categories=(name, "b"), typical=name, description=name)
    strange = msgspec.structs.replace(card, name=name, features=(odd, Feature("x", "number", typical=0.5)))

    routes = {
        route.path: route for route in pages.make_routes(settings, strange, client.get("/openapi.json").json or {})
    }

    for path in ("/", "/docs"):
        root = Page(routes[path]({}).body.decode()).root
        assert name in root.text
        assert not root.all("b")


@pytest.mark.parametrize(
    "path", ["/static/", "/static/page.css/", "/static/../__init__.py", "/static/%2e%2e/__init__.py"]
)
def test_no_other_file_is_served(path: str, client: FlaskClient) -> None:
    assert client.get(path).status_code == 404
