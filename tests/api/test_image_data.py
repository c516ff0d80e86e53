"""Themes, labels, images, splits and files through the REST routes, behind the real sign-in check."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pictures import encoded, picture, png, tarred, zipped
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import api.app
from api.security import Security
from core import auth
from core.workbench import Workbench, set_current

Client = Callable[[auth.User | None], TestClient]


@pytest.fixture
def client(_bench: Workbench) -> Iterator[Client]:
    """Gives a client that is signed in as a person (None = nobody)."""
    set_current(_bench)
    app = Security(Starlette(routes=[Mount("/api", app=api.app.create())]))

    def of(user: auth.User | None) -> TestClient:
        token = auth.issue_token(_bench, user, "test") if user else "wrong"
        return TestClient(app, base_url="http://127.0.0.1/api", headers={"Authorization": f"Bearer {token}"})

    yield of
    set_current(None)


def upload(http: TestClient, theme: int, files: list[tuple[str, bytes]], **options: Any) -> dict[str, Any]:
    answer = http.post(
        f"theme/{theme}/images/upload/", files=[("files", file) for file in files], params=options
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def test_a_theme_from_creation_to_deletion(wb: Workbench, client: Client, trainer: auth.User) -> None:
    http = client(trainer)
    made = http.post("theme/create/", json={"name": "Animals", "labels": ["cat", "dog"]})
    assert made.status_code == 201
    theme = made.json()
    assert [label["name"] for label in theme["labels"]] == ["cat", "dog"]
    assert "already" in refused(http.post("theme/create", json={"name": "ANIMALS"}), 409)
    changed = http.put(f"theme/{theme['id']}/", json={"description": "Pets"}).json()
    assert (changed["name"], changed["description"]) == ("Animals", "Pets")
    [card] = http.get("theme/", params={"search": "pets"}).json()["items"]
    assert (card["images"], card["labelled"], card["last_run"]) == (0, 0, None)
    label = http.post(f"theme/{theme['id']}/labels/", json={"name": "<b>fox</b>"}).json()
    assert label["name"] == "<b>fox</b>"
    path = f"theme/{theme['id']}/labels/{label['id']}"
    assert http.put(path, json={"name": "fox"}).json()["name"] == "fox"
    assert "already" in refused(http.put(path, json={"name": "Cat"}), 409)
    assert "empty" in refused(http.put(path, json={"name": " "}), 422)
    assert http.delete(f"{path}/").json() == {"unlabelled": 0}
    assert "deleted" in refused(http.delete(path), 404)
    assert "type its name" in refused(http.delete(f"theme/{theme['id']}/?confirm_name=x"), 422)
    gone = http.delete(f"theme/{theme['id']}/", params={"confirm_name": "Animals"})
    assert gone.json() == {"images": 0, "labels": 2, "runs": 0, "models": 0}
    assert "no theme" in refused(http.get(f"theme/{theme['id']}/statistics/"), 404)


def test_upload_look_label_split_delete(wb: Workbench, client: Client, trainer: auth.User) -> None:
    http = client(trainer)
    theme = http.post("theme/create", json={"name": "Animals"}).json()["id"]
    packed = tarred(
        {f"{label}/{i}.png": png(i + 100 * (label == "dog")) for label in ("cat", "dog") for i in range(10)}
    )
    report = upload(
        http,
        theme,
        [
            ("a.tar.gz", packed),
            ("b.png", png(50)),
            ("c.zip", zipped({"../x.png": png(51)})),
            ("d.txt", b"hello"),
        ],
        label_from_folder=True,
        create_labels=True,
    )
    assert (report["added"], report["labelled"], report["labels_created"]) == (21, 20, ["cat", "dog"])
    assert [refusal["name"] for refusal in report["refused"]] == ["../x.png", "d.txt"]
    assert all(refusal["name"] in refusal["reason"] for refusal in report["refused"])
    assert upload(http, theme, [("b again.png", png(50))])["duplicate_names"] == ["b again.png"]

    page = http.get(f"theme/{theme}/images/", params={"limit": 3}).json()
    rest = http.get(f"theme/{theme}/images/", params={"after": page["next"]}).json()
    assert (len(page["items"]), len(rest["items"]), rest["next"]) == (3, 18, None)
    image = page["items"][0]
    assert (image["file_name"], image["width"], image["height"], image["label_id"]) == ("b.png", 24, 16, None)
    thumb = http.get(image["thumb"].removeprefix("/api/"))
    assert thumb.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert Image.open(io.BytesIO(thumb.content)).size == (24, 16)
    full = http.get(image["full"].removeprefix("/api/"))
    assert (full.content, full.headers["content-type"]) == (png(50), "image/png")
    assert full.headers["content-disposition"] == "inline; filename*=UTF-8''b.png"
    assert full.headers["x-content-type-options"] == thumb.headers["x-content-type-options"] == "nosniff"

    cat = http.get(f"theme/{theme}").json()["labels"][0]["id"]
    change = {"changes": [{"image_id": image["id"], "label_id": cat}]}
    answer = http.post(f"theme/{theme}/label/update/", json=change).json()
    assert (answer["updated"], answer["statistics"]["by_label"][str(cat)]) == (1, 11)
    detail = http.get(f"theme/{theme}/images/{image['id']}/").json()
    assert [(c["user"], c["before"], c["after"]) for c in detail["history"]] == [("trainer", None, "cat")]
    unknown = {"changes": [{"image_id": image["id"], "label_id": None}, {"image_id": 10**9, "label_id": cat}]}
    assert str(10**9) in refused(http.post(f"theme/{theme}/label/update/", json=unknown), 422)
    huge = {"changes": [{"image_id": 2**70, "label_id": cat}]}
    refused(http.post(f"theme/{theme}/label/update/", json=huge), 422)

    assert "add up to 1.2" in refused(
        http.post(f"theme/{theme}/split/", json={"ratios": [0.8, 0.2, 0.2]}), 422
    )
    split = http.post(f"theme/{theme}/split/").json()
    assert sum(split["dealt"].values()) == 21 and split["seed"] == 42
    assert split["statistics"] == http.get(f"theme/{theme}/statistics").json()
    found = http.get(f"theme/{theme}/images", params={"split": "test", "label": cat}).json()["items"]
    assert len(found) == split["statistics"]["by_label_split"][str(cat)]["test"]

    assert http.delete(f"theme/{theme}/images/{image['id']}/").json()["deleted"] == 1
    refused(http.get(image["full"].removeprefix("/api/")), 404)
    some = [item["id"] for item in rest["items"][:5]]
    assert http.post(f"theme/{theme}/images/delete/", json={"ids": some}).json()["statistics"]["total"] == 15


def test_odd_names_and_large_files(
    wb_duckdb: Workbench, client: Client, labeler: auth.User, trainer: auth.User
) -> None:
    theme = client(trainer).post("theme/create", json={"name": "Animals"}).json()["id"]
    http = client(labeler)
    large = encoded(picture(1, (900, 900)), "BMP")  # goes to disk while it arrives
    report = upload(
        http,
        theme,
        [("x" * 300 + ".png", png(1)), ("😀 “ü”.png", png(2)), ("../../etc/x.png", png(3)), ("l.bmp", large)],
    )
    assert (report["added"], [r["name"] for r in report["refused"]]) == (3, ["../../etc/x.png"])
    names = [item["file_name"] for item in http.get(f"theme/{theme}/images").json()["items"]]
    assert names[0] == "l.bmp" and names[1] == "😀 “ü”.png" and len(names[2]) == 200
    assert list((wb_duckdb.settings.data_dir / "incoming").iterdir()) == []
    body = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a\0b.png"\r\n\r\n'
        + png(4)
        + b"\r\n--b--\r\n"
    )
    answer = http.post(
        f"theme/{theme}/images/upload",
        content=body,
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert "control character" in answer.json()["refused"][0]["reason"]


def test_an_upload_that_breaks_off_keeps_what_was_complete(
    wb_duckdb: Workbench, client: Client, trainer: auth.User
) -> None:
    http = client(trainer)
    theme = http.post("theme/create", json={"name": "Animals"}).json()["id"]
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
    body = part % b"1.png" + png(1) + b"\r\n" + part % b"2.png" + png(2)[:50]
    path, headers = f"theme/{theme}/images/upload/", {"content-type": "multipart/form-data; boundary=b"}
    answer = http.post(path, content=body, headers=headers).json()
    assert (answer["added"], answer["statistics"]["total"]) == (1, 1)
    assert "cut short" in answer["refused"][0]["reason"]
    assert "multipart/form-data" in refused(http.post(path, content=b"abc"), 422)
    set_current(replace(wb_duckdb, settings=replace(wb_duckdb.settings, max_upload_bytes=5000)))
    assert "send the files in several parts" in refused(
        http.post(path, files={"files": png(2, (200, 200))}), 413
    )

    def undeclared() -> Iterator[bytes]:
        yield part % b"3.png" + png(3) + b"\r\n" + part % b"4.png"
        yield bytes(9000)

    answer = http.post(path, content=undeclared(), headers=headers).json()
    assert answer["added"] == 1 and "several parts" in answer["refused"][0]["reason"]


def test_formats_that_browsers_do_not_show_come_as_png(
    wb_duckdb: Workbench, client: Client, trainer: auth.User
) -> None:
    http = client(trainer)
    theme = http.post("theme/create", json={"name": "Scans"}).json()["id"]
    upload(http, theme, [("scan.tif", encoded(picture(1), "TIFF"))])
    [item] = http.get(f"theme/{theme}/images").json()["items"]
    shown = http.get(item["full"].removeprefix("/api/"))
    assert shown.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(shown.content)).size == (24, 16)
    original = http.get(f"images/{item['id']}/file")
    assert (original.headers["content-type"], original.content) == ("image/tiff", encoded(picture(1), "TIFF"))


@pytest.mark.parametrize(
    "name", ["x.webp", "a" * 64, "A" * 64 + ".webp", "..%2f..%2fx.webp", "0" * 64 + ".webp"]
)
def test_thumbnails_are_asked_for_by_hash_only(
    wb_duckdb: Workbench, client: Client, viewer: auth.User, name: str
) -> None:
    refused(client(viewer).get(f"thumbs/{name}"), 404)


def test_each_role_may_do_what_it_may(
    wb_duckdb: Workbench, client: Client, trainer: auth.User, labeler: auth.User, viewer: auth.User
) -> None:
    theme = client(trainer).post("theme/create", json={"name": "Animals", "labels": ["cat"]}).json()
    path, label = f"theme/{theme['id']}", f"theme/{theme['id']}/labels/{theme['labels'][0]['id']}"
    upload(client(labeler), theme["id"], [("1.png", png(1))])
    [image] = client(viewer).get(f"{path}/images").json()["items"]
    files = {"files": ("2.png", png(2))}
    for_labelers = [
        lambda http: http.post(f"{path}/images/upload", files=files),
        lambda http: http.post(f"{path}/label/update", json={"changes": []}),
        lambda http: http.post(f"{path}/images/delete", json={"ids": []}),
        lambda http: http.delete(f"{path}/images/{image['id']}"),
    ]
    for_trainers = [
        lambda http: http.post("theme/create", json={"name": "x"}),
        lambda http: http.put(path, json={"name": "x"}),
        lambda http: http.delete(path, params={"confirm_name": "Animals"}),
        lambda http: http.post(f"{path}/labels", json={"name": "x"}),
        lambda http: http.put(label, json={"name": "x"}),
        lambda http: http.delete(label),
        lambda http: http.post(f"{path}/split"),
        lambda http: http.post("demo"),
        lambda http: http.post(f"{path}/images/upload", params={"create_labels": True}, files=files),
    ]
    for_all = [
        lambda http: http.get("theme"),
        lambda http: http.get(path),
        lambda http: http.get(f"{path}/images"),
        lambda http: http.get(f"{path}/images/{image['id']}"),
        lambda http: http.get(f"{path}/statistics"),
        lambda http: http.get(image["thumb"].removeprefix("/api/")),
        lambda http: http.get(image["full"].removeprefix("/api/")),
    ]
    for act in for_trainers + for_labelers:
        assert act(client(viewer)).status_code == 403
    for act in for_trainers:
        assert act(client(labeler)).status_code == 403
    for act in for_all:
        assert act(client(viewer)).status_code == 200
    for act in for_trainers + for_labelers + for_all:
        refused(act(client(None)), 401)
    assert [act(client(labeler)).status_code for act in for_labelers] == [200, 200, 200, 200]


def test_the_demonstration_by_one_call(wb_duckdb: Workbench, client: Client, trainer: auth.User) -> None:
    http = client(trainer)
    first, second = http.post("demo/"), http.post("demo")
    assert first.json()["id"] == second.json()["id"]
    assert http.get(f"theme/{first.json()['id']}/statistics").json()["by_split"]["none"] == 300
