"""Everything that `crypto` raises on purpose.

::

    CryptoError
    ├── KeySizeError               a key is too short, too long, or of a length nobody offers
    ├── KeyFormatError             bytes are not a key, or the key they hold is a bad one
    ├── KeyFileError               a key file cannot be read or written
    │   ├── WrongPassphraseError   ... because the passphrase is wrong or the file was changed
    │   └── KeyFileExposedError    ... because other users of this machine can read it
    ├── PlaintextError             a number to encrypt or to quantise does not fit
    ├── CapacityError              sums or slots could overflow, so the set-up is refused
    ├── CiphertextError            what somebody else sent cannot be a ciphertext
    │   └── CellRangeError         ... decrypts to a sum outside its proven range
    ├── BlindedValueError          what somebody else wants signed cannot be a blinded value
    ├── SignatureError             what somebody else signed is not a valid signature
    ├── FaultError                 this machine computed wrongly; nothing was given out
    ├── SegmentError               row numbers or segment starts point outside the ciphertexts
    ├── ElementError               what somebody else sent is no element of the group
    ├── ScalarError                a secret scalar is out of range, or of another group
    ├── HashInputError             what is to be hashed, or its tag, is refused
    └── UnavailableError           what was asked for does not exist here
        ├── SchemeUnavailableError
        ├── EngineUnavailableError
        └── GroupUnavailableError

No message carries a plaintext, a key or any other secret: positions and limits only.
"""


class CryptoError(Exception):
    """Base class of everything that `crypto` raises on purpose."""


class KeySizeError(CryptoError):
    """The length of a key is refused."""


class KeyFormatError(CryptoError):
    """Bytes are not a key, or not a sound one."""


class KeyFileError(CryptoError):
    """A key file cannot be read or written."""


class WrongPassphraseError(KeyFileError):
    """The passphrase does not open the key file, or the file was changed."""


class KeyFileExposedError(KeyFileError):
    """The key file can be read by other users of this machine."""


class PlaintextError(CryptoError):
    """A number is outside what can be encrypted.

    Attributes
    ----------
    position : int or None
        Index of the first bad number in its batch.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class CapacityError(CryptoError):
    """Sums or packed slots could overflow."""


class CiphertextError(CryptoError):
    """A batch of ciphertexts fails a check.

    Attributes
    ----------
    position : int or None
        Index of the first bad ciphertext in its batch; None where the whole batch is wrong.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class CellRangeError(CiphertextError):
    """A decrypted cell lies outside the range proven for it; `position` is the cell's."""


class BlindedValueError(CryptoError):
    """A batch of values to be signed fails a check.

    Attributes
    ----------
    position : int or None
        Index of the first bad value in its batch; None where the whole batch is wrong.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class SignatureError(CryptoError):
    """A batch of signatures fails a check.

    Attributes
    ----------
    position : int or None
        Index of the first bad signature in its batch; None where the whole batch is wrong.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class FaultError(CryptoError):
    """A result of this machine contradicts itself: hardware or software is at fault."""


class SegmentError(CryptoError):
    """Row numbers or segment starts point outside the ciphertexts."""


class ElementError(CryptoError):
    """A batch of group elements fails a check.

    Attributes
    ----------
    position : int or None
        Index of the first bad element in its batch; None where the whole batch is wrong.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class ScalarError(CryptoError):
    """A secret scalar is out of range, or belongs to another group."""


class HashInputError(CryptoError):
    """What is to be hashed, or the tag that separates its use from others, is refused."""


class UnavailableError(CryptoError):
    """Something with that name does not exist, or not on this machine."""


class SchemeUnavailableError(UnavailableError):
    """No such encryption scheme, or its library is not installed."""


class EngineUnavailableError(UnavailableError):
    """No such compute engine, or this machine cannot run it."""


class GroupUnavailableError(UnavailableError):
    """No such group, or its library is not installed."""
