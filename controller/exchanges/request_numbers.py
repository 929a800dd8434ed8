"""Request ids for venues whose ids are integers: there and back, without a memory. Pure.

The id is read as a number in base 38. Twelve signs fit a signed 64-bit integer, which is what a venue can be expected
to hold: ``p-`` with ten digits, a PING a second for three hundred years.
"""

from typing import Final

_SIGNS: Final = " -0123456789abcdefghijklmnopqrstuvwxyz"
"""The blank is the zero, and stands in no id: so that no id begins with one."""
_LENGTH_MAX: Final = 12


def number_of(request_id: str) -> int:
    """The number that :func:`request_id_of` makes this id of again; 0, nobody's, for other signs or too many."""
    if len(request_id) > _LENGTH_MAX or not all(sign in _SIGNS[1:] for sign in request_id):
        return 0
    number = 0
    for sign in request_id:
        number = number * len(_SIGNS) + _SIGNS.index(sign)
    return number


def request_id_of(number: int) -> str:
    """The id behind a number; of one that is nobody's, an id that is nobody's."""
    signs = ""
    while number > 0:
        number, at = divmod(number, len(_SIGNS))
        signs = _SIGNS[at] + signs
    return signs
