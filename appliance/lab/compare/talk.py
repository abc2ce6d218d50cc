"""Pieces of conversations that several rows have in common, between the raw client and server."""

from dataclasses import replace

from appliance.lab.compare.flow import Flow, Heard, Say
from appliance.lab.compare.raw import RawHosts

SYN = Say("client", "S", seq=0, ack=None, mss=1460, wscale=7, sack_permitted=True, tsval=0,
          tsecr=None, opens=True)
PLAIN_SYN = replace(SYN, tsval=None)            # of a client without timestamps
ACK = Say("client", tsval=10)
PLAIN_ACK = replace(ACK, tsval=None)
SYN_ACK = Say("server", "SA", seq=0, mss=1460, wscale=7, sack_permitted=True, tsval=0)


class Talk:
    """One flow, said step by step; the server answers each SYN that is not a former one again."""

    def __init__(self, raw: RawHosts, flow: Flow, synack: Say | None = SYN_ACK) -> None:
        self.raw, self.flow, self._synack = raw, flow, synack
        self._answered: list[Heard] = []

    def say(self, *says: Say) -> list[Heard]:
        """All that the two ends hear until it is quiet again."""
        before = len(self.flow.heard)
        for say in says:
            self.raw.say(self.flow, say)
            self.raw.settle()
            self._answer()
        return self.flow.heard[before:]

    def _answer(self) -> None:
        for heard in self.flow.to("server"):
            syn = replace(heard, turn=0)
            if self._synack and heard.flags == "S" and syn not in self._answered:
                self._answered.append(syn)
                self.raw.say(self.flow, self._synack)
                self.raw.settle()

    def shake_hands(self, syn: Say = SYN, ack: Say = ACK) -> "Talk":
        self.say(syn, ack)
        return self

    @property
    def server_syn(self) -> Heard | None:
        """The first SYN that reached the server."""
        return next((heard for heard in self.flow.to("server") if heard.flags == "S"), None)

    @property
    def client_synack(self) -> Heard | None:
        return next((heard for heard in self.flow.to("client") if heard.flags == "SA"), None)
