"""Without early data a client waits for what opens its window: losing that is no harm either."""

import pytest

from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.tcp_options import ALL, configure
from appliance.lab.topology import Lab

from .single_losses import Figure, cases, lose_each

FIRST_SEGMENTS = 10     # the handshake on both sides, and what follows it


@pytest.mark.usefixtures("journal", "_harmless_again")
def test_any_single_loss_is_recovered_where_the_window_is_shut(lab: Lab, figure: Figure) -> None:
    configure(lab.client, ALL)
    with Proxy(lab, "AF_XDP", "auto", SERVICES + "    options: {early_data: false}\n"):
        lose_each(lab, cases(first_port=20_000, segments=FIRST_SEGMENTS), figure)
