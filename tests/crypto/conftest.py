"""Hypothesis without deadlines: a first call compiles, and the machine is shared."""

from hypothesis import settings

settings.register_profile("crypto", deadline=None)
settings.load_profile("crypto")
