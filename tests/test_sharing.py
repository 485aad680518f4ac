"""What others meet first: the workflow runs commands that exist, the citation and the version are right."""

import inspect
import re
import shlex

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import codi_minimal
from codi_minimal import cli
from codi_minimal.arguments import parser
from tests.machine import MACHINE
from tests.test_packaging import PROJECT, ROOT

WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
JOBS = WORKFLOW["jobs"]
STEPS = [(name, step) for name, job in JOBS.items() for step in job["steps"]]
COMMANDS = [(name, step["run"].strip()) for name, step in STEPS if "run" in step]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
VERBS = [f for f in vars(cli).values() if inspect.isfunction(f) and f.__module__ == cli.__name__]


def pythons(job: dict) -> list[str]:
    """The Python versions of a job, those of its matrix among them."""
    asked = [step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    ranges = job.get("strategy", {}).get("matrix", {}).get("range", [])
    return [version for version in asked if "${{" not in version] + [one["python"] for one in ranges]


def test_every_job_has_a_machine_steps_and_a_limit():
    for name, job in JOBS.items():
        assert job["runs-on"] and job["steps"] and job["timeout-minutes"] <= 120, name
        assert set(job.get("needs", "").split()) <= set(JOBS), name
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), (name, step)
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/checkout@v1")), (name, step)


def test_what_a_matrix_is_asked_for_is_in_it():
    for name, job in JOBS.items():
        matrix = job.get("strategy", {}).get("matrix", {})
        for first, second in re.findall(r"\$\{\{ matrix\.(\w+)(?:\.(\w+))? \}\}", yaml.safe_dump(job, width=1000)):
            assert all(not second or second in value for value in matrix[first]), (name, first, second)


def test_three_systems_each_with_the_lowest_and_the_newest_versions():
    matrix = JOBS["versions"]["strategy"]["matrix"]
    systems = [system.split("-")[0] for system in matrix["os"]]
    assert systems == ["ubuntu", "macos", "windows"] and JOBS["installed"]["strategy"]["matrix"] == matrix
    lowest, newest = matrix["range"]
    assert (lowest["resolution"], newest["resolution"]) == ("lowest-direct", "highest")
    asked = PROJECT["project"]["requires-python"]
    assert asked == f">={lowest['python']}" and Version(newest["python"]) > Version(lowest["python"])
    assert all(version in SpecifierSet(asked) for job in JOBS.values() for version in pythons(job))
    assert all(isinstance(version, str) for job in JOBS.values() for version in pythons(job))  # 3.10 is not 3.1


def check_command(command: str) -> None:
    """AssertionError unless it is one that exists here, with options that it has."""
    first, *rest = shlex.split(re.sub(r"\$\{\{.*?\}\}", "X", command))
    if first == "make":
        assert set(rest) <= set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()), command
    elif first == "codi-minimal":
        assert PROJECT["project"]["scripts"] == {"codi-minimal": "codi_minimal.cli:main"}
        try:
            parser(*VERBS).parse_args(rest)
        except (SystemExit, ValueError) as error:
            raise AssertionError(f"{command}: {error}") from error
    elif rest[:2] == ["-m", "pytest"]:
        assert all((ROOT / path).exists() for path in rest[2:] if not path.startswith("-")), command
    else:
        assert [first, *rest][:3] in (["uv", "pip", "install"], ["python", "-m", "pip"]), command
        extras = [extra for option, extra in zip(rest, rest[1:], strict=False) if option == "--extra"]
        assert set(extras) <= set(PROJECT["project"]["optional-dependencies"]), command


@pytest.mark.parametrize(("job", "command"), COMMANDS)
def test_every_command_exists_with_its_options(job, command):
    check_command(command)


@pytest.mark.parametrize(
    "command",
    ["make tests", "codi-minimal demonstrate", "codi-minimal generate --txt x", "python -m pytest tests/none", "ls",
     "uv pip install -r pyproject.toml --extra devel"],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_noticed(command):
    with pytest.raises(AssertionError):
        check_command(command)


def test_all_tests_run_and_the_wheel_is_tried_without_a_checkout():
    run = {name: [command for job, command in COMMANDS if job == name] for name in JOBS}
    assert run["test"] == ["make lint", "make test-all"]
    assert "pip wheel . --no-deps" in run["wheel"][0] and JOBS["installed"]["needs"] == "wheel"
    assert not any("checkout" in step.get("uses", "") for step in JOBS["installed"]["steps"])
    _, depended, wheel, demo, generated = run["installed"]
    assert "--resolution" in depended and depended.endswith("-r pyproject.toml") and "--extra" not in depended
    assert wheel == "uv pip install --no-deps dist/*.whl"
    assert demo == "codi-minimal demo" and generated.startswith("codi-minimal generate ")
    used = {step["uses"].split("@")[0]: step.get("with") for _, step in STEPS if "uses" in step}
    up, down = used["actions/upload-artifact"], used["actions/download-artifact"]
    assert up["name"] == down["name"] and up["path"].split() == ["dist/*.whl", "pyproject.toml"]
    assert "path" not in down  # the files lie where they lay


def test_one_version_everywhere():
    version = PROJECT["project"]["version"]
    assert codi_minimal.__version__ == CITATION["version"] == version
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_citation_names_the_software_and_the_paper():
    project = PROJECT["project"]
    assert CITATION["cff-version"] == "1.2.0" and CITATION["message"] and CITATION["title"] == project["name"]
    assert CITATION["authors"] == project["authors"] and CITATION["keywords"] == project["keywords"]
    assert CITATION["repository-code"] == project["urls"]["Repository"]
    assert CITATION["license"] == project["license"]["text"]
    (paper,) = CITATION["references"]
    assert paper["title"] == "Any-to-Any Generation via Composable Diffusion" and paper["year"] == 2023
    assert [author["family-names"] for author in paper["authors"]] == ["Tang", "Yang", "Zhu", "Zeng", "Bansal"]
    assert paper["identifiers"] == [{"type": "other", "value": "arXiv:2305.11846"}]


def test_contributors_find_what_they_need_on_one_screen():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 50
    links = re.findall(r"\]\((?!http)(.+?)\)", text)
    assert "docs/releasing.md" in links and all((ROOT / link).is_file() for link in links)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/releasing.md"])
def test_files_targets_and_variables_that_the_pages_name_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())
    named = re.findall(r"`make (\w+)|^make (\w+)", text, re.MULTILINE)
    assert named and {a or b for a, b in named} <= targets
    for variable in re.findall(r"\b([A-Z_]+)=", text):
        assert variable == "CODI_DATA" or f"$({variable})" in MAKEFILE, variable
    for path in re.findall(r"`((?:\.github|codi_minimal|docs|tests)/\S+|\w+\.(?:md|toml|cff))`", text):
        assert (ROOT / path).exists(), path
    assert not MACHINE.search(text)
