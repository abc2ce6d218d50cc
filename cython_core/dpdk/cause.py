"""Why the data plane can't start, in one line that says what to do.

DPDK tells the cause of a failure to its log alone, in lines that are read here; what none of
the patterns knows is passed on in DPDK's words.
"""

import re

from cython_core.wire.vector import vector_cause

EAL_CAUSES = (
    (r"Not enough memory available",
     "too few free hugepages; reserve more (vm.nr_hugepages), or ask for less memory"),
    (r"No free .* hugepages|hugepage information",
     "no free hugepages; reserve some (vm.nr_hugepages), or do without them"),
    (r"lcore \d+ unavailable|invalid core list|[Cc]annot set affinity",
     "it may not use one of the lcores; see the cpuset that it runs in"),
    (r"unrecognized option '(.*)'", "EAL knows no argument {0}"),
    (r"Permission denied|not permitted", "no permission; run as root"),
)
PORT_CAUSES = (
    # DPDK 24.11.8 has such a bound.
    (r"devargs truncated \(len (\d+), max (\d+)\)",
     "its arguments have {0} characters, and DPDK takes less than {1}: shorten them"),
    (r"failed to parse device|no driver|Cannot find driver", "DPDK has no driver of that name"),
    (r"SIOCGIFINDEX|channel info of interface|No such device exists|No such device",
     "there is no such interface in this network namespace"),
    (r"No such file", "there is no such file"),
    (r"create xsk socket", "busy; another program has the interface's queue, stop that one"),
    (r"open AF_PACKET socket|create umem|Permission denied|not permitted",
     "no permission, or too little lockable memory (ulimit -l); run as root"),
)
# Lines that name a failure, and those among them that only say that there was one.
COMPLAINT = re.compile(r"fail|error|cannot|can't|couldn't|could not|invalid|unable", re.IGNORECASE)
CONSEQUENCE = re.compile(r"attach the device|attach device on primary|bpffs|dispatcher")


def settings_cause(settings):
    """What EAL itself would not notice, or tell in a way that helps nobody; None where all is
    well."""
    workers = settings.worker_lcores
    if not workers:
        return "there is no worker; name an lcore for one"
    if len({settings.main_lcore, *workers}) <= len(workers):
        return (f"lcores {settings.main_lcore} (main) and {', '.join(map(str, workers))}"
                " (workers) are not all different")
    if cause := vector_cause(settings.vector):
        return cause
    client, server = settings.client_port.device, settings.server_port.device
    for what in (name_of(client), interface_of(client)):
        if what and what in (name_of(server), interface_of(server)):
            return f"both ports are {what}; name two"
    return None


def name_of(device):
    return device.partition(",")[0]


def interface_of(device):
    found = re.search(r",iface=([^,]+)", device)
    return found[1] if found else ""


def eal_cause(talk, error):
    return "EAL does not start: " + known_or_last(EAL_CAUSES, talk, error)


def port_cause(talk, error):
    return known_or_last(PORT_CAUSES, talk, error)


def known_or_last(causes, talk, error):
    for pattern, cause in causes:
        found = re.search(pattern, talk)
        if found:
            return cause.format(*found.groups())
    complaints = [line.strip() for line in talk.splitlines()
                  if COMPLAINT.search(line) and not CONSEQUENCE.search(line)]
    return complaints[-1] if complaints else error
