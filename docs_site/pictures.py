"""The pictures of docs/serve.md and the README: `heyhi serve` in Chromium, while a sweep really runs.

`python -m docs_site.pictures` takes them anew, into docs_site/pictures/, once what they show looks otherwise. It needs
Chromium and Playwright, as tests/browser does.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.browser.conftest import FLAGS, find_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path(__file__).resolve().parent / "pictures"
MOST_BYTES = 150_000
_COLOURS = (256, 128, 64, 32)  # the fewer, the smaller
_SECONDS = 300.0
_PROTO = """\
edition = "2023";
message MetaCfg { oneof task { Train train = 1; } }
message Train {
  double lr = 1;
  string schedule = 2;
  int32 seed = 3;
  int32 epochs = 4;
}
"""
_CONFIG = 'train { lr: 0.1 schedule: "cosine" epochs: 60 }\n'
_SWEEP = """\
import heyhi


def yield_sweep():
    for point in heyhi.grid(lr=[0.3, 0.1, 0.03, 0.01], schedule=["constant", "cosine"], seed=range(3)):
        yield "conf/resnet.prototxt", point
"""
# Such curves as trainings have, in no time. The first ones come to their end, one dies, and two stand still in their
# midst until they are ended: so a picture is always of the same.
_TASK = """\
import math
import random
import signal
from pathlib import Path

import heyhi

LEDGER = Path(__file__).resolve().parent / "ledger.txt"
WHOLE = 13


def main(task, cfg, log_level):
    with LEDGER.open("a") as ledger:
        ledger.write(".")
    number = LEDGER.stat().st_size
    draw = random.Random(f"{cfg.lr} {cfg.schedule} {cfg.seed}")
    loss, best = 2.3, 0.2 + 0.1 * abs(math.log10(cfg.lr) + 1) + (0.06 if cfg.schedule == "constant" else 0)
    print(f"ResNet-18, lr {cfg.lr} ({cfg.schedule}), seed {cfg.seed}: {cfg.epochs} epochs of 391 batches")
    for epoch in range(1, cfg.epochs + 1):
        pace = 0.35 * cfg.lr**0.4
        loss += pace * (best - loss) + draw.gauss(0, 0.015)
        accuracy = 1 - 0.3 * loss + draw.gauss(0, 0.004)
        heyhi.log(epoch=epoch, step=391 * epoch, loss=loss, val={"accuracy": accuracy}, total=cfg.epochs)
        print(f"epoch {epoch}/{cfg.epochs}: loss {loss:.4f}, validation accuracy {accuracy:.4f}", flush=True)
        if number == 5 and epoch == 22:
            raise FloatingPointError("loss is nan in epoch 23, batch 118")
        if number > WHOLE and epoch == 20 + 11 * (number % 3):
            signal.pause()
    return {"accuracy": accuracy}
"""


class _Shot(NamedTuple):
    """A picture: its name, the size of the window, whether it is dark, and the status of the row that is chosen."""

    name: str
    width: int
    height: int
    is_dark: bool = False
    chosen: str = ""


SHOTS = (
    _Shot("serve-wide-light", 1440, 1000),
    _Shot("serve-tablet-dark", 820, 1100, is_dark=True),
    _Shot("serve-phone-light", 390, 844),
    _Shot("serve-experiment-light", 1440, 1000, chosen="RUNNING"),
)


def main() -> int:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _served(Path(folder)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        for shot in SHOTS:
            data = small(_taken(browser, address, shot))
            (FOLDER / f"{shot.name}.png").write_bytes(data)
            print(f"{FOLDER / shot.name}.png: {len(data) / 1000:.0f} kB")
        browser.close()
    return 0


@contextlib.contextmanager
def _served(root: Path) -> Iterator[str]:
    """Have a sweep run in a project of its own, and a server show it; yield the server's address."""
    (root / "conf").mkdir()
    for name, text in (
        ("pyproject.toml", '[tool.heyhi]\nsweep = "conf/schedules.py"\n'),
        ("run.py", _TASK),
        ("conf/conf.proto", _PROTO),
        ("conf/resnet.prototxt", _CONFIG),
        ("conf/schedules.py", _SWEEP),
    ):
        (root / name).write_text(text)
    # To other people, where it lies and how it was started are of no interest.
    hidden = ("HH_", "HEYHI_", "SLURM_", "SNAKEMAKE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    env |= {"XDG_STATE_HOME": str(root / ".state"), "XDG_CACHE_HOME": str(root / ".cache")}
    heyhi = [sys.executable, "-m", "heyhi"]
    with (
        (root / "run.log").open("w") as log,
        _process([*heyhi, "run", "--jobs", "2"], root, env, stdout=log, stderr=log) as run,
        _process([*heyhi, "serve", "--port", "0"], root, env, stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.search(r"http://\S+token=\S+", line):
                yield found[0]
                break
        else:
            raise SystemExit("the server has ended; why, it says above")
        if run.poll() is not None:
            raise SystemExit(f"the sweep has ended:\n{(root / 'run.log').read_text()}")


@contextlib.contextmanager
def _process(words: list[str], root: Path, env: dict[str, str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(words, cwd=root, env=env, text=True, **more) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _taken(browser: Browser, address: str, shot: _Shot) -> bytes:
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.is_dark else "light",
        reduced_motion="reduce",
        has_touch=shot.width < 600,
    )
    context.set_default_timeout(1000 * _SECONDS)
    page = context.new_page()
    page.goto(address)
    _wait_until_drawn(page)
    if shot.chosen:
        page.locator("tbody tr", has_text=shot.chosen).first.locator("td").nth(1).click()
        page.locator("#details").scroll_into_view_if_needed()
        page.evaluate("document.querySelector('#details').scrollIntoView()")
        _wait_until_drawn(page)
    found = page.screenshot()
    context.close()
    return found


def _wait_until_drawn(page: Page) -> None:
    """Wait until two experiments stand still in their midst, as far as the page knows, and all is drawn."""
    is_still = """() => {
      const text = document.body.innerText;
      return globalThis.heyhi?.isDrawn() && /RUNNING\\W{0,3}2\\b|\\b2\\W{0,3}RUNNING/.test(text) && /DEAD/.test(text);
    }"""
    page.wait_for_function(is_still)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function("() => globalThis.heyhi.isDrawn()")


def small(data: bytes) -> bytes:
    """Return a PNG with as many colours as its size allows; as it is where no Pillow is installed."""
    try:
        from PIL import Image
    except ImportError:
        print("without Pillow, pictures have all their colours: pip install pillow", file=sys.stderr)
        return data
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    for colours in _COLOURS:
        out = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            break
    return min(out.getvalue(), data, key=len)


if __name__ == "__main__":
    sys.exit(main())
