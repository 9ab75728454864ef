"""Another repository ships its own model: its table and commit, with the code of this project."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import requests

from tests.integration.card import golden_predictions, golden_rows
from tests.integration.checkout import Checkout, build, clone
from tests.integration.program import ROOT, run
from tests.integration.registry import Registry, pulled
from tests.integration.service import Service, started_service

# As unlike the example as a table may be: categories that look like numbers or hold a comma, a feature without bounds.
DESCRIPTION = """
[target]
name = "quality"
unit = "points"

[columns."acidity, total"]
type = "number"
unit = "g/l"
range = [-1, 30]

[columns.sugar]
type = "number"
missing = true

[columns.sulphates]
type = "integer"
range = [0, 1000]

[columns.organic]
type = "category"
categories = ["0", "1"]

[columns.oak]
type = "category"
categories = ["none", "old, large", "<b>été</b>"]
missing = true
"""
MODEL = {"table": "data/wines.csv", "target": "quality", "name": "wine-quality", "version": "2.3.0"}


@dataclass(frozen=True)
class Wines:
    """The other repository, and the clone of this one that built its image."""

    repository: Path
    checkout: Checkout

    @property
    def environment(self) -> dict[str, str]:
        return {"SHIP_SOURCE": str(self.repository)}


def table() -> str:
    """Make a table in which quality is a sum of the features plus noise."""
    chance = random.Random(7)  # noqa: S311 - to be repeated, not to be secret
    lines = ['"acidity, total",sugar,sulphates,organic,oak,quality']
    for _ in range(400):
        acidity, sugar, sulphates = round(chance.uniform(4, 15), 1), chance.uniform(0, 30), chance.randrange(10, 200)
        organic, oak = chance.choice("01"), chance.choice(["none", "old, large", "<b>été</b>"])
        quality = 20 - 0.8 * acidity + 0.1 * sugar + 0.02 * sulphates + 3 * int(organic) + len(oak) + chance.gauss(0, 1)
        gap = chance.random() < 0.1
        lines.append(f'{acidity},{"" if gap else f"{sugar:.2f}"},{sulphates},{organic},"{oak}",{quality:.3f}')
    return "\n".join([*lines, ""])


def commit(repository: Path) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", "add", "--all", cwd=repository)
    run("git", *author, "commit", "--quiet", "--message", "wines", cwd=repository)


@pytest.fixture(scope="module")
def wines(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Wines:
    folder = tmp_path_factory.mktemp("other")
    repository = folder / "wines"
    (repository / "data").mkdir(parents=True)
    (repository / "data/wines.csv").write_text(table(), encoding="utf-8")
    (repository / "data/wines.toml").write_text(DESCRIPTION, encoding="utf-8")
    stated = "".join(f'{field} = "{value}"\n' for field, value in MODEL.items())
    (repository / "ship.toml").write_text(stated)
    (repository / "data/customers.csv").write_text("name\nsomebody\n")
    run("git", "init", "--quiet", cwd=repository)
    commit(repository)
    other = Wines(repository, clone(checkout, folder / "shipshape"))
    build(other.checkout, **other.environment)
    return other


@pytest.fixture(scope="module")
def reference(wines: Wines, registry: Registry) -> Iterator[str]:
    with pulled(registry, wines.checkout.layout, wines.checkout.image["digest"]) as reference:
        yield reference


@pytest.fixture(scope="module")
def service(reference: str) -> Iterator[Service]:
    with started_service(reference) as service:
        yield service


def revision(repository: Path) -> str:
    return run("git", "rev-parse", "HEAD", cwd=repository)


def test_the_image_serves_that_model(service: Service) -> None:
    card = service.card
    answer = service.predict(golden_rows(card)).json()
    version = requests.get(f"{service.url}/version", timeout=10).json()

    assert answer["prediction"] == pytest.approx(golden_predictions(card), rel=1e-6)
    assert answer["unit"] == "points"
    assert answer["model"] == {"name": "wine-quality", "version": "2.3.0"}
    assert [feature["name"] for feature in card["features"]][:2] == ["acidity, total", "sugar"]
    assert card["data"]["source"] == "wines.csv"
    assert version["version"] == "2.3.0"


def test_the_labels_name_both_commits_and_the_source(wines: Wines, registry: Registry, reference: str) -> None:
    repository, _, digest = reference.partition("/")[2].partition("@")
    labels = registry.labels(repository, digest)

    assert labels["org.opencontainers.image.revision"] == revision(wines.repository)
    assert labels["com.shipshape.pipeline.revision"] == revision(wines.checkout.path)
    assert labels["org.opencontainers.image.title"] == "wine-quality"
    assert labels["org.opencontainers.image.version"] == "2.3.0"
    assert labels["com.shipshape.model.data"] == "data/wines.csv"
    assert labels["com.shipshape.model.target"] == "quality"
    created = datetime.fromisoformat(labels["org.opencontainers.image.created"])
    assert str(int(created.timestamp())) == run("git", "log", "-1", "--format=%ct", cwd=wines.repository)


def test_the_build_record_names_the_inputs(wines: Wines) -> None:
    image = wines.checkout.image

    assert (image["revision"], image["pipeline"]) == (revision(wines.repository), revision(wines.checkout.path))
    assert {"table": image["data"], **{name: image[name] for name in ("target", "name", "version")}} == MODEL


def test_only_the_table_and_its_description_enter_the_build(wines: Wines) -> None:
    context = wines.checkout.path / "build" / "source"

    assert {path.name for path in context.rglob("*") if path.is_file()} == {"wines.csv", "wines.toml"}


def test_the_image_is_rebuilt_from_clones_of_both_repositories(wines: Wines, reference: str, tmp_path: Path) -> None:
    run("git", "clone", "--quiet", str(wines.repository), str(tmp_path / "elsewhere"))
    second = clone(wines.checkout, tmp_path / "second")
    done = second.ship("reproduce", reference, SHIP_SOURCE=str(tmp_path / "elsewhere"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"and so is what {revision(wines.repository)} builds" in done.stdout


def test_the_tests_of_the_image_pass_for_that_model(wines: Wines) -> None:
    clients = ROOT / "build" / "clients"
    clients.mkdir(parents=True, exist_ok=True)
    (wines.checkout.path / "build" / "clients").symlink_to(clients)  # to install them once
    # Those that look at the model; how the server around it copes with load and signals is the same for every model.
    asked = "test_agreement or test_clients or test_contract or test_image or test_predict"
    fewer = {"CONTRACT_REQUESTS": "200", "PYTEST_ADDOPTS": f"-k '{asked}'"}

    done = wines.checkout.ship("integration", **wines.environment, **fewer)

    assert done.returncode == 0, done.stdout
    [record] = (wines.checkout.path / "build" / "tested").iterdir()
    assert '"suite": "tests/integration/image"' in record.read_text()
    assert wines.checkout.image["digest"] in record.read_text()


def test_the_tests_of_one_model_are_not_run_on_another(wines: Wines) -> None:
    done = wines.checkout.ship("integration")

    assert done.returncode == 1
    assert "not price from training/data/houses.csv as house-price" in done.stdout


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"SHIP_TABLE": "data/beers.csv"}, "there is no table data/beers.csv"),
        ({"SHIP_TARGET": "price"}, "has no column 'price'"),
        ({"SHIP_FILE": "beers.toml"}, "there is no file beers.toml"),
        ({"SHIP_NAME": "Wine Quality"}, "is not a name"),
        ({"SHIP_VERSION": "$(touch pwned)"}, "is not a version"),
        ({"SHIP_SOURCE": "/"}, "is not a Git repository"),
    ],
)
def test_a_mistake_is_reported_before_the_build(wines: Wines, changed: dict[str, str], reason: str) -> None:
    before = wines.checkout.image
    done = wines.checkout.ship("build", **wines.environment | changed)

    assert done.returncode == 1
    assert reason in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert wines.checkout.image == before


def test_uncommitted_changes_in_either_repository_cannot_be_published(wines: Wines, tmp_path: Path) -> None:
    shutil.copytree(wines.repository, tmp_path / "changed")
    (tmp_path / "changed" / "data/wines.csv").write_text(table() + "5,5,5,0,none,5\n", encoding="utf-8")

    done = wines.checkout.ship("publish", **wines.environment | {"SHIP_SOURCE": str(tmp_path / "changed")})

    assert done.returncode == 1
    assert "uncommitted" in done.stdout
