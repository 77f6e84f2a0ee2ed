"""Amounts of money: read strictly from JSON, compared as Decimal, written without surprises."""

import re
from decimal import Decimal
from typing import Any

MAX_CHARACTERS = 30
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


class AmountError(ValueError):
    """An amount that no maximum can be compared with; the message is a sentence for a person."""


def parse_amount(value: Any) -> Decimal:
    """The amount in a JSON value: an integer, a float, or a plain decimal string such as "150.00".

    Raises AmountError for anything else: booleans, exponents, signs, spaces, NaN, infinity, negative numbers (minus
    zero among them) and whatever needs more than 30 characters when written out.
    """
    kind = type(value)
    if kind is str:
        if len(value) > MAX_CHARACTERS:
            raise AmountError(f"Amount is longer than {MAX_CHARACTERS} characters")
        if _DECIMAL.fullmatch(value) is None:
            raise AmountError("Amount is not a plain decimal number")
        amount = Decimal(value)
    elif kind is int:
        if value.bit_length() > 96:
            raise AmountError(f"Amount is longer than {MAX_CHARACTERS} characters")
        amount = Decimal(value)
    elif kind is float:
        amount = _from_float(value)
    elif kind is bool:
        raise AmountError("Amount is true or false, not a number")
    else:
        raise AmountError("Amount is not a number")
    if amount.is_signed():
        raise AmountError("Amount is negative")
    return amount


def _from_float(value: float) -> Decimal:
    # repr() is the shortest text that reads back as the same float: 150.1 is 150.1, not 150.09999999999999431…
    amount = Decimal(repr(value))
    if not amount.is_finite():
        raise AmountError("Amount is not a finite number")
    if len(format(amount, "f")) > MAX_CHARACTERS:
        raise AmountError(f"Amount is longer than {MAX_CHARACTERS} characters")
    return amount


def plain(amount: Decimal) -> str:
    """Two decimals at least, all that matter, never scientific: `150.00`, `0.125`."""
    whole, _, fraction = format(amount, "f").partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def show(amount: Decimal, currency: str | None = None, *, short: bool = False) -> str:
    """For a person: `$1,000.00`, `1,000.00 CHF`, without a currency `1,000.00`; short drops `.00`."""
    whole, _, fraction = plain(amount).partition(".")
    number = f"{int(whole):,}" if short and fraction == "00" else f"{int(whole):,}.{fraction}"
    if currency is None:
        return number
    symbol = _SYMBOLS.get(currency.upper())
    return f"{symbol}{number}" if symbol else f"{number} {currency.upper()}"
