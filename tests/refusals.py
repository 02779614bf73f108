"""Calls that must be refused."""

import pytest

from crlscale.errors import CrlscaleError


def refusal(function, *arguments, **options) -> CrlscaleError:
    """The one-line error of a call that must be refused; it says what to type instead."""
    with pytest.raises(CrlscaleError) as refused:
        function(*arguments, **options)
    assert "\n" not in str(refused.value)
    assert refused.value.remedy
    return refused.value
