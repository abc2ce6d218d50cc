"""Whatever stands in a file, the answer is a configuration or a list of what is wrong."""

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synproxy.v1.config_pb2 import Config

from appliance.config.load import ConfigError, config_parse
from appliance.config.schema import fields_of, is_group


def names_below(kind):
    for field in fields_of(kind):
        yield field.name
        if is_group(field):
            yield from names_below(field.message_type)


KEYS = st.sampled_from(sorted(set(names_below(Config.DESCRIPTOR)))) | st.text(max_size=5)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates()
    | st.sampled_from(["10.0.0.0/8", "::/0", "80-90", "5s", "AF_XDP", "net_ring0", "eth0"])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        field.name: st.lists(st.dictionaries(KEYS, TREES, max_size=4), max_size=3)
        if field.is_repeated
        else st.dictionaries(KEYS, TREES, max_size=4)
        for field in fields_of(Config.DESCRIPTOR)
    },
)


def answered(content):
    try:
        config_parse(content, "f")
    except ConfigError as error:
        problems = error.problems
    else:
        return
    assert problems
    for problem in problems:
        assert min(problem.position.line, problem.position.column) >= 1
        assert str(problem).isprintable()


@given(st.binary(max_size=200))
def test_any_bytes(content):
    answered(content)


@given(st.text(alphabet="abc:- []{},&*!|>'\"#%@`?\n\t\0é10.", max_size=60))
def test_any_yaml(text):
    answered(text.encode())


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(SECTIONS | TREES)
def test_any_tree_under_the_schemas_own_names(tree):
    answered(yaml.safe_dump(tree, sort_keys=False).encode())
