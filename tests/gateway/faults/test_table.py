"""The table of faults: names, parameters, and what a mistake says."""

from __future__ import annotations

import pytest

from onpaper.errors import BadInput
from onpaper.gateway.faults import apply, known_faults
from onpaper.script import Script, Write

STREAM = Script(writes=tuple(Write(b'data: {"n":%d}\n\n' % number) for number in range(4)))


def test_every_fault_describes_itself_in_one_sentence():
    for fault in known_faults().values():
        assert fault.about.endswith("."), fault.name
        assert fault.about[0].isupper(), fault.name


def test_a_fault_lists_its_parameters_with_types_and_defaults():
    by = {parameter.name: parameter for parameter in known_faults()["jitter"].parameters}
    assert by["seed"].kind == "a whole number"
    assert by["low"].required
    assert known_faults()["cut"].parameters[1].default == "cut"


def test_an_unknown_fault_names_the_nearest_and_the_known_ones():
    with pytest.raises(
        BadInput, match=r"no fault 'cut-mid-evnt'; did you mean 'cut-mid-event'\? Known: after-done, "
    ):
        apply(STREAM, [{"fault": "cut-mid-evnt"}])


def test_a_fault_without_a_name_is_refused():
    with pytest.raises(BadInput, match="there is no fault None"):
        apply(STREAM, [{"at": 1}])


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(BadInput, match=r"the fault cut has no parameter 'att'; did you mean 'at'\?"):
        apply(STREAM, [{"fault": "cut", "att": 1}])


@pytest.mark.parametrize("value", ["1", 1.5, True, None, [1]])
def test_a_parameter_of_the_wrong_type_is_refused(value):
    with pytest.raises(BadInput, match="the fault cut wants at to be a whole number, found"):
        apply(STREAM, [{"fault": "cut", "at": value}])


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True])
def test_a_pause_is_a_number_from_0_on(value):
    with pytest.raises(BadInput, match="wants seconds to be a number from 0 on"):
        apply(STREAM, [{"fault": "latency-head", "seconds": value}])


def test_missing_parameters_are_named():
    with pytest.raises(BadInput, match="the fault jitter needs low and high"):
        apply(STREAM, [{"fault": "jitter", "seed": 1}])


def test_a_fault_may_not_take_away_an_earlier_one():
    with pytest.raises(BadInput, match="the fault cut takes away what malformed-event did;"):
        apply(STREAM, [{"fault": "malformed-event", "at": 3}, {"fault": "cut", "at": 1}])


def test_faults_add_up_in_order():
    script = apply(
        STREAM,
        [
            {"fault": "malformed-event", "at": 0},
            {"fault": "duplicate-event", "at": 0},
            {"fault": "latency-between", "seconds": 0.5},
            {"fault": "cut", "at": 2},
            {"fault": "bytewise"},
        ],
    )
    assert set(script.faults) == {"malformed-event", "duplicate-event", "latency-between", "bytewise", "cut"}
    assert all(len(write.data) <= 1 for write in script.writes)


def test_a_fault_does_not_change_the_script_it_is_given():
    before = repr(STREAM)
    apply(STREAM, [{"fault": "bytewise"}])
    assert repr(STREAM) == before
