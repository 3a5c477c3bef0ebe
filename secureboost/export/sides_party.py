"""A feature party that has answered in advance: its sides lie in a file."""

from typing import Any

import pandas as pd

from parties.answerer import Answerer
from parties.local import LocalTransport
from parties.messages import Ack, MatchRows, Refusal, Reply, Request
from parties.peer import Peer
from parties.rows import check_rows
from parties.service import Service
from secureboost._version import __version__
from secureboost.export.sides import Sides
from secureboost.gbdt.protocol import Code, Route, Routes
from secureboost.party import Party
from secureboost.trainers import Trainer


class SidesParty(Party):
    """Stands in for a party in prediction; what asks it is the code that asks the party itself.

    Parameters
    ----------
    sides : Sides

    Examples
    --------
    >>> bureau = SidesParty(read_sides(Path("bureau.sides")))
    >>> model.predict_proba(new_lender, parties=[bureau])
    """

    def __init__(self, sides: Sides) -> None:
        self.name = sides.party
        self.index = pd.Index(sides.ids, dtype=object)
        self._sides = sides

    def connect(self, trainer: Trainer) -> Peer:
        """Open a session in this process."""
        codec = trainer.codec()
        answerer = Answerer(
            self.name,
            codec,
            {trainer.name: lambda _hello: _SidesService(self._sides)},
            software_version=__version__,
        )
        self.peer = Peer(self.name, LocalTransport(answerer), codec)
        return self.peer


class _SidesService(Service):
    """Answers questions for sides, and no other."""

    transitions = {  # noqa: RUF012 - declared as a mapping that is never changed
        "open": {MatchRows: "matched"},
        "matched": {MatchRows: "matched", Route: "matched"},
    }

    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def answer(self, request: Request[Any]) -> Reply:
        if isinstance(request, MatchRows):
            check_rows(request, self._sides.ids)
            return Ack()
        if not isinstance(request, Route) or request.model_id != self._sides.model_id:
            raise Refusal(Code.MODEL, f"the file has sides for model {self._sides.model_id}")
        return Routes(goes_left=self._sides.of_rows(request.rows))

    def close(self) -> None:
        """Nothing is held."""
