"""The files around the package agree with each other."""

import ast
import graphlib
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

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


def test_torch_and_torchaudio_are_one_pair(project):
    pair = [text for text in project["dependencies"] if text.startswith("torch")]
    assert pair == ["torch==2.11.*", "torchaudio==2.11.*"]


def test_readme_opens_with_the_two_commands_and_its_files_exist():
    readme = (ROOT / "README.md").read_text()
    assert readme.index("make tutorial") < readme.index("make test") < 1_200
    links = re.findall(r"\]\((?!http)([^)#]+)\)", readme)
    assert links and all((ROOT / link).exists() for link in links), links


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


def module_imports():
    """module → the kit's modules that it imports when it is imported."""
    graph = {}
    for path in sorted((ROOT / "qvim_kit").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {
            found
            for node in ast.parse(path.read_text()).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for found in _imported(node)
        }
    return {name: found & graph.keys() - {name} for name, found in graph.items()}


def _imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]


def test_modules_import_one_way_only():
    graphlib.TopologicalSorter(module_imports()).prepare()  # raises CycleError, naming the circle


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("audio", "features"),
        ("features", "systems"),
        ("metrics", "evaluation"),
        ("datasets.tables", "evaluation"),
        ("systems", "submission"),
        ("evaluation", "submission"),
        ("datasets", "widgets"),
        ("downloads", "models.mobilenet"),
    ],
)
def test_arrows_point_as_the_design_says(lower, higher):
    graph, seen, todo = module_imports(), set(), [f"qvim_kit.{lower}"]
    while todo:
        seen.add(name := todo.pop())
        todo += graph[name] - seen
    assert f"qvim_kit.{higher}" not in seen
