"""The table of `heyhi serve` in a real browser, while experiments run and come and go."""

from __future__ import annotations

from tests.browser.served import Lab, Watch, append, line, settled


def test_a_new_line_of_a_running_experiment_is_seen_without_a_reload(lab: Lab, watch: Watch) -> None:
    lab.launch([1, 2])
    lab.begun(1)
    page = watch.open(lab.serve())
    settled(page, "document.querySelectorAll('#table tbody tr').length === 2")
    lab.tell(1, line(1, loss=0.731), line(2, loss=0.5))
    page.get_by_role("gridcell", name="0.5", exact=True).first.wait_for()
    lab.tell(1, "end")
    page.get_by_role("button", name="1 DONE").wait_for()
    lab.begun(2)
    lab.tell(2, "raise boom")
    page.get_by_role("button", name="1 DEAD").wait_for()


def test_a_made_sweep_is_shown_and_what_is_appended_comes(lab: Lab, watch: Watch) -> None:
    folders = lab.make({"lr": lr, "seed": seed} for lr in (0.1, 0.2) for seed in (0, 1, 2))
    page = watch.open(lab.serve())
    settled(page, "document.querySelectorAll('#table tbody tr').length === 6")
    append(folders[0], line(6, loss=0.0123, val_accuracy=0.99))
    page.get_by_role("gridcell", name="0.0123", exact=True).first.wait_for()
