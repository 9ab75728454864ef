"""`./ship doctor`: what a release needs and lacks."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts import ROOT, checkout
from scripts.check import Check, State
from scripts.errors import Failure
from scripts.github import settings
from scripts.stages import doctor

# GitHub's answers in the form of its REST documentation, version 2022-11-28, cut to a few fields, with names of this
# project: https://docs.github.com/en/rest, below `repos`, `actions`, `deployments` and `packages`. A repository that
# has all that it needs.
REPOSITORY: dict[str, Any] = {
    "id": 1296269,
    "full_name": "octocat/Hello-World",
    "owner": {"login": "octocat", "id": 1, "type": "User"},
    "private": False,
    "visibility": "public",
    "default_branch": "main",
    "archived": False,
}
TIMES = {"created_at": "2019-08-10T14:59:22Z", "updated_at": "2020-01-10T14:59:22Z"}
REVIEWERS = {"id": 3755, "type": "required_reviewers", "prevent_self_review": False, "reviewers": []}
CUSTOM = {"protected_branches": False, "custom_branch_policies": True}
PACKAGE = "users/octocat/packages/container/hello-world"
HOME = "repos/octocat/Hello-World"


def environment(name: str, *rules: dict[str, Any], policy: dict[str, bool] | None = None) -> dict[str, Any]:
    return {"id": 161088068, "name": name, "protection_rules": list(rules), "deployment_branch_policy": policy}


def environments(*found: dict[str, Any]) -> dict[str, Any]:
    return {"total_count": len(found), "environments": list(found)}


def policies(*found: tuple[str, str]) -> dict[str, Any]:
    listed = [{"id": 361471, "name": name, "type": kind} for kind, name in found]
    return {"total_count": len(found), "branch_policies": listed}


def secrets(*names: str) -> dict[str, Any]:
    return {"total_count": len(names), "secrets": [{"name": name, **TIMES} for name in names]}


def variables(**values: str) -> dict[str, Any]:
    return {
        "total_count": len(values),
        "variables": [{"name": name, "value": values[name], **TIMES} for name in values],
    }


def may(default: str, *, open_pull_requests: bool) -> dict[str, Any]:
    return {"default_workflow_permissions": default, "can_approve_pull_request_reviews": open_pull_requests}


HUB = {"DOCKERHUB_REPOSITORY": "docker.io/octocat/house-price", "DOCKERHUB_USERNAME": "octocat"}
GUARDED = [environment("registries", policy=CUSTOM), environment("dev", policy=CUSTOM)]
REVIEWED = [environment(name, REVIEWERS, policy=CUSTOM) for name in ("test", "prod")]
COMPLETE: dict[str, Any] = {
    HOME: REPOSITORY,
    f"{HOME}/actions/permissions": {"enabled": True, "allowed_actions": "all", "sha_pinning_required": False},
    f"{HOME}/actions/permissions/workflow": may("read", open_pull_requests=True),
    f"{HOME}/actions/variables": variables(**HUB),
    f"{HOME}/actions/secrets": secrets(),
    f"{HOME}/environments": environments(*GUARDED, *REVIEWED),
    f"{HOME}/environments/registries/deployment-branch-policies": policies(("branch", "main"), ("tag", "v*")),
    f"{HOME}/environments/dev/deployment-branch-policies": policies(("branch", "main")),
    f"{HOME}/environments/registries/secrets": secrets("DOCKERHUB_TOKEN"),
    f"{HOME}/environments/dev/secrets": secrets("DEPLOY_KEY"),
    f"{HOME}/rules/branches/main": [{"type": "pull_request", "ruleset_source_type": "Repository", "ruleset_id": 42}],
    f"{HOME}/rulesets": [{"id": 21, "name": "releases", "target": "tag", "enforcement": "active"}],
    f"{HOME}/dependency-graph/sbom": {"sbom": {"SPDXID": "SPDXRef-DOCUMENT"}},
    PACKAGE: {
        "id": 197,
        "name": "hello-world",
        "package_type": "container",
        "visibility": "public",
        "repository": {"id": 1296269, "full_name": "octocat/Hello-World"},
    },
}
GH = """#!/bin/sh
[ "$1" = auth ] && [ -e "$ANSWERS/logged-in-to-$4" ] && exit
[ "$1" = auth ] && { echo "You are not logged into any accounts on $4" >&2; exit 1; }
for path; do :; done
[ "$1 $2 $3 $4 $6" = "api --hostname github.com --header --" ] || exit 2
file=$ANSWERS/${path%%\\?*}
[ -e "$file.${path##*&}.json" ] && file=$file.${path##*&}
[ -e "$file.status" ] && { read -r status <"$file.status"; echo "gh: refused (HTTP $status)" >&2; exit 1; }
[ -e "$file.json" ] || { echo '{"message": "Not Found"}'; echo 'gh: Not Found (HTTP 404)' >&2; exit 1; }
exec cat "$file.json"
"""


@dataclass
class GitHub:
    """The answers of the program `gh` on PATH."""

    folder: Path

    def checks(self, **changed: Any) -> list[Check]:
        """Return the checks with `changed` answers, by the end of their path; None is a 404."""
        answers = dict(COMPLETE)
        for end, answer in changed.items():
            answers[f"{HOME}/{end}".rstrip("/") if end != PACKAGE else end] = answer
        for path, answer in answers.items():
            if answer is not None:
                self.put(f"{path}.json", json.dumps(answer))
        return settings.checks()

    def put(self, name: str, content: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(f"{content}\n")


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    monkeypatch.setattr(checkout, "repository", lambda: "https://github.com/octocat/Hello-World")
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "logged-in-to-github.com").touch()
    monkeypatch.setenv("ANSWERS", str(tmp_path / "answers"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return GitHub(tmp_path / "answers")


def test_a_complete_repository_passes_every_check(github: GitHub) -> None:
    found = github.checks()

    assert [(check.about, check.found) for check in found if check.state is not State.RIGHT] == []
    assert [(check.about, check.found) for check in found] == [
        ("repository", "octocat/Hello-World is public, and its default branch is main"),
        ("actions", "on, and all actions are allowed"),
        ("workflow permissions", "workflows may open pull requests, as promotions do"),
        ("environment registries", "open to branch main and tag v* only"),
        ("environment dev", "open to branch main only"),
        ("environment test", "a promotion waits for a reviewer"),
        ("environment prod", "a promotion waits for a reviewer"),
        ("Docker Hub", "DOCKERHUB_REPOSITORY is docker.io/octocat/house-price"),
        ("Docker Hub", "DOCKERHUB_USERNAME is octocat"),
        ("Docker Hub", "DOCKERHUB_TOKEN is a secret of the environment registries"),
        ("main", "protected: pull_request"),
        ("record in dev", "pushed with DEPLOY_KEY, if that key bypasses the rules"),
        ("tags", "protected by releases"),
        ("dependency graph", "on"),
        ("package on GHCR", "ghcr.io/octocat/hello-world is public"),
    ]


PATTERNS = "environments/registries/deployment-branch-policies"
NEEDED = [
    ({"": {**REPOSITORY, "private": True}}, "repository", "is private", "Change visibility"),
    ({"": {**REPOSITORY, "archived": True}}, "repository", "is archived", "Unarchive"),
    ({"": {**REPOSITORY, "default_branch": "trunk"}}, "repository", "is trunk", "Default branch"),
    ({"": None}, "GitHub", "octocat/Hello-World: GitHub refuses: gh: Not Found", "check that it exists"),
    ({"actions/permissions": {"enabled": False}}, "actions", "off", "Allow all actions"),
    ({"actions/permissions": {"enabled": True, "allowed_actions": "local_only"}}, "actions", "owner", "Allow all"),
    (
        {"actions/permissions/workflow": may("read", open_pull_requests=False)},
        "workflow permissions", "may not open pull requests", "Allow GitHub Actions to create and approve",
    ),
    ({"environments": environments(environment("registries"), GUARDED[1], *REVIEWED)},
     "environment registries", "every branch may use its secrets", "branch main and tag v*"),
    ({"environments": environments(environment(
        "registries", policy={"protected_branches": True, "custom_branch_policies": False}), GUARDED[1], *REVIEWED)},
     "environment registries", "open to every protected branch", "branch main and tag v*"),
    ({PATTERNS: policies(("branch", "main"))}, "environment registries", "but not to tag v*", "tag v*"),
    ({PATTERNS: policies()}, "environment registries", "open to nothing, but not to branch main and tag v*", "v*"),
    ({"actions/variables": variables(DOCKERHUB_USERNAME="octocat")}, "Docker Hub", "no variable DOCKERHUB_REPO", "Va"),
    ({"actions/variables": variables(DOCKERHUB_REPOSITORY="docker.io/o/x")},
     "Docker Hub", "no variable DOCKERHUB_USERNAME", "Variables"),
    ({"actions/variables": variables(**{**HUB, "DOCKERHUB_USERNAME": ""})},
     "Docker Hub", "no variable DOCKERHUB_USERNAME", "Variables"),
    ({"environments/registries/secrets": secrets()}, "Docker Hub", "no secret DOCKERHUB_TOKEN", "environment secret"),
    ({"actions/secrets": secrets("DOCKERHUB_TOKEN")}, "Docker Hub", "open to every branch", "delete that of"),
    ({"actions/secrets": secrets("DOCKERHUB_USERNAME")}, "Docker Hub", "DOCKERHUB_USERNAME is a secret", "variable"),
    ({"dependency-graph/sbom": None}, "dependency graph", "off", "Dependency graph"),
    ({PACKAGE: {"visibility": "private", "repository": {"full_name": "octocat/Hello-World"}}},
     "package on GHCR", "is private", "Change visibility"),
    ({PACKAGE: {"visibility": "public", "repository": {"full_name": "octocat/other"}}},
     "package on GHCR", "belongs to octocat/other", "Manage Actions access → octocat/Hello-World"),
    ({PACKAGE: {"visibility": "public"}}, "package on GHCR", "belongs to no repository", "Manage Actions access"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "about", "found", "remedy"), NEEDED)
def test_a_missing_setting_is_named_with_what_to_click(
    github: GitHub, changed: dict[str, Any], about: str, found: str, remedy: str
) -> None:
    [check] = [check for check in github.checks(**changed) if check.state is State.MISSING]

    assert check.about == about
    assert found in check.found
    assert remedy in check.next


NO_HUB = {"actions/variables": variables(), "environments/registries/secrets": secrets()}
LEFT = [
    ({"environments": environments(GUARDED[0], *REVIEWED)}, "environment dev", "its first use creates it"),
    (
        {"environments": environments(GUARDED[0], environment("dev"), *REVIEWED),
         "environments/dev/secrets": secrets()}, "environment dev", "every branch",
    ),
    ({"rulesets": []}, "tags", "anyone who may write may release"),
    ({"rulesets": [{"name": "main", "target": "branch", "enforcement": "active"}]}, "tags", "may release"),
    ({"rulesets": [{"name": "releases", "target": "tag", "enforcement": "disabled"}]}, "tags", "may release"),
    ({"environments": environments(*GUARDED, environment("test", REVIEWERS), REVIEWED[1])}, "environment test",
     "from any branch"),
    ({"actions/permissions": {"enabled": True, "allowed_actions": "selected"}}, "actions", "only selected actions"),
    (
        {"actions/permissions/workflow": may("write", open_pull_requests=True)},
        "workflow permissions", "by default workflows may write",
    ),
    ({"environments": environments(*GUARDED, REVIEWED[1])}, "environment test", "its first use creates it"),
    ({"environments": environments(*GUARDED, environment("test"), REVIEWED[1])}, "environment test", "no approval"),
    ({"environments": environments(*GUARDED, REVIEWED[0], environment("prod", {"type": "wait_timer"}))},
     "environment prod", "no approval is required"),
    ({PATTERNS: policies(("branch", "main"), ("tag", "v*"), ("branch", "*"))}, "environment registries",
     "open to branch * and branch main and tag v*"),
    (NO_HUB, "Docker Hub", "GHCR only"),
    ({"rules/branches/main": []}, "main", "anyone with write access may push"),
    ({"environments/dev/secrets": secrets()}, "record in dev", "opens a pull request"),
    ({PACKAGE: None}, "package on GHCR", "does not exist yet"),
    ({"actions/variables": variables(**HUB, GHCR_REPOSITORY="ghcr.io/them/x")}, "package on GHCR", "not checked"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "about", "found"), LEFT)
def test_an_optional_setting_is_named_but_not_missing(
    github: GitHub, changed: dict[str, Any], about: str, found: str
) -> None:
    left = [check for check in github.checks(**changed) if check.state is not State.RIGHT]

    assert {check.state for check in left} == {State.OPEN}
    assert [check.about for check in left if found in check.found] == [about]


def test_a_branch_can_be_protected_without_a_ruleset(github: GitHub) -> None:
    changed = {"rules/branches/main": [], "branches/main/protection": {"enforce_admins": {"enabled": True}}}

    assert ("main", "protected: branch protection") in [(one.about, one.found) for one in github.checks(**changed)]


def test_the_package_of_an_organization_and_another_name_is_looked_up(github: GitHub) -> None:
    owner = {"login": "octocat", "type": "Organization"}
    github.put("orgs/octocat/packages/container/a%2Fb.json", json.dumps(COMPLETE[PACKAGE]))
    changed = {
        "": {**REPOSITORY, "owner": owner},
        "actions/variables": variables(**HUB, GHCR_REPOSITORY="ghcr.io/Octocat/a/b"),
        PACKAGE: None,
    }

    assert github.checks(**changed)[-1] == Check("package on GHCR", State.RIGHT, "ghcr.io/Octocat/a/b is public")


@pytest.mark.parametrize("status", [403, 500])
def test_a_refused_answer_is_not_guessed(github: GitHub, status: int) -> None:
    for path in ("actions/permissions", "actions/variables"):
        github.put(f"{HOME}/{path}.status", str(status))
    open_ones = {check.about: check for check in github.checks() if check.state is not State.RIGHT}

    assert {name: check.state for name, check in open_ones.items()} == dict.fromkeys(
        ["actions", "Docker Hub", "package on GHCR"], State.OPEN
    )
    assert open_ones["actions"].next.startswith("log in as an administrator" if status == 403 else "try again later")
    assert {check.found for check in open_ones.values()} == {f"GitHub refuses: gh: refused (HTTP {status})"}


def test_variables_on_a_second_page_are_found(github: GitHub) -> None:
    more = variables(**{f"OTHER_{number}": "" for number in range(30)})
    github.put(f"{HOME}/actions/variables.page=1.json", json.dumps({**more, "total_count": 32}))

    assert {check.state for check in github.checks()} == {State.RIGHT}


def test_an_unreadable_repository_is_not_called_missing(github: GitHub) -> None:
    github.put(f"{HOME}.status", "502")

    [check] = github.checks()
    assert (check.about, check.state, check.next) == ("GitHub", State.OPEN, "try again later")


def test_packages_need_their_own_scope(github: GitHub) -> None:
    github.put(f"{PACKAGE}.status", "403")

    assert github.checks()[-1].next == "gh auth refresh --hostname github.com --scopes read:packages"


def test_a_malformed_answer_leaves_the_check_open(github: GitHub) -> None:
    [check] = [one for one in github.checks(**{"actions/permissions": {"enabled": "yes"}}) if one.state is State.OPEN]

    assert check.about == "actions"
    assert "GitHub's answer about repos/octocat/Hello-World/actions/permissions is malformed" in check.found


def test_without_a_login_github_is_not_asked(github: GitHub) -> None:
    (github.folder / "logged-in-to-github.com").unlink()

    [check] = github.checks()
    assert check == Check(
        "GitHub",
        State.OPEN,
        "not checked, because gh reports: You are not logged into any accounts on github.com",
        "gh auth login --hostname github.com",
    )


def test_without_gh_or_a_repository_on_github_nothing_is_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(checkout, "repository", lambda: "https://github.com/octocat/Hello-World")
    assert [(one.state, one.found) for one in settings.checks()] == [(State.OPEN, "not checked: gh is not installed")]

    monkeypatch.setattr(checkout, "repository", lambda: "")
    assert [(one.state, one.found) for one in settings.checks()] == [(State.OPEN, "the remote origin is not on GitHub")]


def test_every_variable_and_secret_of_the_workflows_is_checked() -> None:
    used = set()
    for path in (ROOT / ".github").rglob("*.yml"):
        used |= set(re.findall(r"(?:vars|secrets)\.([A-Z_]+)\b", path.read_text(encoding="utf-8")))

    optional = {"GITHUB_TOKEN", "PLATFORMS", "SHIP_OSV_API", "SHIP_SCAN_UNCHECKED"}
    assert used - optional <= {
        settings.HUB_REPOSITORY, settings.HUB_USER, settings.HUB_TOKEN, settings.GHCR_REPOSITORY, settings.DEPLOY_KEY
    }  # fmt: skip


Tool = Callable[[str, str], None]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Put a program that runs one line of shell on a separate PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, line: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)

    return make


def test_recent_tools_pass_with_their_version(tool: Tool) -> None:
    tool("git", "echo git version 2.39.5")
    tool("docker", 'case $1 in version) echo 26.1.5+dfsg1;; buildx) echo "x 0.13.1+ds1 y";; *) echo v2.26.1-4;; esac')
    tool("skopeo", "echo skopeo version 1.9.3")
    tool("cosign", "echo '  upgrade     Upgrade a bundle'")

    assert [(one.about, one.state, one.found) for one in doctor.tools()] == [
        ("git", State.RIGHT, "2.39.5"),
        ("docker engine", State.RIGHT, "26.1.5"),
        ("buildx", State.RIGHT, "0.13.1"),
        ("compose", State.RIGHT, "2.26.1"),
        ("skopeo", State.RIGHT, "1.9.3"),
        ("cosign", State.RIGHT, "3.1 or newer"),
    ]


def test_missing_and_old_tools_are_named(tool: Tool) -> None:
    tool("git", "echo git of an unknown kind")
    tool("docker", '[ "$1" = version ] && { echo no daemon >&2; exit 1; }; [ "$1" = buildx ] && echo 0.12.1 || echo 2')
    tool("cosign", "echo '  create     Create a bundle'")

    assert [(one.about, one.state, one.found, one.next) for one in doctor.tools()] == [
        ("git", State.OPEN, "of no known version: git of an unknown kind", ""),
        ("docker engine", State.MISSING, "no daemon", "./ship setup"),
        ("buildx", State.MISSING, "0.12.1, and 0.13 or newer is needed", "./ship setup"),
        ("compose", State.OPEN, "of no known version: 2", "2 or newer is needed"),
        ("skopeo", State.MISSING, "skopeo is not installed", "./ship setup"),
        ("cosign", State.MISSING, "cosign is older than 3.1", "./ship setup"),
    ]


def test_an_engine_that_never_answers_is_named(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.1)
    tool("docker", '[ "$1" = version ] && exec sleep 60; exit 1')
    Path(os.environ["PATH"], "sleep").symlink_to(str(shutil.which("sleep", path=os.defpath)))

    found = {one.about: one for one in doctor.tools()}["docker engine"]
    assert (found.state, found.found) == (State.MISSING, "docker engine gave no answer within 0.1 s")


def test_the_local_registries_need_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHIP_REGISTRIES", raising=False)
    assert [one.state for one in doctor.logins()] == [State.OPEN]

    monkeypatch.setenv("SHIP_REGISTRIES", "localhost:5003/x")
    assert [one.state for one in doctor.logins()] == [State.RIGHT]

    monkeypatch.setenv("SHIP_REGISTRIES", "x")
    assert [one.state for one in doctor.logins()] == [State.MISSING]


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed: ./ship setup")
def test_each_registry_needs_one_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {"ghcr.io": {"auth": "YWRhOnNlY3JldA=="}}}))
    monkeypatch.setenv("SHIP_REGISTRIES", "docker.io/me/x ghcr.io/me/x ghcr.io/me/y localhost:5001/x")

    assert doctor.logins() == [
        Check("login to docker.io", State.MISSING, "none is stored for this user", "docker login docker.io"),
        Check("login to ghcr.io", State.RIGHT, "as ada"),
    ]


def found(monkeypatch: pytest.MonkeyPatch, *states: State) -> None:
    made = [Check(f"check {number}", state, "so", f"do {number}") for number, state in enumerate(states)]
    monkeypatch.setattr(doctor, "checks", lambda: made)


def test_the_command_fails_and_names_everything_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found(monkeypatch, State.RIGHT, State.MISSING, State.OPEN, State.MISSING)
    with pytest.raises(Failure) as refused:
        doctor.doctor()
    assert refused.value.reason == "2 of 4 checks found something missing: check 1, check 3"
    assert refused.value.remedy == "do 1"
    assert re.findall(r"│ (\S) │", capsys.readouterr().out) == list("✓✗–✗")  # noqa: RUF001

    found(monkeypatch, State.RIGHT, State.OPEN)
    assert doctor.doctor() == "nothing is missing in 2 checks, 1 of which leave something open"


def test_the_checks_can_be_printed_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, State.MISSING)

    assert json.loads(doctor.as_json(doctor.checks())) == [
        {"about": "check 0", "state": "missing", "found": "so", "next": "do 0"}
    ]
