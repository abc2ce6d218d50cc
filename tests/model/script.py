"""A world's steps out of bytes: what a byte says is done if it can be.

So a script of hypothesis's shrinks to the bytes that matter, and any other source of bytes will do.
"""

from collections.abc import Callable, Iterable

from .endpoint import OPEN, Endpoint, reset_for
from .flows import Flow
from .frames import ACK, FIN, PSH, RST, SYN, Said, Way, pack, unpack
from .world import WIRES, World

FORGED_NETS = (b"\xc6\x33\x64", b"\x20\x01\x0d\xb8" + bytes(11))    # the clients' own
FORGED_PORT = 50_000            # and above: none of theirs


class Steps:
    """One step each: whether there was anything to do."""

    def __init__(self, world: World, flows: list[Flow] | None = None):
        """`flows`: whose ends do something; all of the world's unless they are named."""
        self.world = world
        self.flows = list(world.flows.values()) if flows is None else flows

    def deliver(self, choice: int) -> bool:
        return self._take(choice, lost=False, kept=False)

    def deliver_twice(self, choice: int) -> bool:
        return self._take(choice, lost=False, kept=True)

    def lose(self, choice: int) -> bool:
        return self._take(choice, lost=True, kept=False)

    def _take(self, choice: int, lost: bool, kept: bool) -> bool:
        """Mostly the oldest of a wire, else any."""
        for n in range(4):
            wire = WIRES[(choice + n) % 4]
            flying = self.world.wires[wire]
            if flying:
                at = (choice >> 3) % len(flying) if choice & 4 else 0
                one = flying[at] if kept else flying.pop(at)
                if not lost:
                    self.world.arrive(wire, one)
                return True
        return False

    def connect(self, choice: int) -> bool:
        return self.world.connect(self._flow(choice))

    def speak(self, choice: int) -> bool:
        return self._end(choice, self._speak)

    def _speak(self, end: Endpoint, choice: int) -> Said | None:
        if end.state == OPEN and end.settled:
            end.write(1 + choice * 37)
        return end.speak()

    def say_again(self, choice: int) -> bool:
        return self._end(choice, lambda end, _: end.say_again())

    def acknowledge(self, choice: int) -> bool:
        return self._end(choice, lambda end, _: end.acknowledge() if end.state == OPEN else None)

    def finish(self, choice: int) -> bool:
        def finish(end: Endpoint, _: int) -> Said | None:
            end.finish()
            return end.speak()
        return self._end(choice, finish)

    def abort(self, choice: int) -> bool:
        return choice >= 128 and self._end(
            choice, lambda end, _: end.abort() if end.state == OPEN else None)

    def refuse(self, choice: int) -> bool:
        """A server's port is shut to the SYN that comes next."""
        world = self.world
        for at, flying in enumerate(world.wires[">server"]):
            if flying.said.flags & SYN and flying.flow.free(flying.flow.server):
                del world.wires[">server"][at]
                return world.put(flying.flow, "server>", *reset_for(flying.said))
        return False

    def pass_time(self, choice: int) -> bool:
        self.world.pass_time(1 + choice * choice // 32, 8)      # up to 2 s
        return True

    def forge(self, choice: int) -> bool:
        """A frame of somebody who has heard nothing: it makes nothing reach the server."""
        world, chance = self.world, self.world.forgers
        like = self.flows[choice % len(self.flows)].there
        net = FORGED_NETS[len(like.source) == 16]
        there = Way(net + bytes([1 + choice % 250]), FORGED_PORT + choice, like.destination, 80)
        said = Said(
            chance.choice((ACK, ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, FIN, SYN, SYN | ACK)),
            chance.getrandbits(32), chance.getrandbits(32), 512, b"forged" * (choice & 1),
            tsval=chance.getrandbits(32) if choice & 2 else None,
            tsecr=chance.getrandbits(32) if choice & 2 else None)
        gauges = world.box.gauges()
        _, sent = world.box.run([pack(there, said)], True)
        world.sent += len(sent)
        assert not any(to_server for to_server, _ in sent), said
        assert len(sent) == (said.flags == SYN), said
        assert all(unpack(frame)[1].flags == SYN | ACK for _, frame in sent)
        assert world.box.gauges() == gauges
        return True

    def _flow(self, choice: int) -> Flow:
        return self.flows[choice % len(self.flows)]

    def _end(self, choice: int, say: Callable[[Endpoint, int], Said | None]) -> bool:
        flow = self._flow(choice)
        ends = self.world.ends(flow)
        if not ends:
            return False
        wire, end = ends[choice // len(self.flows) % len(ends)]
        return self.world.put(flow, wire, say(end, choice))


# How often each comes, of 64.
WEIGHTS = {
    "deliver": 26, "deliver_twice": 3, "lose": 2, "connect": 4, "speak": 10, "say_again": 4,
    "acknowledge": 2, "finish": 2, "abort": 1, "refuse": 1, "pass_time": 6, "forge": 3,
}
NAMES = [name for name, weight in WEIGHTS.items() for _ in range(weight)]


def play(world: World, script: Iterable[int], flows: list[Flow] | None = None) -> None:
    """Two bytes are a step; of those that find nothing to do, a frame arrives instead."""
    steps, octets = Steps(world, flows), iter(script)
    for operation, choice in zip(octets, octets, strict=False):
        if getattr(steps, NAMES[operation % len(NAMES)])(choice) or steps.deliver(choice):
            World.steps += 1
    world.check_books()


def settle(world: World, rounds: int = 40) -> None:
    """Nothing is lost any more, and who has something to say says it again: so all arrives."""
    for _ in range(rounds):
        for flow in world.flows.values():
            for wire, end in world.ends(flow):
                while world.put(flow, wire, end.speak()):
                    pass
                if not end.settled:
                    world.put(flow, wire, end.say_again())
        deliver_all(world)
        world.pass_time(1000, 8)
        if not any(unsettled(flow) for flow in world.flows.values()):
            break
    left = [flow for flow in world.flows.values() if unsettled(flow)]
    assert not left, [vars(end) for flow in left for _, end in world.ends(flow)]
    world.check_books()


def deliver_all(world: World) -> None:
    for _ in range(1000):
        taken, world.wires = world.wires, {wire: [] for wire in WIRES}
        if not any(taken.values()):
            return
        for wire, flying in taken.items():
            for one in flying:
                world.arrive(wire, one)
    raise AssertionError("they never come to rest")


def unsettled(flow: Flow) -> bool:
    """Both ends are there, joined to each other, and one lacks what the other has said."""
    joined = flow.joined
    if joined is None or joined.attempt is not flow.attempt or joined.server is not flow.server:
        return False
    client, server = joined.attempt.client, joined.server
    return client.state == server.state == OPEN and not (
        client.settled and server.settled and client.got == server.far and server.got == client.far)
