"""Secrets that do not leak by accident: never shown, never pickled, never copied."""

from abc import ABC, abstractmethod
from typing import ClassVar, NoReturn

from crypto.scheme import PrivateKey

KEY_ADVICE = (
    "keep it in this session, or write it with crypto.keyfile.write_private_key under a passphrase"
)


class Guarded(ABC):
    """Something secret that says what it is only and refuses to be serialised."""

    _advice: ClassVar[str] = "keep it in this session"

    @abstractmethod
    def _shown(self) -> str:
        """Say what this is, without a secret."""

    def __repr__(self) -> str:
        return f"<{self._shown()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {self._shown()} is never pickled or copied: {self._advice}")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()


class GuardedPrivateKey(Guarded, PrivateKey):
    """A private key that shows its fingerprint only and refuses to be serialised."""

    _advice = KEY_ADVICE

    def _shown(self) -> str:
        public = self.public_key
        return describe_private_key(public.scheme, public.key_bits, public.fingerprint)


def describe_private_key(scheme: str, key_bits: int, fingerprint: str) -> str:
    """Say which private key it is, by what its public half tells everybody."""
    return f"private {scheme} key, {key_bits} bits, fingerprint {fingerprint[:16]}"
