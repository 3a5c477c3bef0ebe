"""All messages of networks, and what may be asked when.

::

    open --MatchRows--> matched --SetupBottom--> training -----SetupBody----> hosting
         UseAlignment   (Predict,                (Exchange,                   (the same,
                         PredictBody,             Evaluate,                    ForwardBody,
                         MatchRows,               KeepBottom)                  BackwardBody)
                         UseAlignment,               |                            |
                         OfferMaskKey,               |                            |
                         AgreeMasks)                 |                            |
                           ^                         |                            |
                           +------ FinishBottom -----+----------------------------+

Where the label party is to read only the sum of several parties' activations, they agree on masks
first (`masking_protocol`). One party may compute the body of the top besides its bottom: that is
the right-hand state (`body`). Requests in brackets leave the state as it is. The table is
`TRANSITIONS`.
"""

from parties.messages import MatchRows, Message, UseAlignment
from parties.service import Transitions
from secureboost.splitnn.body_protocol import (
    BackwardBody,
    CutGradients,
    ForwardBody,
    PredictBody,
    SetupBody,
)
from secureboost.splitnn.masking_protocol import AgreeMasks, MaskKeyOffered, OfferMaskKey
from secureboost.splitnn.protocol import (
    Activations,
    BottomFinished,
    BottomReady,
    Evaluate,
    Exchange,
    FinishBottom,
    KeepBottom,
    Predict,
    SetupBottom,
)

MESSAGES: tuple[type[Message], ...] = (
    SetupBottom,
    BottomReady,
    Exchange,
    Evaluate,
    Activations,
    KeepBottom,
    FinishBottom,
    BottomFinished,
    Predict,
    SetupBody,
    ForwardBody,
    BackwardBody,
    CutGradients,
    PredictBody,
    OfferMaskKey,
    MaskKeyOffered,
    AgreeMasks,
)

TRANSITIONS: Transitions = {
    "open": {MatchRows: "matched", UseAlignment: "matched"},
    "matched": {
        MatchRows: "matched",
        UseAlignment: "matched",
        SetupBottom: "training",
        Predict: "matched",
        PredictBody: "matched",
        OfferMaskKey: "matched",
        AgreeMasks: "matched",
    },
    "training": {
        Exchange: "training",
        Evaluate: "training",
        KeepBottom: "training",
        SetupBody: "hosting",
        FinishBottom: "matched",
    },
    "hosting": {
        Exchange: "hosting",
        Evaluate: "hosting",
        ForwardBody: "hosting",
        BackwardBody: "hosting",
        KeepBottom: "hosting",
        FinishBottom: "matched",
    },
}
"""What may be asked in which state, and the state after an answer; a refusal changes nothing."""
