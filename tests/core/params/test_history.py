"""Every save is a commit: nothing saved is lost, by whom and what is known, and a kill leaves a valid repository."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core import params
from core.errors import InvalidInput, NotFound, Unavailable
from core.params import Auguments, ChangedMeanwhile, OptunaParams, Params, parse_yaml
from core.settings import ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"VERITRAIN_DATA_DIR": str(tmp_path)})


def git(settings: Settings, *words: str) -> str:
    command = ["git", f"--git-dir={settings.data_dir}/config/.git", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def epochs(n: int, more: str = "") -> Params:
    return parse_yaml(f"training: {{epochs: {n}{more}}}", Params)


def test_the_history_says_who_changed_what_and_leads_back(settings: Settings) -> None:
    first = params.save(settings, 1, "Ada Lovelace", epochs(3))
    blurred = parse_yaml("augmentation: {blur: {enabled: true, sigma: 2.0}}", Auguments)
    search = parse_yaml("search: {training.learning_rate: {low: 0.001, high: 0.1, log: true}}", OptunaParams)
    params.save(settings, 1, "Grace", epochs(3, ", learning_rate: 0.0003"), blurred, search)
    params.save(settings, 2, "Grace", epochs(9))
    assert [(v.author, v.sentences()) for v in params.history(settings, 1)] == [
        (
            "Grace",
            [
                "Learning rate: 0.001 → 0.0003",
                "Blur: off → on",
                "Blur, Strength: 1 → 2 pixels",
                "Search over “Architecture”: ResNet-18, EfficientNet-B0, MobileNet v3 small → not tried",
                "Search over “Batch size”: 32, 64, 128 → not tried",
                "Search over “Learning rate”: 0.0001 to 0.01, evenly over powers of ten → "
                "0.001 to 0.1, evenly over powers of ten",
                "Search over “Weight decay”: 0 to 0.1 → not tried",
            ],
        ),
        ("Ada Lovelace", ["Epochs: 10 → 3 passes"]),
    ]
    assert params.files_at(settings, 1, first.version[:8]).model(Params) == epochs(3)
    back = params.restore(settings, 1, "Ada Lovelace", first.version)
    assert back.texts == first.texts == params.files(settings, 1).texts
    newest, *older = params.history(settings, 1)
    assert newest.id == back.version and len(newest.changes) == 7 and len(older) == 2
    assert params.history(settings, 1, before=older[0].id) == older[1:]
    assert params.save(settings, 1, "Ada Lovelace", epochs(3)).version == back.version, "nothing to save"
    for unknown in ("", "0" * 40, "HEAD", "main", "--help", "zzzz"):
        with pytest.raises(NotFound):
            params.files_at(settings, 1, unknown)


def test_two_people_never_overwrite_each_other_unseen(settings: Settings) -> None:
    seen = params.files(settings, 1)
    theirs = params.save(settings, 1, "Ada", epochs(3), base=seen.version)
    with pytest.raises(ChangedMeanwhile, match=r"Ada saved .* UTC .*\(Epochs: 10 → 3 passes\)") as refused:
        params.save(settings, 1, "Grace", epochs(4), base=seen.version)
    assert "(EPOCHS: 10" in refused.value.text(lambda text: text if "{" in text else text.upper())
    assert params.files(settings, 1) == theirs
    params.save(settings, 2, "Grace", epochs(5), base=seen.version)  # another theme is nobody's conflict
    both, lost = params.merged(Params(), epochs(3, ", batch_size: 8"), epochs(4, ", seed: 1"))
    assert both == epochs(4, ", batch_size: 8, seed: 1")
    assert [change.text() for change in lost] == ["Epochs: 3 → 4 passes"]

    start = params.files(settings, 3).version
    outcomes: list[str] = []

    def save(n: int) -> None:
        try:
            outcomes.append(params.save(settings, 3, f"person {n}", epochs(n), base=start).version)
        except ChangedMeanwhile:
            outcomes.append("")

    threads = [threading.Thread(target=save, args=(n,)) for n in range(20, 26)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6 and len(params.history(settings, 3)) == sum(map(bool, outcomes)) == 1


def test_earlier_files_and_edits_by_hand_become_part_of_the_history(settings: Settings) -> None:
    earlier = settings.data_dir / "config" / "theme-7" / "params.yaml"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("# mine\ntraining: {epochs: 3}\n", encoding="utf-8")
    assert params.saved(settings, 7)[0] == epochs(3)
    assert params.saved_text(settings, 7, Params).startswith("# mine") and not earlier.parent.exists()

    here = settings.data_dir / "config" / "themes" / "7" / "params.yaml"
    here.write_text("training: {epochs: 4}\n", encoding="utf-8")
    assert params.saved(settings, 7)[0] == epochs(4)
    here.write_text("training: [", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"config/themes/7/params\.yaml"):
        params.saved(settings, 7)
    params.save(settings, 7, "Ada", epochs(5))
    assert [(v.author, v.sentences()) for v in params.history(settings, 7)] == [
        ("Ada", ["A text that cannot be read was replaced or saved."]),
        (params.BY_HAND, ["A text that cannot be read was replaced or saved."]),
        (params.BY_HAND, ["Epochs: 3 → 4 passes"]),
        ("Veritrain", ["Epochs: 10 → 3 passes"]),
    ]
    here.unlink()
    assert params.saved(settings, 7)[0] == epochs(5) and here.exists()


def test_nobodys_own_git_settings_count_and_addresses_are_nobodys(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    for hook in ("pre-commit", "reference-transaction", "post-commit"):
        (home / "hooks" / hook).write_text("#!/bin/sh\nexit 1\n")
        (home / "hooks" / hook).chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[user]\n name = Me\n email = me@example.com\n[commit]\n gpgSign = true\n"
        f"[core]\n hooksPath = {home}/hooks\n autocrlf = true\n[init]\n templateDir = {home}\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "me@example.com")
    params.save(settings, 1, "Ada <me@example.com>\n홍길동", epochs(3))
    monkeypatch.delenv("GIT_DIR")
    assert git(settings, "log", "--format=%an|%ae|%cn|%ce|%G?") == (
        "Ada me@example.com 홍길동|ada-me-example-com@veritrain.invalid|Veritrain|veritrain@veritrain.invalid|N"
    )


def test_without_git_saving_says_so_and_the_defaults_can_be_used(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert params.saved(settings, 1) == params.load_defaults() and params.history(settings, 1) == []
    with pytest.raises(Unavailable, match="Git is not installed on the server"):
        params.save(settings, 1, "Ada", epochs(3))
    monkeypatch.undo()
    params.save(settings, 1, "Ada", epochs(3))
    assert len(params.history(settings, 1)) == 1


SAVER = """
import sys
from core import params
from core.settings import Settings
settings = Settings.from_env()
for n in range(int(sys.argv[1]), 1000):
    text = params.to_yaml(params.parse_yaml("training: {epochs: %d}" % n, params.Params))
    other = params.to_yaml(params.parse_yaml("augmentation: {rotation: {degrees: %d.0}}" % (n % 180), params.Auguments))
    params.save_texts(settings, 1, "Ada", {params.Params: text, params.Auguments: other})
    print(n, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_valid_repository_and_all_that_was_saved(settings: Settings) -> None:
    environment = os.environ | {"VERITRAIN_DATA_DIR": str(settings.data_dir), "PYTHONPATH": str(ROOT)}
    chance, last = random.Random(4), 10
    for attempt in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(last + 1)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline())]
        time.sleep(chance.uniform(0, 0.1))
        if attempt % 2:
            process.kill()  # its git goes on for a moment, and keeps the lock
        else:
            os.killpg(process.pid, 9)
        acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
        process.wait()
        chosen, augmented = params.saved(settings, 1)
        last = chosen.training.epochs
        assert last in (acknowledged[-1], acknowledged[-1] + 1)
        assert augmented.augmentation.rotation.degrees == last % 180, "both files or neither"
        assert "missing" not in git(settings, "fsck", "--strict")
    found = params.history(settings, 1, limit=100)
    assert {v.author for v in found} == {"Ada"}, "no interrupted save is taken for an edit by hand"
    assert [c.now for v in reversed(found) for c in v.changes if c.name == "training.epochs"] == list(
        range(11, last + 1)
    )
    params.save(settings, 1, "Grace", epochs(1))
    assert params.history(settings, 1)[0].author == "Grace"
