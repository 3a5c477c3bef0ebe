import os

import msgspec
import pytest
from support.ensembles import MODEL, random_model

from secureboost import files
from secureboost.errors import ModelError
from secureboost.files import make_folder, remove, write_atomically
from secureboost.gbdt.store import FolderStore, MemoryStore

DIGEST = bytes(range(32))
OTHER = "f" * 32


@pytest.fixture(scope="module")
def half():
    return random_model(1).party_halves()[0]


@pytest.fixture(params=["memory", "folder"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else FolderStore(tmp_path / "models")


def fewer(half):
    return msgspec.structs.replace(half, splits=half.splits[:-1])


def test_nothing_is_there(store):
    assert store.load(MODEL) is None
    assert store.kept(MODEL) is None
    store.forget(MODEL)


def test_what_is_kept_comes_back(store, half):
    store.keep(fewer(half), DIGEST)
    assert store.kept(MODEL) == (fewer(half), DIGEST)
    store.keep(half, b"")
    assert store.kept(MODEL) == (half, b"")
    assert store.kept(OTHER) is None
    assert store.load(MODEL) is None


def test_forgetting_is_of_the_checkpoint_alone(store, half):
    store.save(half)
    store.keep(half, DIGEST)
    store.forget(OTHER)
    assert store.kept(MODEL) is not None
    store.forget(MODEL)
    assert store.kept(MODEL) is None
    assert store.load(MODEL) == half


def test_a_finished_half_replaces_its_checkpoint(store, half):
    store.keep(fewer(half), DIGEST)
    store.save(half)
    assert store.kept(MODEL) is None
    assert store.load(MODEL) == half


@pytest.mark.parametrize(
    "model_id", ["", "../../etc/passwd", "a" * 31, "A" * 32, "a" * 32 + "\n", "a" * 31 + "/"]
)
def test_a_model_id_is_no_path(tmp_path, half, model_id):
    store = FolderStore(tmp_path)
    hostile = msgspec.structs.replace(half, model_id=model_id)
    for use in (
        lambda: store.save(hostile),
        lambda: store.load(model_id),
        lambda: store.keep(hostile, DIGEST),
        lambda: store.kept(model_id),
        lambda: store.forget(model_id),
    ):
        with pytest.raises(ValueError, match="32 hexadecimal digits"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_reads(tmp_path, half):
    store = FolderStore(tmp_path / "deep" / "models")
    store.save(half)
    store.keep(half, DIGEST)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep").rglob("*")}
    assert modes == {"models": 0o700, "unfinished": 0o700, f"{MODEL}.json": 0o600}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"bins_digest": "", "half": {}}', b"\xff"])
def test_a_damaged_checkpoint(tmp_path, half, content):
    store = FolderStore(tmp_path)
    store.keep(half, DIGEST)
    path = tmp_path / "unfinished" / f"{MODEL}.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"{MODEL}.json is not a "):
        store.kept(MODEL)


def test_a_checkpoint_with_a_split_on_no_column(tmp_path, half):
    store = FolderStore(tmp_path)
    store.keep(msgspec.structs.replace(half, feature_names=(), categories=()), DIGEST)
    with pytest.raises(ModelError, match=r"\.json: split 0 names a column"):
        store.kept(MODEL)


def test_forgetting_removes_what_a_crash_left(tmp_path, half):
    store = FolderStore(tmp_path)
    store.keep(half, DIGEST)
    (tmp_path / "unfinished" / f".{MODEL}.json.abc").write_text("half of a hal")
    (tmp_path / "unfinished" / f".{OTHER}.json.abc").write_text("another one's")
    store.forget(MODEL)
    assert [path.name for path in (tmp_path / "unfinished").iterdir()] == [f".{OTHER}.json.abc"]


# --- secureboost.files


class Crash(BaseException):
    """The process ends here."""


STEPS = ("mkstemp", "fchmod", "fsync", "replace")


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "x.json"
    write_atomically(path, b"old")

    def crash(*_args, **_kwargs):
        raise Crash

    monkeypatch.setattr(files.tempfile if step == "mkstemp" else files.os, step, crash)
    with pytest.raises(Crash):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_folder_that_cannot_be_flushed(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    flush = files.flush_folder

    def full(folder):
        flush(folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "flush_folder", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_file_and_folders_are_flushed(tmp_path, monkeypatch):
    """In this order: the content, then its name; and the name of each new folder."""
    flushed = []
    fsync = os.fsync

    def note(handle):
        flushed.append(os.readlink(f"/proc/self/fd/{handle}").removeprefix(str(tmp_path)))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    write_atomically(tmp_path / "a" / "b" / "x.json", b"new", mode=0o600)
    folders, content, name = flushed[:2], flushed[2], flushed[3:]
    assert folders == ["", "/a"]
    assert content.startswith("/a/b/.x.json.")
    assert name == ["/a/b"]
    flushed.clear()
    remove(tmp_path / "a" / "b" / "x.json")
    assert flushed == ["/a/b"]


def test_file_systems_that_cannot_flush_folders(tmp_path, monkeypatch):
    def refuse(_handle):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    make_folder(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


def test_removing_nothing(tmp_path):
    remove(tmp_path / "absent" / "x.json")
    remove(tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []
