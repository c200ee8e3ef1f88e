"""The files around the package agree with each other."""

import ast
import functools
import graphlib
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_yml_equals_pyproject(project):
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    assert sorted(pip) == sorted([*wanted, "-e ."])
    assert f"python{project['requires-python']}" in conda


def test_constraints_pin_every_dependency_to_a_version_it_allows(project):
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            pins[requirement.name.lower().replace("_", "-")] = pin.version
    for text in project["dependencies"] + project["optional-dependencies"]["test"]:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"python_version": "3.11"}):
            continue
        version = pins[requirement.name.lower()]
        assert requirement.specifier.contains(version), f"{text}, pinned to {version}"


def test_constraints_can_be_installed_on_the_first_python_they_are_for():
    """Debian 12 has 3.11.2, which a version pinned on 3.11.7 need not admit."""
    for distribution in importlib.metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        pinned = f"\n{name}=={version} ;" in (ROOT / "constraints.txt").read_text()
        wanted = SpecifierSet(distribution.metadata["Requires-Python"] or "")
        assert not pinned or wanted.contains("3.11.0"), f"{name} {version}: Python {wanted}"


def test_torch_and_torchaudio_are_one_pair(project):
    pair = [text for text in project["dependencies"] if text.startswith("torch")]
    assert pair == ["torch==2.11.*", "torchaudio==2.11.*"]


def test_readme_opens_with_the_two_commands_and_its_files_exist():
    readme = (ROOT / "README.md").read_text()
    assert readme.index("make tutorial") < readme.index("make test") < 1_200
    links = re.findall(r"\]\((?!http)([^)#]+)\)", readme)
    assert links and all((ROOT / link).exists() for link in links), links


def test_readme_lists_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    folder = ROOT / "notebooks"
    for path in (*folder.glob("*.ipynb"), *folder.glob("submissions/*.ipynb")):
        assert f"({path.relative_to(ROOT).as_posix()})" in readme, path


def test_contributing_is_short_and_what_it_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = re.findall(r"^## (An? .*)\n((?:(?!## ).*\n)*)", text, re.MULTILINE)
    assert [title for title, _ in recipes] == [
        "An encoder", "A data set", "An augmentation", "A notebook"
    ]  # fmt: skip
    for title, recipe in recipes:
        assert len(recipe.splitlines()) < 20, title
    for name in re.findall(r"`((?:[a-z]\w*/)+[\w.]*\.\w+)`|\]\(([^)#:]+)\)", text):
        if (name := "".join(name)).split("/")[-1].startswith(("NAME", "NN_", "test_NAME")):
            continue
        assert (ROOT / name).exists() or (ROOT / "qvim_kit" / name).exists(), name


def test_notebooks_are_stripped_and_their_cells_short():
    import nbformat

    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                assert not cell.outputs and cell.execution_count is None, path
                assert len(cell.source.splitlines()) <= 25, path


def test_ci_runs_the_readmes_test_command():
    assert (ROOT / ".ci" / "run").read_text().strip().endswith("\nmake test")


def test_the_workflow_runs_the_same_on_every_system(project):
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    lines = [line for step in jobs["test"]["steps"] for line in step.get("run", "").splitlines()]
    assert ".ci/run" in lines and "make test" in lines
    assert jobs["lint"]["steps"][-1]["run"] == "make lint"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    windows = [line for line in lines if "Scripts" in line]
    assert len(windows) == 2 and all(line in readme for line in windows)
    matrix = jobs["test"]["strategy"]["matrix"]
    assert matrix["python"][0] == project["requires-python"].removeprefix(">=")
    systems = {matrix["os"][0], *(one["os"] for one in matrix["include"])}
    assert systems == {"ubuntu-latest", "macos-latest", "windows-latest"}


@functools.cache
def module_imports(later=False):
    """module → the kit's modules that it imports, or with ``later`` also uses when it runs.

    What is imported only for type hints does not count.
    """
    graph = {}
    for path in sorted((ROOT / "qvim_kit").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        body = ast.parse(path.read_text(encoding="utf-8")).body
        graph[name] = {found for node in body for found in _imported(node, later)}
    return {name: found & graph.keys() - {name} for name, found in graph.items()}


def _imported(node, later):
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    elif later and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
        for child in ast.iter_child_nodes(node):
            yield from _imported(child, later)


@functools.cache
def parts():
    """part of the kit, a file or folder of qvim_kit → the parts that it uses."""
    graph = {}
    for name, found in module_imports(later=True).items():
        _, part, *_ = f"{name}..".split(".")
        others = {f"{other}.".split(".")[1] for other in found}
        graph.setdefault(part, set()).update(others - {part, ""})
    return {part: found for part, found in graph.items() if part}


def below(graph, name):
    """All that a part or module leads to."""
    seen, todo = set(), [*graph[name]]
    while todo:
        if (one := todo.pop()) not in seen:
            seen.add(one)
            todo += graph[one]
    return seen


def drawing(graph):
    """A Mermaid graph from low to high, without the arrows that follow from others."""
    arrows = []
    for part in graphlib.TopologicalSorter(graph).static_order():
        implied = {low for used in graph[part] for low in below(graph, used)}
        arrows += [f"    {low} --> {part}" for low in sorted(graph[part] - implied)]
    return "\n".join(["```mermaid", "graph LR", *sorted(arrows), "```"])


def test_modules_import_one_way_only():
    graphlib.TopologicalSorter(module_imports()).prepare()  # raises CycleError, naming the circle
    graphlib.TopologicalSorter(parts()).prepare()  # also with what is imported where it is used


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("audio", "features"),
        ("features", "models"),
        ("models", "systems"),
        ("metrics", "evaluation"),
        ("datasets", "evaluation"),
        ("systems", "evaluation"),
        ("evaluation", "submission"),
        ("evaluation", "search"),
        ("search", "widgets"),
        ("submission", "cli"),
        ("widgets", "cli"),
        ("downloads", "models"),
    ],
)
def test_arrows_point_as_the_design_says(lower, higher):
    assert higher not in below(parts(), lower)


def test_contributing_draws_the_arrows_as_they_are():
    drawn = drawing(parts())
    written = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    if drawn not in written:
        pytest.fail(f"the imports have changed; put this into CONTRIBUTING.md:\n\n{drawn}\n")


def test_a_drawing_leaves_out_what_follows_and_finds_circles():
    graph = {"a": set(), "b": {"a"}, "c": {"a", "b"}}
    assert below(graph, "c") == {"a", "b"} and not below(graph, "a")
    assert drawing(graph) == "```mermaid\ngraph LR\n    a --> b\n    b --> c\n```"
    with pytest.raises(graphlib.CycleError):
        drawing({"a": {"b"}, "b": {"a"}})
