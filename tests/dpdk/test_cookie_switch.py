"""Several workers judge each by its own share of the load, and are told as one."""

import pytest

from cython_core.dataplane import CookieSwitch, cookies_together


def switches(*told):
    return [CookieSwitch(on, age_s) for on, age_s in told]


@pytest.mark.parametrize(("workers", "together"), [
    ([(False, None)], (False, None)),
    ([(True, None)], (True, None)),
    ([(False, 5.0)], (False, 5.0)),
    ([(False, None), (False, None)], (False, None)),
    ([(False, None), (True, 3.0)], (True, 3.0)),
    ([(False, 1.0), (True, 3.0), (True, 9.0)], (True, 9.0)),
    ([(True, None), (True, 9.0)], (True, None)),
    ([(False, 1.0), (True, None)], (True, None)),
    ([(False, 4.0), (False, 2.0), (False, None)], (False, 2.0)),
])
def test_any_that_is_on_is_on_since_the_first_and_off_since_the_last(workers, together):
    (told,) = switches(together)
    assert cookies_together(switches(*workers)) == told
    assert cookies_together(switches(*reversed(workers))) == told
