"""docs/architecture.md says the truth about the tree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

# What writes past the filter of standard output and error, beside what asks for it by `steering` or `data_output`: the
# bytes of a log, those of a child, a line that is made readable, rich's console whose texts are.
_PAST_THE_FILTER = {"console.py", "control/log.py", "cli/apart.py", "job/tee.py", "errors.py"}


def test_every_file_that_the_map_names_is_there(repository: Path) -> None:
    text = (repository / "docs/architecture.md").read_text()
    named = set(re.findall(r"`((?:heyhi|conf)/[\w./]+)`", text))
    named |= {f"heyhi/{name}" for name in re.findall(r"`((?:cli|sweep|experiment)/\w+\.py)`", text)}
    assert len(named) > 25
    assert [name for name in sorted(named) if not (repository / name).exists()] == []


def test_every_package_is_on_the_map_and_in_the_contract(repository: Path) -> None:
    folders = {p.parent.name for p in (repository / "heyhi").glob("*/__init__.py")}
    text = (repository / "docs/architecture.md").read_text()
    assert folders <= set(re.findall(r"`(\w+)/`", text))
    contract = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert folders <= set(re.findall(r"\w+", " ".join(contract["layers"])))


def test_the_way_through_the_house_names_modules_that_exist(repository: Path) -> None:
    drawing = (repository / "docs/architecture.md").read_text().split("```")[1]
    modules = re.findall(r"\b(config|sweep|job|experiment|report)/(\w+)", drawing)
    assert modules and [m for m in modules if not (repository / "heyhi" / m[0] / f"{m[1]}.py").exists()] == []


def test_every_program_of_ours_shows_what_it_prints(repository: Path) -> None:
    package = repository / "heyhi"
    programs = {p for p in package.rglob("*.py") if re.search(r'^if __name__ == "__main__":', p.read_text(), re.M)}
    programs -= {package / "newproject/run.py"}  # which is a user's
    assert len(programs) >= 6
    for program in programs:
        called = re.findall(r"^from (heyhi[\w.]+) import main$", program.read_text(), re.MULTILINE)
        sources = [program, *(repository / f"{name.replace('.', '/')}.py" for name in called)]
        text = "".join(source.read_text() for source in sources)
        assert "take_any_text()" in text or "with reporting_errors()" in text, program


def test_nothing_is_printed_past_what_keeps_it_from_steering_a_terminal(repository: Path) -> None:
    package = repository / "heyhi"
    past = re.compile(r"sys\.__std|std(out|err)\.buffer|os\.write\(([12]|self\._saved|sys)|import Console\b")
    found = {str(p.relative_to(package)) for p in package.rglob("*.py") if past.search(p.read_text())}
    assert found == _PAST_THE_FILTER
