"""Crashes of either side at every request and every write; then the same result as without."""

import stat
from dataclasses import replace

import msgspec
import pytest
from support.aligning import AlignParty, Faulty, align_parties, keys_of, matches

from parties.errors import PeerRefusedError, PeerUnreachableError
from secureboost.align import run_state
from secureboost.align.policy import AlignBudget, AlignPolicy
from secureboost.align.protocol import Agreed, BlindedKeys, KeysOf, Propose
from secureboost.align.resume import KEPT_SESSIONS
from secureboost.align.state import State
from secureboost.alignment import FolderAlignments
from secureboost.errors import AlignmentError, ConfigError, DataError, IntegrityError

OWN = [f"id{i}" for i in range(14)]
THEIRS = [f"id{i}" for i in range(5, 15)]
COMMON = sorted((i, i) for i in OWN if i in THEIRS)
REQUESTS = 20
"""Hello, Propose, 4 + 3 + 4 chunks, TellSize, 4 chunks of the order, ListKeys, Conclude."""


class Bureau(AlignParty):
    """Keeps its sessions in a folder, and counts what it lets be compared."""

    def __init__(self, folder, ids=THEIRS, name="bureau", **more):
        policy = AlignPolicy(max_probed_keys=1000)
        super().__init__(
            keys_of(ids), name, state_folder=folder, policy=policy, budget=AlignBudget(policy)
        )
        for key, value in more.items():
            setattr(self, key, value)

    @property
    def probed(self):
        return self.table.budget.spent.probed_keys

    def restarted(self):
        """The same party after a crash of its process: what it keeps on a disk is left."""
        again = Bureau(self.table.state_folder, name=self.name)
        again.table.budget.spent = self.table.budget.spent
        again.table = replace(again.table, alignments=self.table.alignments)
        return again


def align(party, state, ids=OWN, **changes):
    return align_parties(keys_of(ids), party, state=state, **changes)


def assert_done(aligned, party, state, ids=THEIRS):
    assert sorted(matches(aligned, OWN, party, ids)) == COMMON
    assert not state.exists()
    assert not list(party.table.state_folder.iterdir())
    assert party.released


def sent(party, kind):
    return [m.chunk for m, _ in party.messages() if isinstance(m, kind)]


@pytest.mark.parametrize("told", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("where", range(REQUESTS))
@pytest.mark.parametrize("whose", ["line", "party"])
def test_a_cut_line_and_a_crash_of_the_party(tmp_path, whose, where, told):
    state = tmp_path / "state"
    cut = Bureau(tmp_path / "kept", wrap=lambda inner: Faulty(inner, where, told=told))
    with pytest.raises(PeerUnreachableError, match="the line was cut"):
        align(cut, state)
    assert cut.released
    party = cut.restarted() if whose == "party" else cut
    party.wrap = lambda inner: inner
    aligned = align(party, state)
    assert_done(aligned, party, state)
    # only the party's very last step, of which the label party did not hear, is paid for twice
    concluded = where == REQUESTS - 1 and told
    assert party.probed == (28 if concluded else 14)


def count_requests(tmp_path):
    transports = []

    def keep(inner):
        transports.append(Faulty(inner, -1, told=True))
        return transports[-1]

    align(Bureau(tmp_path / "kept", wrap=keep), tmp_path / "state")
    return transports[0].requests


def test_no_request_is_left_out(tmp_path):
    assert count_requests(tmp_path) == REQUESTS + 1  # Goodbye


def test_what_both_have_is_not_sent_or_computed_again(tmp_path):
    state = tmp_path / "state"
    first = Bureau(tmp_path / "kept", wrap=lambda inner: Faulty(inner, 8, told=True))
    with pytest.raises(PeerUnreachableError):
        align(first, state)
    assert sent(first, BlindedKeys) == [0, 1, 2, 3]
    assert sent(first, KeysOf)[:2] == [0, 1]
    second = first.restarted()
    assert_done(align(second, state), second, state)
    (agreed,) = [reply for _, reply in second.messages() if isinstance(reply, Agreed)]
    assert agreed.received == 4
    assert sent(second, BlindedKeys) == []
    assert sent(second, KeysOf) == [2]


class Crash(Exception):  # noqa: N818 (no error of the program)
    """The process ends here."""


def crash_at(monkeypatch, number, *, written, folder):
    """The process of one side ends at its n-th write, before or after it."""
    put, count = State.put, 0

    def put_and_crash(self, name, data):
        nonlocal count
        counts = self.folder is not None and folder in [self.folder, *self.folder.parents]
        count += counts
        if counts and count == number + 1 and not written:
            raise Crash
        put(self, name, data)
        if counts and count == number + 1:
            raise Crash

    monkeypatch.setattr(State, "put", put_and_crash)
    return lambda: count


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("side", ["label party", "feature party"])
def test_a_crash_at_every_write(tmp_path, monkeypatch, side, number, written):
    state, kept = tmp_path / "state", tmp_path / "kept"
    folder = state if side == "label party" else kept
    with monkeypatch.context() as context:
        crash_at(context, number, written=written, folder=folder)
        party = Bureau(kept)
        try:
            aligned = align(party, state)
        except (Crash, PeerRefusedError):
            assert party.released
        else:  # fewer writes than that
            assert number >= 9
            assert_done(aligned, party, state)
            return
    party = party.restarted()
    assert_done(align(party, state), party, state)


def test_every_write_is_among_them(tmp_path, monkeypatch):
    for side in ("state", "kept"):
        count = crash_at(monkeypatch, 10**6, written=True, folder=tmp_path / side)
        align(Bureau(tmp_path / "kept"), tmp_path / "state")
        assert 9 <= count() <= 12


def test_one_of_several_parties_may_crash(tmp_path):
    state = tmp_path / "state"
    good = Bureau(tmp_path / "good", name="good")
    bad = Bureau(tmp_path / "bad", name="bad", wrap=lambda i: Faulty(i, 7, told=False))
    with pytest.raises(PeerUnreachableError):
        align_parties(keys_of(OWN), good, bad, state=state)
    assert good.released
    again = [good.restarted(), bad.restarted()]
    aligned = align_parties(keys_of(OWN), *again, state=state)
    for party in again:
        assert_done(aligned, party, state)
        assert party.probed == 14


def test_files_are_their_owners_alone(tmp_path):
    state = tmp_path / "state"
    party = Bureau(tmp_path / "kept", wrap=lambda inner: Faulty(inner, 9, told=True))
    with pytest.raises(PeerUnreachableError):
        align(party, state)
    for folder in (state, tmp_path / "kept"):
        files = [path for path in folder.rglob("*") if path.is_file()]
        folders = [path for path in folder.rglob("*") if path.is_dir()]
        assert len(files) >= 5
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
        content = b"".join(path.read_bytes() for path in files)
        assert not any(value.encode() in content for value in ["id13", "id11"])


def interrupted(tmp_path, where=9):
    state = tmp_path / "state"
    party = Bureau(tmp_path / "kept", wrap=lambda inner: Faulty(inner, where, told=True))
    with pytest.raises(PeerUnreachableError):
        align(party, state)
    return party.restarted(), state


def test_other_keys_and_other_options_are_named_and_refused(tmp_path):
    party, state = interrupted(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot go on with other keys: the lab"):
        align(party, state, [*OWN, "one more"])
    with pytest.raises(ConfigError, match=r"other padding \(0 then, 2 now\), chunk \(4 then, 5"):
        align(party, state, padding=2, chunk=5)
    assert_done(align(party, state, n_jobs=2, max_rows=99), party, state)


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    state = tmp_path / "documents"
    state.mkdir()
    (state / "thesis.txt").write_text("all of it")
    with pytest.raises(ConfigError, match=r"holds something, and it is no interrupted alignment"):
        align(Bureau(tmp_path / "kept"), state)
    assert (state / "thesis.txt").read_text() == "all of it"


def test_other_terms_under_the_same_nonce_are_refused_by_the_party(tmp_path, monkeypatch):
    party, state = interrupted(tmp_path)
    free = run_state._FREE | {"result", "min_size"}
    monkeypatch.setattr(run_state, "_FREE", free)
    with pytest.raises(PeerRefusedError) as refused:
        align(party, state, min_size=2, result="label-party")
    assert "align_resume_refused" in str(refused.value)
    assert "result (both then, label-party now), min_size (1 then, 2 now)" in str(refused.value)


def test_a_party_whose_table_has_changed_begins_anew(tmp_path):
    _, state = interrupted(tmp_path)
    more = [*THEIRS, "id0"]
    changed = Bureau(tmp_path / "kept", more)
    aligned = align(changed, state)
    assert sorted(matches(aligned, OWN, changed, more)) == sorted([*COMMON, ("id0", "id0")])
    assert not state.exists()


@pytest.mark.parametrize("keeps", [False, True])
def test_a_party_that_has_forgotten_begins_anew(tmp_path, keeps):
    _, state = interrupted(tmp_path)
    forgetful = AlignParty(
        keys_of(THEIRS), **({"state_folder": tmp_path / "elsewhere"} if keeps else {})
    )
    aligned = align(forgetful, state)
    assert sorted(matches(aligned, OWN, forgetful, THEIRS)) == COMMON
    assert not state.exists()


def test_damaged_state_of_the_label_party_is_named(tmp_path):
    party, state = interrupted(tmp_path)
    (piece,) = (state / "parties" / "bureau").glob("own-00000001")
    piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    with pytest.raises(AlignmentError, match=r"own-00000001 is damaged. Delete the folder"):
        align(party, state)
    assert party.released


@pytest.mark.parametrize("name", ["session", "secrets", "theirs-00000001", "own-00000000"])
def test_damaged_state_of_the_feature_party_begins_anew(tmp_path, name):
    party, state = interrupted(tmp_path)
    (piece,) = (tmp_path / "kept").rglob(name)
    piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    assert_done(align(party, state), party, state)


def test_only_a_few_interrupted_sessions_are_kept(tmp_path):
    party = Bureau(tmp_path / "kept")
    for number in range(KEPT_SESSIONS + 3):
        party.wrap = lambda inner: Faulty(inner, 5, told=True)
        with pytest.raises(PeerUnreachableError):
            align(party, tmp_path / f"state{number}")
    assert len(list((tmp_path / "kept").iterdir())) == KEPT_SESSIONS


@pytest.mark.parametrize("told", [1, 9])
def test_a_party_that_claims_to_have_what_was_never_sent(tmp_path, told):
    def lie(request, reply):
        if isinstance(request, Propose):
            return msgspec.structs.replace(reply, received=told)
        return reply

    party = Bureau(tmp_path / "kept", alter=lie)
    with pytest.raises(IntegrityError, match=rf"'bureau'.* has {told} chunks of our keys of a"):
        align(party, tmp_path / "state")
    assert party.released


def test_a_full_disk_of_the_party_is_a_refusal(tmp_path, monkeypatch):
    party, put = Bureau(tmp_path / "kept"), State.put

    def full(self, name, data):
        if name.startswith("theirs-"):
            raise OSError(28, "No space left on device")
        put(self, name, data)

    with monkeypatch.context() as context:
        context.setattr(State, "put", full)
        with pytest.raises(PeerRefusedError, match=r"alignment_cannot_be_kept.*No space left"):
            align(party, tmp_path / "state")
    assert party.released
    party = party.restarted()
    assert_done(align(party, tmp_path / "state"), party, tmp_path / "state")


def test_nothing_half_written_where_the_alignment_cannot_be_kept(tmp_path, monkeypatch):
    store = FolderAlignments(tmp_path / "alignments")
    party = Bureau(tmp_path / "kept")
    object.__setattr__(party.table, "alignments", store)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("secureboost.alignment.write_atomically", full)
        with pytest.raises(PeerRefusedError, match="alignment_cannot_be_kept"):
            align(party, tmp_path / "state")
    assert not list((tmp_path / "alignments").iterdir())
    aligned = align(party, tmp_path / "state")
    assert store.load(aligned.alignments["bureau"].id) is not None


def test_nothing_common_leaves_nothing_behind(tmp_path):
    party = Bureau(tmp_path / "kept", ["x", "y"])
    with pytest.raises(DataError, match="No id is common"):
        align(party, tmp_path / "state")
    assert not list((tmp_path / "kept").iterdir())
    assert not (tmp_path / "state").exists()
