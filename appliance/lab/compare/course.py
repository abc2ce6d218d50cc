"""Where a script stands: what its two ends have said and heard up to a turn, in their symbols."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.lab.compare.flow import Heard, Say
from appliance.lab.compare.script import Script

SYN_ACKS = ("SA", "SAE")


@dataclass(frozen=True)
class Course:
    """What one contestant has made of a script, up to a turn and with it."""

    script: Script
    heard: Sequence[Heard]
    turn: int

    @property
    def said(self) -> Say:
        return self.script.says[self.turn]

    def at(self, side: str) -> list[Heard]:
        return [each for each in self.heard if each.side == side and each.turn <= self.turn]

    @property
    def opened(self) -> int:
        """The turn of the client's SYN by whose answer it goes."""
        return max((turn for turn, say in enumerate(self.script.says[:self.turn + 1])
                    if say.opens), default=0)

    @property
    def letter(self) -> str | None:
        """That of the cookie that the client goes by."""
        return next((each.seq[0] for each in self.at("client")
                     if each.flags == "SA" and each.turn >= self.opened), None)

    @property
    def announced(self) -> Heard | None:
        """The SYN-ACK that the client goes by."""
        return next((each for each in self.at("client")
                     if each.flags == "SA" and each.seq[0] == self.letter), None)

    @property
    def asked(self) -> Heard | None:
        """The last SYN that the server has got."""
        return next((each for each in reversed(self.at("server")) if each.flags == "S"), None)

    @property
    def asked_first(self) -> int:
        """The turn in which the server got that SYN first."""
        return next((each.turn for each in self.at("server")
                     if each.flags == "S" and self.asked and each.seq == self.asked.seq), self.turn)

    @property
    def syn(self) -> Say:
        """The client's SYN that the server was asked for, else its last, or what stands there."""
        says = [say for say in self.script.says[:self.asked_first + 1] if say.side == "client"]
        syns = [say for say in says if "S" in say.flags]
        if self.asked:
            syns = [say for say in syns if number("c", say.seq) == self.asked.seq] or syns
        return syns[-1] if syns else says[0]

    @property
    def proof(self) -> Say:
        """What the client said when the server was asked first."""
        return self.script.says[self.asked_first]

    @property
    def answered(self) -> int | None:
        """The turn of the server's SYN-ACK that answers the last SYN that it has got."""
        asked = self.asked
        return None if asked is None else next(
            (turn for turn, say in enumerate(self.script.says[:self.turn + 1])
             if turn > asked.turn and say.flags in SYN_ACKS and say.ack == 1), None)

    @property
    def answer(self) -> Say | None:
        """That SYN-ACK, with no option that was not asked for."""
        if self.answered is None or self.asked is None:
            return None
        say, asked = self.script.says[self.answered], self.asked
        return say if not say.mirrors else replace(
            say, wscale=None if asked.wscale is None else say.wscale,
            sack_permitted=say.sack_permitted and asked.sack_permitted,
            tsval=None if asked.tsval is None else say.tsval)

    def recent(self, side: str, letter: str) -> int | None:
        """The latest TSval that an end has heard before this turn, by its peer's letter."""
        values = [distance(each.tsval) for each in self.at(side)
                  if each.turn < self.turn and each.tsval and each.tsval[0] == letter]
        return max(values, default=None)


def number(letter: str, distance: int) -> str:
    return f"{letter}{distance:+d}"


def distance(symbol: str | None) -> int:
    """That of a number from its letter; of one near none, 0."""
    return int(symbol[1:]) if symbol and symbol[1:] else 0
