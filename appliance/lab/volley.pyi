from collections.abc import Sequence

from appliance.lab.syn import Template

class Volley:
    sent: int
    refused: int
    drawn: int
    def __init__(self, templates: Sequence[Template], seed: int) -> None: ...
    def renew(self) -> list[bytes]: ...
    def fire(self, socket_fd: int, count: int, pps: int, until_ns: int) -> None: ...
