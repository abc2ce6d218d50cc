"""What the daemon does beside serving goes on."""

import asyncio

from appliance import lifecycle


def test_what_fails_by_a_mistake_of_ours_is_told_and_begins_again(monkeypatch, capfd):
    monkeypatch.setattr(lifecycle, "AGAIN_S", 0.01)
    begun: list[int] = []

    async def work():
        begun.append(len(begun))
        if len(begun) < 3:
            raise ZeroDivisionError
        await asyncio.sleep(60)

    async def run():
        task = asyncio.create_task(lifecycle._going(work))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())
    assert begun == [0, 1, 2]
    assert capfd.readouterr().err.count("begins again after:") == 2
