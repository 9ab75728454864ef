"""Checks the settings of this repository on GitHub, as far as the login of `gh` may read them. Changes nothing.

Of secrets only the names are read: GitHub shows nothing else. What an answer does not contain is not guessed.

Source: https://docs.github.com/en/rest?apiVersion=2022-11-28
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from urllib.parse import quote

import msgspec

from scripts import checkout
from scripts.check import Check, left_open, missing, right
from scripts.errors import Failure
from scripts.grammar import document
from scripts.process import Limit, attempt

SECONDS = 30
PAGES = 17
"""A repository has at most 500 variables, and GitHub lists 30 at once."""
VERSION = "X-GitHub-Api-Version: 2022-11-28"
# The environments, variables and secrets that .github/workflows/ use.
REGISTRIES, DEV = "registries", "dev"
HUB_REPOSITORY, HUB_USER, HUB_TOKEN = "DOCKERHUB_REPOSITORY", "DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN"
GHCR_REPOSITORY, DEPLOY_KEY = "GHCR_REPOSITORY", "DEPLOY_KEY"
ENVIRONMENTS = {
    REGISTRIES: {("branch", "main"), ("tag", "v*")},
    DEV: {("branch", "main")},
}
"""Environments with secrets, and the only branches and tags that may use them."""
APPROVED = ("test", "prod")
"""Environments whose promotions should need an approval."""
BRANCHES = "Settings → Environments → … → Deployment branches and tags"
ACTIONS = "Settings → Actions → General"
SECRETS = "Settings → Secrets and variables → Actions"

Answer = TypeVar("Answer")


class _Owner(msgspec.Struct):
    login: str
    type: str


class _Repository(msgspec.Struct):
    full_name: str
    private: bool
    default_branch: str
    owner: _Owner
    archived: bool = False


class _Actions(msgspec.Struct):
    enabled: bool
    allowed_actions: str = "all"


class _Workflow(msgspec.Struct):
    default_workflow_permissions: str
    can_approve_pull_request_reviews: bool


class _Variable(msgspec.Struct):
    name: str
    value: str


class _Variables(msgspec.Struct):
    total_count: int
    variables: list[_Variable]


class _Secret(msgspec.Struct):
    name: str


class _Secrets(msgspec.Struct):
    secrets: list[_Secret]


class _Protection(msgspec.Struct):
    type: str


class _Policy(msgspec.Struct):
    protected_branches: bool
    custom_branch_policies: bool


class _Environment(msgspec.Struct):
    name: str
    protection_rules: list[_Protection] = []
    deployment_branch_policy: _Policy | None = None


class _Environments(msgspec.Struct):
    environments: list[_Environment]


class _Pattern(msgspec.Struct):
    name: str
    type: str = "branch"


class _Patterns(msgspec.Struct):
    branch_policies: list[_Pattern]


class _Rule(msgspec.Struct):
    type: str


class _Ruleset(msgspec.Struct):
    name: str
    target: str = "branch"
    enforcement: str = "active"


class _Named(msgspec.Struct):
    full_name: str


class _Package(msgspec.Struct):
    visibility: str
    repository: _Named | None = None


class _Anything(msgspec.Struct):
    pass


class Refused(Failure):
    """GitHub refused a request."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"GitHub refuses: {words}")
        self.status = status


@dataclass(frozen=True)
class Home:
    """A repository on GitHub or on a GitHub Enterprise server."""

    host: str
    name: str
    """OWNER/REPOSITORY"""

    def ask(self, path: str, kind: type[Answer]) -> Answer:
        """Return GitHub's answer to GET `path`, which is relative to the repository unless it begins with a slash.

        Raises Refused with the HTTP status, 0 if there was none.
        """
        whole = path.removeprefix("/") if path.startswith("/") else f"repos/{self.name}/{path}".rstrip("/")
        options = ("--hostname", self.host, "--header", VERSION)
        done = attempt("gh", "api", *options, "--", whole, limit=Limit(SECONDS, self.host))
        if done.returncode:
            status = re.search(r"\(HTTP (\d{3})\)", done.stderr)
            raise Refused(int(status[1]) if status else 0, done.words)
        return document(done.stdout, kind, f"GitHub's answer about {whole}")

    def secrets(self, place: str) -> set[str]:
        """Return the names of the secrets in `place`: `actions`, or an environment."""
        return {one.name for one in self.ask(f"{place}/secrets?per_page=100", _Secrets).secrets}

    @cached_property
    def variables(self) -> dict[str, str]:
        """Return all variables of the repository, page by page."""
        found: dict[str, str] = {}
        for page in range(1, PAGES + 1):
            answer = self.ask(f"actions/variables?per_page=30&page={page}", _Variables)
            found |= {one.name: one.value for one in answer.variables}
            if len(found) >= answer.total_count:
                break
        return found

    @cached_property
    def environments(self) -> dict[str, _Environment]:
        """Return the environments by name."""
        return {one.name: one for one in self.ask("environments?per_page=100", _Environments).environments}


def checks() -> list[Check]:
    """Return the checks of the GitHub repository that this checkout is from."""
    about = "GitHub"
    origin = re.fullmatch(r"https://([^/]+)/([^/]+/[^/]+)", checkout.repository())
    if not origin:
        remedy = "git remote add origin https://github.com/OWNER/REPOSITORY, or set-url instead of add"
        return [left_open(about, "the remote origin is not on GitHub", remedy)]
    home = Home(origin[1], origin[2])
    try:
        done = attempt("gh", "auth", "status", "--hostname", home.host, limit=Limit(SECONDS, home.host))
    except Failure as absent:
        return [left_open(about, f"not checked: {absent.reason}", "https://cli.github.com, then gh auth login")]
    if done.returncode:
        login = f"gh auth login --hostname {home.host}"
        return [left_open(about, f"not checked, because gh reports: {done.words}", login)]
    try:
        repository = home.ask("", _Repository)
    except Failure as refused:
        found = f"{home.name}: {refused.reason}"
        if isinstance(refused, Refused) and refused.status == 404:
            return [missing(about, found, "check that it exists and that this login may read it")]
        return [left_open(about, found, _permission(refused))]
    return list(_of(home, repository))


def _of(home: Home, repository: _Repository) -> Iterator[Check]:
    """Yield every check of `repository`; one that GitHub refuses to answer stays open."""
    yield _visibility(repository)
    parts: dict[str, Callable[[], Iterator[Check]]] = {
        "actions": lambda: _actions(home),
        "workflow permissions": lambda: _workflows(home),
        "environments": lambda: _environments(home),
        "Docker Hub": lambda: _docker_hub(home),
        "main": lambda: _main(home),
        "tags": lambda: _tags(home),
        "dependency graph": lambda: _dependency_graph(home),
        "package on GHCR": lambda: _package(home, repository),
    }
    for about, part in parts.items():
        try:
            yield from part()
        except Failure as refused:
            yield left_open(about, refused.reason, _permission(refused))


def _permission(refused: Failure) -> str:
    """Return the remedy when GitHub refuses this login."""
    if isinstance(refused, Refused) and refused.status in {401, 403, 404}:
        return "log in as an administrator of the repository: gh auth login"
    return refused.remedy or "try again later"


def _visibility(repository: _Repository) -> Check:
    about, name = "repository", repository.full_name
    if repository.archived:
        return missing(about, f"{name} is archived, so no workflow runs", "Settings → General → Unarchive")
    if repository.private:
        return missing(
            about,
            f"{name} is private, so nobody else could verify the provenance of its images",
            "Settings → General → Change visibility; or publish from your own machine: docs/publishing.md",
        )
    if repository.default_branch != "main":
        return missing(
            about,
            f"the default branch of {name} is {repository.default_branch}, but the workflows publish main",
            "Settings → General → Default branch",
        )
    return right(about, f"{name} is public, and its default branch is main")


def _actions(home: Home) -> Iterator[Check]:
    about, found = "actions", home.ask("actions/permissions", _Actions)
    if not found.enabled:
        yield missing(
            about, "off, as in every new fork", f"{ACTIONS} → Allow all actions; in a fork also on the tab Actions"
        )
    elif found.allowed_actions == "local_only":
        yield missing(about, "only actions of the owner are allowed", f"{ACTIONS} → Allow all actions, or select them")
    elif found.allowed_actions == "selected":
        yield left_open(
            about, "only selected actions are allowed", "check that they include those in .github/workflows/"
        )
    else:
        yield right(about, "on, and all actions are allowed")


def _workflows(home: Home) -> Iterator[Check]:
    about, found = "workflow permissions", home.ask("actions/permissions/workflow", _Workflow)
    if found.can_approve_pull_request_reviews:
        yield right(about, "workflows may open pull requests, as promotions do")
    else:
        yield missing(
            about,
            "workflows may not open pull requests, but promotions do",
            f"{ACTIONS} → Allow GitHub Actions to create and approve pull requests",
        )
    if found.default_workflow_permissions != "read":
        yield left_open(about, "by default workflows may write", f"{ACTIONS} → Read repository contents")


def _environments(home: Home) -> Iterator[Check]:
    for name, wanted in ENVIRONMENTS.items():
        yield _guarded(home, name, home.environments.get(name), wanted)
    for name in APPROVED:
        about, place = f"environment {name}", f"Settings → Environments → {name} → Required reviewers"
        if name not in home.environments:
            yield left_open(about, "missing: its first use creates it without required approval", place)
        elif not any(rule.type == "required_reviewers" for rule in home.environments[name].protection_rules):
            yield left_open(about, "no approval is required", place)
        elif not home.environments[name].deployment_branch_policy:
            yield left_open(
                about,
                "a promotion waits for a reviewer, but may come from any branch",
                f"{BRANCHES.replace('…', name)}: branch main",
            )
        else:
            yield right(about, "a promotion waits for a reviewer")


def _guarded(home: Home, name: str, found: _Environment | None, wanted: set[tuple[str, str]]) -> Check:
    """Check that only the `wanted` branches and tags get the secrets of the environment `name`.

    While it has no secrets, nothing is lost yet.
    """
    about, only = f"environment {name}", _listed(wanted)
    remedy = f"{BRANCHES.replace('…', name)}: {only}"
    if not found:
        return left_open(about, "missing: its first use creates it, open to every branch", remedy)
    fault = missing if home.secrets(f"environments/{name}") else left_open
    policy = found.deployment_branch_policy
    if not policy:
        return fault(about, "every branch may use its secrets", remedy)
    if not policy.custom_branch_policies:
        return fault(about, "open to every protected branch", remedy)
    listed = home.ask(f"environments/{name}/deployment-branch-policies", _Patterns).branch_policies
    patterns = {(one.type, one.name) for one in listed}
    if lacking := wanted - patterns:
        return fault(about, f"open to {_listed(patterns)}, but not to {_listed(lacking)}", remedy)
    if patterns - wanted:
        return left_open(about, f"open to {_listed(patterns)}", f"{remedy}, and nothing else")
    return right(about, f"open to {only} only")


def _listed(patterns: set[tuple[str, str]]) -> str:
    return " and ".join(f"{kind} {pattern}" for kind, pattern in sorted(patterns)) or "nothing"


def _docker_hub(home: Home) -> Iterator[Check]:
    about, variables, everywhere = "Docker Hub", home.variables, home.secrets("actions")
    guarded = home.secrets(f"environments/{REGISTRIES}") if REGISTRIES in home.environments else set()
    if HUB_USER in everywhere | guarded:
        yield missing(
            about,
            f"{HUB_USER} is a secret, so GitHub drops every job output that contains its value",
            f"{SECRETS}: delete it and make it a variable",
        )
    if not {HUB_REPOSITORY, HUB_USER} & variables.keys() and HUB_TOKEN not in everywhere | guarded:
        yield left_open(
            about,
            "not set up: images go to GHCR only",
            f"for both: variable {HUB_REPOSITORY}, docs/first-push.md",
        )
        return
    for name in (HUB_REPOSITORY, HUB_USER):
        if variables.get(name):
            yield right(about, f"{name} is {variables[name]}")
        else:
            yield missing(about, f"there is no variable {name}", f"{SECRETS} → Variables → New repository variable")
    place = f"Settings → Environments → {REGISTRIES} → Add environment secret"
    if HUB_TOKEN in everywhere:
        yield missing(
            about, f"the secret {HUB_TOKEN} is open to every branch", f"{place}; then delete that of the repository"
        )
    elif HUB_TOKEN in guarded:
        yield right(about, f"{HUB_TOKEN} is a secret of the environment {REGISTRIES}")
    else:
        yield missing(about, f"there is no secret {HUB_TOKEN}", place)


def _main(home: Home) -> Iterator[Check]:
    about = "main"
    rules = {one.type for one in home.ask("rules/branches/main?per_page=100", list[_Rule])}
    try:
        home.ask("branches/main/protection", _Anything)
        rules.add("branch protection")
    except Refused as refused:
        if refused.status != 404:
            raise
    if not rules:
        yield left_open(
            about,
            "anyone with write access may push to it",
            "Settings → Rules → Rulesets: a pull request and checks",
        )
        return
    yield right(about, f"protected: {', '.join(sorted(rules))}")
    if DEV not in home.environments or DEPLOY_KEY not in home.secrets(f"environments/{DEV}"):
        yield left_open(
            "record in dev",
            "workflows may not push to main, so each image opens a pull request",
            f"to push: add a deploy key that bypasses the rules as the secret {DEPLOY_KEY} of the environment {DEV}",
        )
    else:
        yield right("record in dev", f"pushed with {DEPLOY_KEY}, if that key bypasses the rules")


def _tags(home: Home) -> Iterator[Check]:
    """Check that a ruleset protects tags. Which tags, and who may bypass it, is for people to read."""
    rulesets = home.ask("rulesets?per_page=100", list[_Ruleset])
    names = [one.name for one in rulesets if one.target == "tag" and one.enforcement == "active"]
    if names:
        yield right("tags", f"protected by {', '.join(names)}")
    else:
        yield left_open("tags", "anyone who may write may release", "Settings → Rules → Rulesets → New tag ruleset: v*")


def _dependency_graph(home: Home) -> Iterator[Check]:
    about = "dependency graph"
    try:
        home.ask("dependency-graph/sbom", _Anything)
    except Refused as refused:
        if refused.status != 404:
            raise
        yield missing(about, "off, so the dependency review fails", "Settings → Advanced Security → Dependency graph")
    else:
        yield right(about, "on")


def _package(home: Home, repository: _Repository) -> Iterator[Check]:
    """Check the package that images are pushed to; it does not exist before the first push."""
    about, default = "package on GHCR", f"ghcr.io/{repository.full_name.lower()}"
    named = home.variables.get(GHCR_REPOSITORY) or default
    host, _, path = named.partition("/")
    owner, _, name = path.partition("/")
    if host != "ghcr.io" or owner.lower() != repository.owner.login.lower() or not name:
        yield left_open(about, f"not checked: {named} is not a package of {repository.owner.login}")
        return
    kind = "orgs" if repository.owner.type == "Organization" else "users"
    try:
        package = home.ask(f"/{kind}/{repository.owner.login}/packages/container/{quote(name, safe='')}", _Package)
    except Refused as refused:
        if refused.status == 404:
            yield left_open(about, f"{named} does not exist yet, or is hidden from this login")
        elif refused.status == 403:
            yield left_open(about, refused.reason, f"gh auth refresh --hostname {home.host} --scopes read:packages")
        else:
            raise
        return
    place = f"https://github.com/{kind}/{repository.owner.login}/packages/container/{name}/settings"
    if not package.repository or package.repository.full_name.lower() != repository.full_name.lower():
        whose = package.repository.full_name if package.repository else "no repository"
        yield missing(
            about, f"{named} belongs to {whose}", f"{place} → Manage Actions access → {repository.full_name}, Write"
        )
    if package.visibility != "public":
        yield missing(
            about, f"{named} is {package.visibility}, so others cannot pull it", f"{place} → Change visibility"
        )
    else:
        yield right(about, f"{named} is public")
