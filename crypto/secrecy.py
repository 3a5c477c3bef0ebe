"""Private keys that do not leak by accident: never shown, never pickled, never copied."""

from typing import NoReturn

from crypto.scheme import PrivateKey


class GuardedPrivateKey(PrivateKey):
    """A private key that shows its fingerprint only and refuses to be serialised."""

    def __repr__(self) -> str:
        public = self.public_key
        return (
            f"<private {public.scheme} key, {public.key_bits} bits, "
            f"fingerprint {public.fingerprint[:16]}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a private key is never pickled or copied: keep it in this session, or write it with "
            "crypto.keyfile.write_private_key under a passphrase"
        )

    def __getstate__(self) -> NoReturn:
        self.__reduce__()
