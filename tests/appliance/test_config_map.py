"""A ConfigMap mounted as a folder: the daemon takes each version that kubelet puts there."""

from functools import partial

from appliance.config.load import config_parse
from appliance.config_file import ConfigFile
from appliance.lab.waiting import until

from .config_map import Mount
from .conftest import SERVICES
from .daemon_process import READY_S, two_cores


def test_it_is_looked_at_through_both_links(tmp_path):
    mount = Mount(tmp_path / "map", SERVICES)
    file = ConfigFile(mount.path, config_parse(SERVICES.encode(), "f"))
    assert [file.changed() for _ in range(3)] == [False] * 3
    mount.put(SERVICES.replace("1400", "1300"))
    assert [file.changed() for _ in range(2)] == [False, True]
    assert file.load().services[0].options.mss == 1300
    assert not file.changed()


@two_cores
def test_the_daemon_takes_each_version_and_none_with_a_mistake(configure, start, tmp_path):
    folder = tmp_path / "map"
    good = configure(address=f"unix:{folder}/synproxy.sock").read_text()
    mount = Mount(folder, good)
    daemon = start(mount.path)

    def runs(mss):
        return str(mss) in daemon.synproxy("service", "get", "web").splitlines()[2]

    for mss in (1300, 1200):
        mount.put(good.replace("mss: 1400", f"mss: {mss}"))
        until(partial(runs, mss), seconds=READY_S, what="the new version")
    mount.put(good.replace("mss: 1400", "mss: 1"))
    until(lambda: "defaults.mss: must be" in daemon.said(), seconds=READY_S, what="the mistake")
    assert runs(1200)
    assert daemon.stop() == 0
