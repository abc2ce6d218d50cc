"""What a service gives up is kept until the tables have been looked through since."""

from .conftest import WEB


def having(*prefixes):
    return [{**WEB, "prefixes": list(prefixes)}]


def test_what_is_given_up_later_is_kept_as_long_as_what_was_given_up_first(plane):
    first, second, third = "10.0.0.0/24", "10.1.0.0/24", "10.2.0.0/24"
    told = plane(services=[having(first, second, third), having(first, second), having(first)],
                 drains=True)
    assert told.drained == [[], []]
