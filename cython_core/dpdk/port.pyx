"""The two ports: attached by their device, given queues, started, stopped, told of."""

from dataclasses import dataclass

from libc.stdint cimport uint16_t, uint64_t

from cython_core.dpdk.buffers cimport buffers_on
from cython_core.dpdk.rte cimport (
    RTE_ETH_RSS_IP, RTE_ETH_RSS_TCP, RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE, rte_dev_probe,
    rte_eth_conf, rte_eth_dev_adjust_nb_rx_tx_desc, rte_eth_dev_close, rte_eth_dev_configure,
    rte_eth_dev_get_port_by_name, rte_eth_dev_info, rte_eth_dev_info_get, rte_eth_dev_socket_id,
    rte_eth_dev_start, rte_eth_dev_stop, rte_eth_link, rte_eth_link_get_nowait,
    rte_eth_macaddr_get, rte_eth_promiscuous_disable, rte_eth_promiscuous_enable,
    rte_eth_rx_queue_setup, rte_eth_stats, rte_eth_stats_get, rte_eth_tx_queue_setup,
    rte_ether_addr, rte_strerror, shim_eth_conf,
)
from cython_core.dpdk.worker cimport QUEUES_MAX

from cython_core.dpdk.carrier import link_up
from cython_core.dpdk.cause import port_cause
from cython_core.dpdk.eal import is_vdev
from cython_core.dpdk.packet_sockets import packet_sockets, packets_dropped
from cython_core.dpdk.terms import DataplaneError, PortStats
from cython_core.dpdk.xsk import xsk_ring_full, xsk_sockets

# The arguments of these say how many queues there are, and traffic comes on all of them.
# Others have as many as we ask for.
QUEUES_GIVEN = ("net_pcap", "net_ring", "net_af_packet", "net_af_xdp")


@dataclass
class Port:
    role: str                   # "client" or "server"
    device: str
    port_id: int
    socket: int                 # NUMA
    rx_queues: int
    tx_queues: int
    rx_descriptors: int = 0     # of each queue, once it is configured
    tx_descriptors: int = 0
    tx_offloads: int = 0        # RTE_ETH_TX_OFFLOAD_*, likewise; there are none on the way in
    symmetric_rss: bool = False     # and the owners of flows are by it
    xsk: frozenset = frozenset()    # descriptors of its AF_XDP sockets
    packet: frozenset = frozenset()     # and of its AF_PACKET sockets
    packets_dropped: int = 0        # before these, as far as has been asked


def refuse(role, device, error, talk):
    # Bus and drivers often return -1 for anything, which is no errno.
    reason = rte_strerror(-error).decode() if error < -1 else "its arguments are not understood"
    return DataplaneError(f"{role} port {device}: {port_cause(talk(), reason)}")


def port_attach(role, device, workers, talk):
    """Find the device's port; a vdev is made first.  `talk` reads what the drivers said."""
    cdef uint16_t port_id
    cdef int error
    cdef rte_eth_dev_info info
    arguments = device.encode()
    name = device.partition(",")[0].encode()
    if is_vdev(device):
        error = rte_dev_probe(arguments)
        if error < 0:
            raise refuse(role, device, error, talk)
    if rte_eth_dev_get_port_by_name(name, &port_id) < 0:
        raise DataplaneError(
            f"{role} port {device}: no such PCI device, or a driver has it that DPDK can't use;"
            f" dpdk-devbind.py --bind=vfio-pci {device} gives it to DPDK")
    rte_eth_dev_info_get(port_id, &info)
    rx_queues = min(info.max_rx_queues, workers)
    if device.replace("eth_", "net_", 1).startswith(QUEUES_GIVEN):
        rx_queues = info.max_rx_queues
    tx_queues = min(info.max_tx_queues, max(workers, rx_queues))
    if rx_queues > workers * QUEUES_MAX:
        raise DataplaneError(
            f"{role} port {device}: {rx_queues} receive queues for {workers} workers, each of which"
            f" can read {QUEUES_MAX}: name more workers")
    return Port(role, device, port_id, max(rte_eth_dev_socket_id(port_id), 0), rx_queues,
                tx_queues, packet=packet_sockets(info.if_index) if info.if_index else frozenset())


def port_configure(port, settings, only_pool, talk):
    """Queues, each as long as the device allows.  `only_pool`: no port uses another one."""
    cdef uint16_t port_id = port.port_id
    cdef uint16_t rx_descriptors = settings.rx_descriptors
    cdef uint16_t tx_descriptors = settings.tx_descriptors
    cdef uint16_t queue_id
    cdef uint64_t rss = 0
    cdef uint64_t offloads = 0
    cdef rte_eth_dev_info info
    cdef rte_eth_conf conf
    rte_eth_dev_info_get(port_id, &info)
    if port.rx_queues > 1:
        rss = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP)
    if only_pool:
        offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE
    shim_eth_conf(&conf, rss, offloads)
    others = xsk_sockets()
    error = rte_eth_dev_configure(port_id, port.rx_queues, port.tx_queues, &conf)
    if error == 0:
        error = rte_eth_dev_adjust_nb_rx_tx_desc(port_id, &rx_descriptors, &tx_descriptors)
    port.rx_descriptors, port.tx_descriptors = rx_descriptors, tx_descriptors
    port.tx_offloads = offloads
    for queue_id in range(port.rx_queues):
        error = error or rte_eth_rx_queue_setup(
            port_id, queue_id, rx_descriptors, port.socket, NULL, buffers_on(port.socket))
    for queue_id in range(port.tx_queues):
        error = error or rte_eth_tx_queue_setup(
            port_id, queue_id, tx_descriptors, port.socket, NULL)
    port.xsk = xsk_sockets() - others
    if error != 0:
        raise refuse(port.role, port.device, error, talk)


def port_start(port, talk):
    error = rte_eth_dev_start(port.port_id)
    if error != 0:
        raise refuse(port.role, port.device, error, talk)
    # A bridge takes frames for others; drivers that can't filter have no such call.
    rte_eth_promiscuous_enable(port.port_id)


def port_stop(port):
    rte_eth_promiscuous_disable(port.port_id)
    rte_eth_dev_stop(port.port_id)


def port_close(port):
    rte_eth_dev_close(port.port_id)


def port_stats(port):
    cdef rte_eth_stats stats
    cdef rte_eth_link link
    cdef rte_ether_addr mac
    cdef rte_eth_dev_info info
    rte_eth_stats_get(port.port_id, &stats)
    port.packets_dropped += packets_dropped(port.packet)
    rte_eth_link_get_nowait(port.port_id, &link)
    rte_eth_macaddr_get(port.port_id, &mac)
    rte_eth_dev_info_get(port.port_id, &info)
    return PortStats(
        role=port.role, device=port.device, driver=info.driver_name.decode(),
        mac=bytes(mac.addr_bytes[:6]).hex(":"), link_up=link_up(port.device, link.link_status != 0),
        rx_packets=stats.ipackets, tx_packets=stats.opackets,
        rx_bytes=stats.ibytes, tx_bytes=stats.obytes,
        rx_missed=stats.imissed + xsk_ring_full(port.xsk) + port.packets_dropped,
        rx_errors=stats.ierrors,
        tx_errors=stats.oerrors, rx_nombuf=stats.rx_nombuf,
    )
