"""docs/architecture.md says the truth about the tree."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

# What writes past the filter of standard output and error, beside what asks for it by `steering` or `data_output`: the
# bytes of a log, those of a child, a line that is made readable, rich's console whose texts are.
_PAST_THE_FILTER = {
    "shown_console.py",
    "control/shown_log.py",
    "cli/apart.py",
    "job/tee.py",
    "errors.py",
    "experiment/heartbeat.py",
    "experiment/launch_log.py",
}
# What these open is no file of an experiment's folder, which may be a FIFO, a device or endless.
OPENING = {
    "control/controller.py": "its own folder",
    "control/find.py": "lists of packs",
    "control/log.py": "a log that is followed, looked at before",
    "control/needed.py": "records of launches",
    "control/spare.py": "its own folder",
    "experiment/heartbeat.py": "a log, without waiting for who reads it",
    "experiment/launch_log.py": "the file that its standard error is",
    "experiment/mixed.py": "notes of the results root",
    "experiment/notes.py": "notes of the results root",
    "experiment/project_names.py": "a note of the results root",
    "experiment/run_mark.py": "what it makes itself, or not at all",
    "job/adhoc.py": "notes of the results root",
    "job/own_memory.py": "files of the kernel",
    "job/grace.py": "a log that it has opened before",
    "job/guard.py": "code",
    "job/kept.py": "a log that it has opened before",
    "job/leftovers.py": "environments of processes",
    "job/meeting.py": "what a step prints, written anew",
    "job/pack.py": "a list of its submission",
    "job/ranks.py": "what a step prints, written anew",
    "job/tee.py": "a log that it has opened before",
    "report/columns.py": "what is remembered",
    "report/page.py": "files of the package",
    "report/page_libraries.py": "files of packages",
    "report/source.py": "code",
}


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
    programs -= {*(package / "newproject").rglob("*.py")}  # which are a user's
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


def test_what_lies_in_a_folder_of_an_experiment_is_opened_only_by_who_looks_what_it_is(repository: Path) -> None:
    """`heyhi.files` has `read_bounded`, `open_regular`, `open_to_append` and `read_end` for that."""
    found = {
        f"{path.parent.name}/{path.name}:{call}"
        for package in ("experiment", "control", "report", "job")
        for path in sorted((repository / "heyhi" / package).glob("*.py"))
        if f"{package}/{path.name}" not in OPENING
        for call in _openings(path.read_text())
    }
    assert found == set()


def _openings(code: str) -> Iterator[str]:
    for call in ast.walk(ast.parse(code)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, (ast.Name, ast.Attribute)):
            continue
        name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr
        text = ast.unparse(call)
        is_class = re.match(r"(cls|[A-Z]\w+)\.open\(", text)  # as in `Manifest.open`
        is_own = re.fullmatch(r"(self|part)(\.\w+)*\.open\(\)", text)
        is_safe = is_class or is_own or re.search(r"/proc/|devnull|O_DIRECTORY|O_NONBLOCK", text)
        if name in ("open", "read_text", "read_bytes") and not is_safe:
            yield f"{call.lineno} {text}"
