"""What must not stop half way comes to its end, whoever goes away."""

import asyncio

import pytest

from appliance.uncut import uncut


def run(cancels):
    """What the work has done, and how its caller ended, cancelled so often meanwhile."""
    done = []

    async def work():
        await asyncio.sleep(0.05)
        done.append("work")
        return "result"

    async def main():
        caller = asyncio.create_task(uncut(work()))
        for _ in range(cancels):
            await asyncio.sleep(0.01)
            caller.cancel()
        await asyncio.wait([caller])
        return "cancelled" if caller.cancelled() else caller.result()

    return done, asyncio.run(main())


@pytest.mark.parametrize(("cancels", "end"), [(0, "result"), (1, "cancelled"), (3, "cancelled")])
def test_it_comes_to_its_end_and_only_then_lets_go(cancels, end):
    assert run(cancels) == (["work"], end)


def test_its_failure_is_its_callers():
    async def work():
        raise ValueError

    with pytest.raises(ValueError):     # noqa: PT011
        asyncio.run(uncut(work()))
