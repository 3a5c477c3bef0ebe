"""Label differential privacy: labels are changed by chance before anything is learnt from them."""

import math
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from secureboost.errors import ConfigError
from secureboost.splitnn.options import Options, number_option
from secureboost.splitnn.protections.base import LabelProtection

MOST_EPSILON = 20.0


class RandomisedResponse(LabelProtection):
    """Keeps a label with probability ``e^epsilon / (e^epsilon + K - 1)``; else takes another.

    Warner 1965, for K classes; the baseline of Ghazi et al. 2021 (arXiv 2102.06062). With two
    classes what is learnt from is not the response z but

        ``y' = (z - r) / (1 - 2 r)``,  ``r = 1 / (e^epsilon + 1)``,

    whose mean is the label, so that the gradient of the logistic loss, ``p - y'``, has the mean of
    the true one (Natarajan et al. 2013) and probabilities stay calibrated; ``debias=False`` learns
    from z. With more classes it is z that is learnt from: probabilities are drawn together.

    What is guaranteed: epsilon-label differential privacy (delta 0) of each training row. Whatever
    the feature parties see follows from the responses, not from the labels, so for a label replaced
    by another the odds of anything they see change by at most a factor ``e^epsilon``, over all
    epochs and for all parties together. It covers what is computed from the responses alone: the
    labels of evaluation rows are not changed and show in when training ends; each further fit on
    the same labels draws anew and adds its epsilon; a fit that goes on must go on with its first
    responses. A row's weight shows in its gradient, so it must not follow from the label: weights
    of classes are refused, and `sample_weight` is the caller's to choose.

    An attack reads at best the responses: an AUC of ``e^epsilon / (e^epsilon + 1)`` for two
    classes, 0.73 with the default of 1, and 0.88 with 2.
    """

    name = "randomised_response"
    defaults = MappingProxyType({"epsilon": 1.0, "debias": True, "unsafe_seeded": False})
    lowers = ("norm", "direction", "clustering")
    takes_several = True
    takes_class_weights = False

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.epsilon = number_option(self.options, "epsilon", 0.01, MOST_EPSILON)

    def takes_classes(self, n_classes: int) -> bool:
        """See `LabelProtection.takes_classes`."""
        return n_classes >= 2

    def labels(self, y: NDArray[np.float64], generator: torch.Generator) -> NDArray[np.float64]:
        """See `LabelProtection.labels`; for classes 0, 1, ..., K - 1.

        Of several labels of a row each is answered by itself: epsilon is that of each.
        """
        classes = np.unique(y)
        n_classes = len(classes)
        if n_classes < 2 or not np.array_equal(classes, np.arange(n_classes)):
            raise ConfigError(
                f"{self.name!r} is for labels that are classes 0, 1, ..., each of which occurs; "
                "choose another protection",
                "protections",
            )
        stream = self.keystream(generator)
        kept = stream.uniform(y.size).reshape(y.shape) < self.share_kept(n_classes)
        # the others are the label plus 1 to K - 1, around the corner
        steps = np.floor(stream.uniform(y.size) * (n_classes - 1)).reshape(y.shape)
        response = np.where(kept, y, (y + 1 + steps) % n_classes)
        if n_classes > 2 or not self.options["debias"]:
            return response
        flipped = 1.0 - self.share_kept(2)
        return np.asarray((response - flipped) / (1.0 - 2.0 * flipped))

    def share_kept(self, n_classes: int) -> float:
        """Probability that a label stays as it is."""
        return 1.0 / (1.0 + (n_classes - 1) * math.exp(-self.epsilon))
