"""`heyhi serve` as a process: where it listens, what it says, who gets in, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.errors.project import FILES, write
from tests.other_user import as_another_user
from tests.unit.serve.served import COMMAND, SECONDS, Served, ask, cookie, make_project, serving, table, until


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("serving"))


@pytest.fixture
def served(project: Path) -> Iterator[Served]:
    with serving(project) as served:
        yield served


def serve(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **environment},
    )


def test_the_table_the_page_and_its_files_are_served(served: Served) -> None:
    (key,) = table(served)["keys"]
    assert "commands" in json.loads(served.get(f"/experiments/{key}").body)
    assert json.loads(served.get(f"/experiments/{key}/log").body)["from"] == 0
    page = served.get("/").text
    for name in re.findall(r'(?:src|href)="(static/[^"]+)"', page):
        file = served.get(f"/{name}")
        assert (file.status, file.headers["cache-control"]) == (200, "private, max-age=31536000, immutable")
        assert served.get(f"/{name}", If_None_Match=file.headers["etag"]).status == 304
    assert served.get("/static/page.js").headers["cache-control"] == "private, no-cache"
    assert served.get("/data").headers["cache-control"] == "no-store"
    packed = served.get("/static/page.js", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(served.get("/static/page.js").body) / 2


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/data?since=x", 400, "since: expected an integer, not 'x'"),
        ("/data?since=-1", 400, "since: expected 0 or more, not -1"),
        ("/data?since=99999999999999999999", 400, "since: expected an integer, not '99999999999999999999'"),
        ("/curves", 400, "keys: expected 1 to 500, not 0"),
        (
            "/curves?keys=" + ",".join(f"{n:016x}" for n in range(501)) + "&points=100",
            400,
            "expected 1 to 500, not 501",
        ),
        ("/curves?keys=../../etc&points=100", 400, "keys: expected 16 digits from 0 to f, not '../../etc'"),
        ("/curves?keys=0123456789abcdef", 400, "points: expected 16 to 4000"),
        ("/curves?keys=0123456789abcdef&points=15", 400, "points: expected 16 to 4000, not 15"),
        ("/curves?keys=0123456789abcdef&points=4001", 400, "points: expected 16 to 4000, not 4001"),
        ("/curves?keys=0123456789abcdef&points=1" + "&metrics=a" * 201, 400, "points: expected 16"),
        ("/curves?keys=0123456789abcdef&points=100" + "&metrics=a" * 201, 400, "metrics: expected at most 200 names"),
        ("/curves?keys=0123456789abcdef&points=100", 404, "no such experiments"),
        ("/experiments/0123456789abcdef", 404, "no such experiment"),
        ("/experiments/..%2f..%2fetc%2fpasswd", 404, "no such"),
        ("/experiments/0123456789abcdef/log", 404, "no such experiment"),
        ("/static/nothing.js", 404, "no such file"),
        ("/static/..%2fpage.py", 404, "no such"),
        ("/nothing", 404, "no such address"),
    ],
)
def test_what_is_asked_wrongly_is_answered_by_a_line(shared: Served, path: str, status: int, text: str) -> None:
    answer = shared.get(path)
    assert answer.status == status
    assert text in answer.text
    assert answer.text.count("\n") == 1


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield a server of a project of its own, for what changes nothing."""
    folder = tmp_path_factory.mktemp("shared")
    with serving(make_project(folder), XDG_STATE_HOME=str(folder / "state")) as served:
        table(served)
        yield served


def test_the_log_is_asked_by_bytes_and_nothing_else(shared: Served) -> None:
    (key,) = table(shared)["keys"]
    for wrong in ("from=x", "from=-1", "before=1e3", "before="):
        answer = shared.get(f"/experiments/{key}/log?{wrong}")
        assert (answer.status, answer.text.count("\n")) == (400, 1)


def test_an_experiment_its_curves_and_its_log_are_answered_by_its_key(shared: Served) -> None:
    (key,) = table(shared)["keys"]
    one = json.loads(shared.get(f"/experiments/{key}").body)
    assert one["overrides"] == ["seed=4"]
    folder = Path(one["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_text("said\n")
    (folder / "metrics.jsonl").write_text('{"step": 1, "accuracy": 0.5}\n')
    (folder / "attempts.jsonl").write_text('{"event": "start", "attempt": 1}\n')
    curves = f"/curves?keys={key}&points=300&metrics=accuracy&x=step"
    first = json.loads(shared.get(curves).body)
    assert first["metrics"] == {key: ["accuracy"]}
    assert json.loads(shared.get(f"{curves}&have={first['stamps'][key]}").body)["same"] == [key]
    log = json.loads(shared.get(f"/experiments/{key}/log").body)
    on = json.loads(shared.get(f"/experiments/{key}/log?from={log['to']}&file={log['file']}&rank=0&attempt=1").body)
    assert (on["text"], on["anew"], on["size"]) == ("", False, log["size"])
    assert json.loads(shared.get(f"/experiments/{key}/log?at=error").body)["error"] is not None
    for wrong in ("rank=7", "attempt=7", "at=the+begin", "file=" + "x" * 100):
        answer = shared.get(f"/experiments/{key}/log?{wrong}")
        assert (answer.status, answer.text.count("\n")) == (400, 1), answer
    assert shared.get(f"{curves}&have={'x' * 100}").status == 400
    shutil.rmtree(folder)


@pytest.fixture
def folder(shared: Served) -> Iterator[Path]:
    """Yield the folder of the experiment that the shared server shows, as a run has left it."""
    (key,) = table(shared)["keys"]
    folder = Path(json.loads(shared.get(f"/experiments/{key}").body)["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_text("said\n")
    (folder / "attempts.jsonl").write_text('{"event": "start", "attempt": 1}\n')
    yield folder
    shutil.rmtree(folder)


def test_a_name_that_is_listed_can_be_asked_for_and_one_that_is_too_long_is_not_listed(
    shared: Served, folder: Path
) -> None:
    (key,) = table(shared)["keys"]
    names = ["a" * 500, "b" * 501, "short", "c" * 5000]
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, **dict.fromkeys(names, 0.5)}) + "\n")
    curves = f"/curves?keys={key}&points=300"
    listed = json.loads(shared.get(curves).body)["metrics"][key]
    assert sorted(listed) == ["a" * 500, "short"]
    for name in listed:
        (one,) = json.loads(shared.get(f"{curves}&metrics={name}").body)["curves"][key]
        assert list(one["y"]) == [name]


@pytest.mark.parametrize("name", ["log.txt", "attempts.jsonl"])
@pytest.mark.parametrize(
    ("lay", "said"),
    [
        (os.mkfifo, "it is a FIFO, no file"),
        (os.mkdir, "Is a directory"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), ""),
    ],
)
def test_what_lies_in_the_place_of_a_log_is_said_there(
    shared: Served, folder: Path, name: str, lay: Callable[[Path], object], said: str
) -> None:
    (key,) = table(shared)["keys"]
    path = folder / name
    path.unlink()
    lay(path)
    whole = ["", "from=3&file=a-b", "before=9", "rank=0"]
    for query in ("at=error", *(whole if name == "log.txt" else ["attempt=1"])):
        answer = shared.get(f"/experiments/{key}/log?{query}")
        piece = json.loads(answer.body)
        assert (answer.status, piece["text"], piece["size"]) == (200, "", 0)
        assert str(path) in piece["unreadable"]
        assert said in piece["unreadable"]
    assert shared.get(f"/experiments/{key}").status == 200


@pytest.mark.parametrize("name", ["log.txt", "config.prototxt", "attempts.jsonl", "identity.json"])
def test_a_link_hands_out_no_file_from_elsewhere(shared: Served, folder: Path, tmp_path: Path, name: str) -> None:
    (key,) = table(shared)["keys"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"event": "start", "attempt": 1, "host": "secret", "cfg": "secret"}\n')
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(elsewhere)
    queries = ("", "/log", "/log?at=error", "/log?attempt=1", "/log?from=0")
    answers = [shared.get(f"/experiments/{key}{query}") for query in queries]
    assert not any(b"secret" in answer.body for answer in answers)
    said = answers[name == "log.txt"].text
    assert f"leads to {elsewhere}, outside of the results and the project" in said
    inside = folder.parents[3] / "beside.txt"
    inside.write_text("seen\n")
    (folder / "log.txt").unlink()
    (folder / "log.txt").symlink_to(inside)
    assert json.loads(shared.get(f"/experiments/{key}/log").body)["text"] == "seen\n"
    inside.unlink()


def test_what_has_no_token_is_told_nothing(shared: Served) -> None:
    answers = {
        (answer.status, answer.body)
        for path in ("/", "/data", "/static/page.js", "/nothing", "/events")
        for answer in (ask(shared.port, path), ask(shared.port, path, "POST"), shared.get(path, Cookie="heyhi=1"))
    }
    assert [status for status, _ in answers] == [403]


def test_a_websocket_is_refused(shared: Served) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "x" * 22 + "==",
        "Sec-WebSocket-Version": "13",
    }
    assert ask(shared.port, "/events", headers=headers).status == 403
    assert shared.get("/nothing", **headers).status == 404


def test_what_is_no_request_is_refused(shared: Served) -> None:
    for sent in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", shared.port), timeout=SECONDS) as connection:
            connection.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(65536).startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert shared.get("/").status == 200


def test_where_another_port_has_set_too_many_cookies_it_is_said_what_to_do(shared: Served) -> None:
    cookies = "; ".join(f"j{number}={'x' * 3500}" for number in range(170))
    for _ in range(5):
        answer = shared.get("/", Cookie=f"{shared.cookie}; {cookies}")
        assert (answer.status, answer.text.count("\n")) == (431, 1)
        assert "clear the cookies of this address" in answer.text
    assert shared.get("/").status == 200


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_of_the_machine_gets_nothing(shared: Served) -> None:
    port = shared.port

    def look() -> list[object]:
        told = [ask(port, path).status for path in ("/", "/data")]
        lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        return [*told, shared.token in lines]

    assert as_another_user(look) == [403, 403, False]


def test_the_token_is_kept_where_only_its_user_reads(project: Path, served: Served, tmp_path: Path) -> None:
    (kept,) = (tmp_path / "state/heyhi/serve").iterdir()
    assert json.loads(kept.read_text()) == {"token": served.token, "pid": served.process.pid}
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE(kept.parent.stat().st_mode)) == (0o600, 0o700)
    for path in project.rglob("*"):
        assert not path.is_file() or served.token.encode() not in path.read_bytes()
    served.end()
    assert not kept.exists()


def test_it_says_where_it_is(project: Path) -> None:
    with serving(project, SSH_CONNECTION="10.0.0.1 5 10.0.0.2 22") as served:
        code, out, err = served.end()
    assert re.fullmatch(r"http://127\.0\.0\.1:2\d{4}/\?token=[\w-]{43}", served.address)
    assert re.search(rf"^from another machine: ssh -L {served.port}:127\.0\.0\.1:{served.port} \S+@\S+, and", out)
    assert out.endswith("Ctrl-C ends it\n")
    assert (code, err) == (143, "")


def test_where_other_machines_reach_it_is_said_and_its_name_is_known(project: Path) -> None:
    machine = socket.gethostname()
    with serving(project, "--host", "0.0.0.0") as served:
        assert served.address.startswith(f"http://{machine}:{served.port}/?token=")
        for host, status in ((f"{machine}:{served.port}", 200), (f"evil.com:{served.port}", 403)):
            assert served.get("/data", Host=host).status == status
        out = served.end()[1]
    assert out.startswith("other machines reach it: ")
    assert "ssh" not in out


def test_at_a_screen_there_is_no_line_for_another_machine(project: Path) -> None:
    environment = {"DISPLAY": ":0", "SSH_CONNECTION": ""}
    with serving(project, **environment) as served:
        # Nobody waits there for scripts to be packed.
        assert "content-encoding" not in served.get("/static/plotly.js", Accept_Encoding="gzip").headers
        assert "ssh" not in served.end()[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_while_somebody_looks_and_somebody_reads_nothing(
    served: Served, number: signal.Signals, code: int
) -> None:
    table(served)
    with stream(served) as events, stream(served):
        read_until(events, b"event: version")
        idle = socket.create_connection(("127.0.0.1", served.port), timeout=SECONDS)
        begin = time.monotonic()
        assert served.end(number)[::2] == (code, "")
        # A second is what is asked of it, on a machine that isn't busy.
        assert time.monotonic() - begin < 10
        while events.recv(65536):
            pass
        idle.close()


@contextlib.contextmanager
def stream(served: Served, agent: str = "a") -> Iterator[socket.socket]:
    """Open a stream of events."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=SECONDS) as connection:
        connection.sendall(
            f"GET /events?key={served.key} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: {served.cookie}\r\n"
            f"User-Agent: {agent}\r\n\r\n".encode()
        )
        yield connection


def read_until(connection: socket.socket, text: bytes) -> bytes:
    found = b""
    while text not in found:
        piece = connection.recv(65536)
        assert piece, found
        found += piece
    return found


def test_the_page_hears_of_a_new_experiment(project: Path, served: Served) -> None:
    before = table(served)
    with stream(served) as events:
        read_until(events, f'"version":{before["version"]}'.encode())
        run = [sys.executable, "-m", "heyhi", "run", "--cfg", "train", f"seed={5 + time.monotonic_ns() % 10**6}"]
        subprocess.run(run, cwd=project, capture_output=True, check=True)
        read_until(events, f'"version":{before["version"] + 1}'.encode())
    until(lambda: len(table(served)["keys"]) > len(before["keys"]))


def test_a_browser_with_many_tabs_has_connections_left(shared: Served) -> None:
    """It has six for a host; a tab whose stream ends asks again."""
    with contextlib.ExitStack() as streams:
        opened = []
        for _ in range(6):
            opened.append(streams.enter_context(stream(shared)))
            read_until(opened[-1], b"}\n\n")
        other = streams.enter_context(stream(shared, agent="b"))
        read_until(other, b"}\n\n")
        for ended in opened[:2]:
            while ended.recv(65536):
                pass
        for going_on in (*opened[2:], other):
            going_on.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                assert going_on.recv(65536)


def test_an_address_goes_on_after_the_server_was_killed(project: Path, served: Served) -> None:
    served.end(signal.SIGKILL)
    with serving(project) as again:
        assert again.address == served.address
        assert again.get("/").status == 200
        again.end()
    with serving(project) as anew:
        assert anew.port == served.port
        assert anew.token != served.token


def test_what_died_long_ago_or_may_be_known_to_others_is_not_taken_up(
    project: Path, served: Served, tmp_path: Path
) -> None:
    served.end(signal.SIGKILL)
    (kept,) = (tmp_path / "state/heyhi/serve").iterdir()
    left = kept.read_text()
    os.utime(kept, (time.time() - 1000,) * 2)
    with serving(project) as second:
        assert (second.port, second.token == served.token) == (served.port, False)
        second.end()
    kept.write_text(left)
    kept.chmod(0o644)
    with serving(project) as third:
        assert third.token != served.token
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_two_of_the_same_words_have_addresses_of_their_own(project: Path, served: Served) -> None:
    with serving(project) as other:
        assert other.port != served.port
        assert ask(other.port, "/", headers={"Cookie": cookie(other.port, served.token)}).status == 403


def test_where_nothing_can_be_kept_it_is_served_all_the_same(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with serving(project, XDG_STATE_HOME=str(tmp_path / "file")) as served:
        assert served.end()[::2] == (143, "")


def test_a_taken_port_is_said_with_whose_it_is(project: Path, served: Served) -> None:
    ended = serve(project, "--port", str(served.port))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"is taken by a heyhi serve of yours, which `kill {served.process.pid}` ends" in ended.stderr
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ended = serve(project, "--port", str(other.getsockname()[1]))
    assert ended.returncode == 2
    assert "is taken by another program; take another one, or leave --port out" in ended.stderr


def test_a_wrong_word_is_said_before_anything_is_served(project: Path) -> None:
    for words in (["trian"], ["--cfg", "train", "--sweep", "lr=1,x"], ["conf/seedz.py"]):
        ended = serve(project, *words)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("error: ")


def test_a_warning_is_said_once_however_often_is_looked(project: Path) -> None:
    sweep = project / "conf/talking.py"
    sweep.write_text("def yield_sweep():\n    print('I was asked')\n    yield 'conf/train.prototxt', {'seed': 4}\n")
    with serving(project, "conf/talking.py", "--cfg", "train", "lr=3", "--sweep", "lr=1,2") as served:
        first = table(served)["version"]
        with stream(served) as events:
            read_until(events, f'"version":{first}'.encode())
            sweep.write_text(sweep.read_text().replace("4}", "5}"))
            read_until(events, f'"version":{first + 1}'.encode())
        err = served.end()[2]
    assert err.count("I was asked") == 1
    assert err.count("warning: lr=3 is left out: 'lr' is swept") == 1


def test_where_nothing_is_known_it_is_said_and_the_first_experiment_is_taken_up(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "run.py": "def main(task, cfg, log_level):\n    return {'accuracy': cfg.seed}\n"})
    with serving(tmp_path) as served:
        until(lambda: "notices" in json.loads(served.get("/data").body))
        assert "heyhi run --cfg … and heyhi launch … make some" in table(served)["notices"][0]
        run = [sys.executable, "-m", "heyhi", "run", "--cfg", "train", "seed=4"]
        subprocess.run(run, cwd=tmp_path, capture_output=True, check=True)
        with stream(served):  # nobody looks where nobody sees it
            until(lambda: len(table(served)["keys"]) == 1)
        assert not any("no experiment yet" in line for line in table(served)["notices"])


def test_a_damaged_record_is_warned_of_once(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (record,) = (project / "results/.heyhi/launches").glob("*.json")
    record.write_text("{\x01")
    with serving(project) as served:
        until(lambda: served.get("/data").body != b"{}")
        key = (table(served)["keys"] or ["0" * 16])[0]
        served.get(f"/experiments/{key}")
        err = served.end()[2]
    assert err.count("can't be read, so what is on record there is left out") == 1


def test_a_look_that_fails_is_said_once_and_on_the_page(project: Path, tmp_path: Path) -> None:
    sweep = project / "conf/broken_later.py"
    sweep.write_text("def yield_sweep():\n    yield 'conf/train.prototxt', {'seed': 4}\n")
    with serving(project, "conf/broken_later.py") as served:
        table(served)
        with stream(served) as events:
            read_until(events, b'"error":""')
            sweep.write_text("def yield_sweep():\n    raise ValueError('not today')\n")
            told = read_until(events, b"not today").decode()
            assert "Traceback" not in told
            sweep.write_text("def yield_sweep():\n    yield 'conf/train.prototxt', {'seed': 4}\n")
            read_until(events, b'"error":""')
        assert len(table(served)["keys"]) == 1
        err = served.end()[2]
    assert err.count("not today") == 1
    assert "Traceback" not in err


def test_a_reader_who_is_gone_is_left(shared: Served) -> None:
    files = Path(f"/proc/{shared.process.pid}/fd")
    with contextlib.ExitStack() as streams:
        for place in range(30):
            read_until(streams.enter_context(stream(shared, agent=f"gone {place}")), b"event: version")
        assert len(list(files.iterdir())) >= 30
    until(lambda: len(list(files.iterdir())) < 30)


def test_connections_that_say_nothing_keep_nobody_out(shared: Served) -> None:
    files = Path(f"/proc/{shared.process.pid}/fd")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with contextlib.ExitStack() as held:
            silent = []
            for place in range(1000):
                connection = held.enter_context(socket.create_connection(("127.0.0.1", shared.port), timeout=SECONDS))
                if place % 2:
                    connection.sendall(b"GET / HTTP/1.1\r\nX: ")  # and no more
                silent.append(connection)
                if place % 100 == 99:
                    assert shared.get("/data").status == 200
                    assert len(list(files.iterdir())) < 300
            until(lambda: len(list(files.iterdir())) < 200)
            assert shared.get("/data").status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_readers_that_read_nothing_fill_no_memory(shared: Served) -> None:
    def held() -> int:
        text = Path(f"/proc/{shared.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) << 10

    assert shared.get("/static/plotly.js").status == 200
    before, size = held(), len(shared.get("/static/plotly.js").body)
    with contextlib.ExitStack() as readers:
        for _ in range(40):
            connection = readers.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", shared.port))
            connection.sendall(
                b"GET /static/plotly.js HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                + f"Cookie: {cookie(80, shared.token)}\r\n\r\n".encode()
            )
            assert connection.recv(16)
        assert shared.get("/data").status == 200
        assert held() - before < 40 * size / 4


def test_a_request_may_come_with_a_body_that_nobody_reads(shared: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request(
            "GET", "/data", body=b"x" * 50_000, headers={"Cookie": shared.cookie, "HeyHi-Key": shared.key}
        )
        assert connection.getresponse().status == 200


def test_a_browser_is_opened_by_a_file_that_only_its_user_reads(project: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nls -l "${{1#file://}}" > {tmp_path}/mode; cat "${{1#file://}}" > {tmp_path}/page\n'
        f'echo "$@" > {tmp_path}/words; touch {tmp_path}/done\n'
    )
    browser.chmod(0o755)
    with serving(project, "--open", BROWSER=f"{browser} %s") as served:
        until((tmp_path / "done").exists)
        (address,) = re.findall(r"url=http://127\.0\.0\.1:\d+(/\?token=[^\"]+)", (tmp_path / "page").read_text())
        assert served.token not in address
        assert "token" not in (tmp_path / "words").read_text()
        assert (tmp_path / "mode").read_text().startswith("-rw-------")
        assert ask(served.port, address).status == 200
        served.end()
    assert not list((tmp_path / "state/heyhi/serve").iterdir())
